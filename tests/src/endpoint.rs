//! One end of a TLS connection, as a script sees it: the same for every kind of stream.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use polytls::{
    Certificate, CipherSuite, ClientContext, Connection, Error, ErrorKind, ProtocolVersion,
    ServerContext, StreamSocket, TlsStream, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};

use crate::transport::Carrier;

/// One end of a TLS connection. The handshake runs at the first call that needs it.
///
/// It is `Read` and `Write`; every call blocks, whatever drives the connection beneath.
pub struct Endpoint {
    stage: Stage,
}

enum Stage {
    Fresh(Box<Start>),
    Open(Box<TlsStream<Box<dyn StreamSocket>>>),
    Failed(Error),
}

struct Start {
    role: Role,
    socket: Box<dyn StreamSocket>,
    options: UpgradeOptions,
}

enum Role {
    Client { context: ClientContext, name: String },
    Server { context: ServerContext },
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
    ///
    /// # Errors
    ///
    /// The kinds of starting a connection.
    pub fn client(
        carrier: Carrier,
        tokio: bool,
        context: &ClientContext,
        name: &str,
    ) -> Result<Self, Error> {
        let role = Role::Client { context: context.clone(), name: name.into() };
        Ok(Self::new(carrier, tokio, role))
    }

    /// The server's end.
    ///
    /// # Errors
    ///
    /// The kinds of starting a connection.
    pub fn server(carrier: Carrier, tokio: bool, context: &ServerContext) -> Result<Self, Error> {
        Ok(Self::new(carrier, tokio, Role::Server { context: context.clone() }))
    }

    fn new(carrier: Carrier, _tokio: bool, role: Role) -> Self {
        let (socket, options) = (carrier.into_stream(), UpgradeOptions::new());
        Self { stage: Stage::Fresh(Box::new(Start { role, socket, options })) }
    }

    /// Takes the handshake to its end; once it is done, does nothing.
    ///
    /// # Errors
    ///
    /// The handshake's, again at every later call.
    pub fn handshake(&mut self) -> Result<(), Error> {
        self.open()?.handshake()
    }

    /// Sends close_notify and drains what still comes.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn close(&mut self) -> Result<(), Error> {
        self.open()?.close()
    }

    /// Sends close_notify; reading goes on.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn close_write(&mut self) -> Result<(), Error> {
        self.open()?.close_write()
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

    /// How long a read may block.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket()?.set_read_timeout(timeout)
    }

    /// How long a write may block.
    ///
    /// # Errors
    ///
    /// The transport's.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
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

    fn look<R>(&self, look: impl FnOnce(&Connection) -> R) -> Option<R> {
        match &self.stage {
            Stage::Open(stream) => Some(stream.with_connection(look)),
            Stage::Fresh(_) | Stage::Failed(_) => None,
        }
    }

    fn socket(&self) -> io::Result<&dyn StreamSocket> {
        match &self.stage {
            Stage::Fresh(start) => Ok(&*start.socket),
            Stage::Open(stream) => Ok(&**stream.get_ref()),
            Stage::Failed(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn open(&mut self) -> Result<&mut TlsStream<Box<dyn StreamSocket>>, Error> {
        if matches!(self.stage, Stage::Fresh(_)) {
            let failed = Stage::Failed(Error::new(ErrorKind::Closed));
            let Stage::Fresh(start) = std::mem::replace(&mut self.stage, failed) else {
                unreachable!("it was fresh")
            };
            let Start { role, socket, options } = *start;
            let stream = match role {
                Role::Client { context, name } => {
                    ssl_client_upgrade(socket, &name, options.context(context))
                }
                Role::Server { context } => ssl_server_upgrade(socket, &context),
            };
            self.stage = match stream {
                Ok(stream) => Stage::Open(Box::new(stream)),
                Err(error) => Stage::Failed(error),
            };
        }
        match &mut self.stage {
            Stage::Open(stream) => Ok(stream),
            Stage::Failed(error) => Err(error.clone()),
            Stage::Fresh(_) => unreachable!("it was opened"),
        }
    }
}

impl Read for Endpoint {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.open()?.read(buf)
    }
}

impl Write for Endpoint {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.open()?.write(data)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.open()?.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Fresh(_) => "fresh",
            Stage::Open(_) => "open",
            Stage::Failed(_) => "failed",
        };
        f.debug_struct("Endpoint").field("stage", &stage).finish_non_exhaustive()
    }
}
