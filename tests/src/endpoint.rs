//! One end of a TLS connection, as a script sees it: the same for every kind of stream.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use polytls::{
    Certificate, CipherSuite, ClientContext, Connection, Error, ErrorKind, ProtocolVersion,
    ServerContext, StreamSocket, TlsStream, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

use crate::transport::{Carrier, Transport};

/// One end of a TLS connection. The handshake runs at the first call that needs it.
///
/// It is `Read` and `Write`; every call blocks, whatever drives the connection beneath.
pub struct Endpoint {
    stage: Stage,
}

enum Stage {
    Fresh(Start),
    Blocking(TlsStream<Box<dyn StreamSocket>>),
    Tokio(TokioStream),
    Failed(Error),
}

struct Start {
    role: Role,
    transport: Transport,
    carrier: Carrier,
}

enum Role {
    Client { context: ClientContext, name: String },
    Server { context: ServerContext },
}

/// A tokio stream, with a runtime of its own to block on.
struct TokioStream {
    stream: polytls::tokio::TlsStream<tokio::net::TcpStream>,
    /// The same socket, for what goes past the stream.
    socket: TcpStream,
    runtime: Runtime,
}

/// What an end tells of its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The protocol version.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Whether a session was resumed.
    pub resumed: Option<bool>,
    /// The peer's certificates, leaf first.
    pub peer_certificates: Vec<Certificate>,
}

impl Endpoint {
    /// The client's end, of a server of this name.
    pub fn client(
        carrier: Carrier,
        transport: Transport,
        context: &ClientContext,
        name: &str,
    ) -> Self {
        let role = Role::Client { context: context.clone(), name: name.into() };
        Self { stage: Stage::Fresh(Start { role, transport, carrier }) }
    }

    /// The server's end.
    pub fn server(carrier: Carrier, transport: Transport, context: &ServerContext) -> Self {
        let role = Role::Server { context: context.clone() };
        Self { stage: Stage::Fresh(Start { role, transport, carrier }) }
    }

    /// Takes the handshake to its end; once it is done, does nothing.
    ///
    /// # Errors
    ///
    /// The handshake's, again at every later call.
    pub fn handshake(&mut self) -> Result<(), Error> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => {
                runtime.block_on(stream.handshake())
            }
            _ => self.blocking()?.handshake(),
        }
    }

    /// Sends close_notify and drains what still comes.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn close(&mut self) -> Result<(), Error> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => runtime.block_on(stream.close()),
            _ => self.blocking()?.close(),
        }
    }

    /// Sends close_notify; reading goes on.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn close_write(&mut self) -> io::Result<()> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => {
                runtime.block_on(stream.shutdown())
            }
            _ => Ok(self.blocking()?.close_write()?),
        }
    }

    /// Ends the transport, both ways, without a word of TLS.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn kill(&mut self) -> io::Result<()> {
        self.socket()?.close()
    }

    /// Ends the transport's write side without a word of TLS.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn kill_write(&mut self) -> io::Result<()> {
        self.socket()?.shutdown(Shutdown::Write)
    }

    /// Sends bytes beside TLS, as someone on the path would.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn inject(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.socket()?.send(bytes)?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// How long a read may block; for blocking streams.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket()?.set_read_timeout(timeout)
    }

    /// How long a write may block; for blocking streams.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket()?.set_write_timeout(timeout)
    }

    /// What this end tells of the connection; nothing before the handshake is done.
    pub fn facts(&self) -> Facts {
        self.look(|connection| {
            let negotiated = connection.negotiated().cloned().unwrap_or_default();
            Facts {
                version: negotiated.version,
                cipher_suite: negotiated.cipher_suite,
                alpn: negotiated.alpn.map(Vec::from),
                server_name: negotiated.server_name.map(String::from),
                resumed: negotiated.resumed,
                peer_certificates: connection.peer_certificates(),
            }
        })
        .unwrap_or_default()
    }

    /// Keying material, the same on both ends.
    ///
    /// # Errors
    ///
    /// `Unsupported` without the capability.
    pub fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32], Error> {
        let mut output = [0; 32];
        self.look(|connection| connection.export_keying_material(&mut output, label, context))
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Config)))?;
        Ok(output)
    }

    /// Reads until the peer's end.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Writes everything and makes it leave.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn say(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data)?;
        self.flush()
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn hear(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Asks the other end, which answers.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn ask(&mut self) -> io::Result<()> {
        self.say(b"?")?;
        self.hear(1).map(drop)
    }

    /// Answers the other end, which asks.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn answer(&mut self) -> io::Result<()> {
        self.hear(1)?;
        self.say(b"!")
    }

    fn look<R>(&self, look: impl FnOnce(&Connection) -> R) -> Option<R> {
        match &self.stage {
            Stage::Blocking(stream) => Some(stream.with_connection(look)),
            Stage::Tokio(tokio) => Some(look(tokio.stream.connection())),
            Stage::Fresh(_) | Stage::Failed(_) => None,
        }
    }

    fn socket(&self) -> io::Result<&dyn StreamSocket> {
        match &self.stage {
            Stage::Fresh(start) => Ok(start.carrier.stream()),
            Stage::Blocking(stream) => Ok(&**stream.get_ref()),
            Stage::Tokio(tokio) => Ok(&tokio.socket),
            Stage::Failed(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        if !matches!(self.stage, Stage::Fresh(_)) {
            return Ok(());
        }
        let failed = Stage::Failed(Error::new(ErrorKind::Closed));
        let Stage::Fresh(start) = std::mem::replace(&mut self.stage, failed) else {
            unreachable!("it was fresh")
        };
        match start.open() {
            Ok(stage) => {
                self.stage = stage;
                Ok(())
            }
            Err(error) => {
                self.stage = Stage::Failed(error.clone());
                Err(error)
            }
        }
    }

    fn blocking(&mut self) -> Result<&mut TlsStream<Box<dyn StreamSocket>>, Error> {
        match &mut self.stage {
            Stage::Blocking(stream) => Ok(stream),
            Stage::Failed(error) => Err(error.clone()),
            Stage::Fresh(_) | Stage::Tokio(_) => unreachable!("it was opened, and is not tokio's"),
        }
    }
}

impl Start {
    fn open(self) -> Result<Stage, Error> {
        let options = UpgradeOptions::new();
        match (self.transport, self.carrier) {
            (Transport::Tokio, Carrier::Tcp(socket)) => {
                TokioStream::open(socket, self.role).map(Stage::Tokio)
            }
            (_, carrier) => match self.role {
                Role::Client { context, name } => {
                    ssl_client_upgrade(carrier.into_stream(), &name, options.context(context))
                }
                Role::Server { context } => ssl_server_upgrade(carrier.into_stream(), &context),
            }
            .map(Stage::Blocking),
        }
    }
}

impl TokioStream {
    fn open(socket: TcpStream, role: Role) -> Result<Self, Error> {
        use polytls::tokio::{ssl_client_upgrade, ssl_server_upgrade};
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let aside = socket.try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpStream::from_std(socket).unwrap();
            match role {
                Role::Client { context, name } => {
                    let options = UpgradeOptions::new().context(context);
                    ssl_client_upgrade(socket, &name, options).await
                }
                Role::Server { context } => ssl_server_upgrade(socket, &context).await,
            }
        })?;
        Ok(Self { stream, socket: aside, runtime })
    }
}

impl Read for Endpoint {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => runtime.block_on(stream.read(buf)),
            _ => self.blocking()?.read(buf),
        }
    }
}

impl Write for Endpoint {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => {
                runtime.block_on(stream.write(data))
            }
            _ => self.blocking()?.write(data),
        }
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => {
                runtime.block_on(stream.write_vectored(parts))
            }
            _ => self.blocking()?.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?;
        match &mut self.stage {
            Stage::Tokio(TokioStream { stream, runtime, .. }) => runtime.block_on(stream.flush()),
            _ => self.blocking()?.flush(),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Fresh(_) => "fresh",
            Stage::Blocking(_) | Stage::Tokio(_) => "open",
            Stage::Failed(_) => "failed",
        };
        f.debug_struct("Endpoint").field("stage", &stage).finish_non_exhaustive()
    }
}
