//! One connection, either side, over the lent wire.
//!
//! native-tls owns the stream that it encrypts for, so the wire is moved into that stream for the
//! length of each call.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::sync::{Arc, OnceLock};

use native_tls::{HandshakeError, MidHandshakeTlsStream, TlsAcceptor, TlsConnector, TlsStream};
use polytls_core::{Certificate, Error, Handshake, Negotiated, Read, Session, Wire};

use crate::{ON_OPENSSL, error};

/// One connection.
pub(crate) struct NativeSession {
    stage: Stage,
    /// Where the wire is left when the library drops its stream, as it does with every error of a
    /// handshake: the alert in it must still leave.
    left: Arc<OnceLock<Wire>>,
    /// The peer has sent close_notify.
    ended: bool,
    /// We have.
    closed: bool,
    /// An error met after plaintext had been read, for the next call.
    late: Option<Error>,
}

enum Stage {
    // The library writes as soon as it has a stream, so it gets one with the first handshake call.
    Client(TlsConnector, Box<str>),
    Server(TlsAcceptor),
    Shaking(MidHandshakeTlsStream<Lent>),
    Open(TlsStream<Lent>),
    Failed,
}

impl NativeSession {
    pub(crate) fn client(connector: TlsConnector, name: &str) -> Self {
        Self::new(Stage::Client(connector, name.into()))
    }

    pub(crate) fn server(acceptor: TlsAcceptor) -> Self {
        Self::new(Stage::Server(acceptor))
    }

    fn new(stage: Stage) -> Self {
        Self { stage, left: Arc::default(), ended: false, closed: false, late: None }
    }

    fn open(&mut self) -> Result<&mut TlsStream<Lent>, Error> {
        match &mut self.stage {
            Stage::Open(stream) => Ok(stream),
            _ => Err(Error::internal("data before the end of the handshake")),
        }
    }

    fn lend(&self, wire: &mut Wire) -> Lent {
        Lent { wire: mem::take(wire), left: Arc::clone(&self.left) }
    }
}

impl Session for NativeSession {
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error> {
        let result = match mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Client(connector, name) => connector.connect(&name, self.lend(wire)),
            Stage::Server(acceptor) => acceptor.accept(self.lend(wire)),
            Stage::Shaking(mut stream) => {
                stream.get_mut().wire = mem::take(wire);
                stream.handshake()
            }
            open @ Stage::Open(_) => {
                self.stage = open;
                return Ok(Handshake::Done);
            }
            Stage::Failed => return Err(Error::internal("a handshake that failed goes on")),
        };
        match result {
            Ok(mut stream) => {
                *wire = mem::take(&mut stream.get_mut().wire);
                self.stage = Stage::Open(stream);
                Ok(Handshake::Done)
            }
            Err(HandshakeError::WouldBlock(mut stream)) => {
                *wire = mem::take(&mut stream.get_mut().wire);
                self.stage = Stage::Shaking(stream);
                Ok(Handshake::NeedsInput)
            }
            Err(HandshakeError::Failure(error)) => {
                // The stream is gone, and with it the only other owner of the place.
                *wire = Arc::get_mut(&mut self.left).and_then(OnceLock::take).unwrap_or_default();
                Err(error::handshake(error))
            }
        }
    }

    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        if let Some(error) = self.late.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(Read::Closed);
        }
        let (n, stop) = with_wire(self.open()?, wire, |stream| fill(stream, buf));
        let more = match stop {
            Stop::Full { more } => more,
            Stop::NeedsInput => false,
            Stop::Closed => {
                self.ended = true;
                true
            }
            Stop::Error(error) if n == 0 => return Err(error::data(error)),
            Stop::Error(error) => {
                self.late = Some(error::data(error));
                true
            }
        };
        Ok(match n {
            0 if self.ended => Read::Closed,
            0 => Read::NeedsInput,
            n => Read::Data { n, more },
        })
    }

    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        // Room as it is now: what the records themselves add is within the bound of one more, and
        // would otherwise split a message of three records. Never more than there is room for: a
        // library that cannot write keeps the record, and sends it again instead of whatever comes
        // next.
        let data = &data[..data.len().min(wire.room())];
        with_wire(self.open()?, wire, |stream| {
            let mut taken = 0;
            // It returns after each record.
            while taken < data.len() {
                match stream.write(&data[taken..]) {
                    Ok(n) => taken += n,
                    Err(error) if would_block(&error) => break,
                    Err(error) => return Err(error::data(error)),
                }
            }
            Ok(taken)
        })
    }

    fn close(&mut self, wire: &mut Wire) -> Result<(), Error> {
        if mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        match with_wire(self.open()?, wire, TlsStream::shutdown) {
            // Some libraries wait for the peer's close_notify here; theirs is a matter for `read`.
            Err(error) if !would_block(&error) => Err(error::data(error)),
            _ => Ok(()),
        }
    }

    fn negotiated(&self) -> Negotiated {
        let mut negotiated = Negotiated::default();
        if let Stage::Open(stream) = &self.stage {
            negotiated.alpn = stream.negotiated_alpn().ok().flatten().map(Vec::into_boxed_slice);
        }
        negotiated
    }

    fn peer_certificates(&self) -> Vec<Certificate> {
        self.peer_certificate().into_iter().collect()
    }

    fn peer_certificate(&self) -> Option<Certificate> {
        let Stage::Open(stream) = &self.stage else { return None };
        let leaf = stream.peer_certificate().ok().flatten()?;
        leaf.to_der().ok().map(Certificate::from_peer)
    }
}

impl fmt::Debug for NativeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Client(..) | Stage::Server(_) => "new",
            Stage::Shaking(_) => "shaking hands",
            Stage::Open(_) => "open",
            Stage::Failed => "failed",
        };
        f.debug_struct("NativeSession").field("stage", &stage).finish_non_exhaustive()
    }
}

/// Why reading stopped.
enum Stop {
    Full { more: bool },
    NeedsInput,
    Closed,
    Error(io::Error),
}

/// Reads until the buffer is full or nothing is at hand; also returns how many bytes came.
fn fill(stream: &mut TlsStream<Lent>, buf: &mut [u8]) -> (usize, Stop) {
    let mut n = 0;
    loop {
        match stream.read(&mut buf[n..]) {
            Ok(0) => return (n, Stop::Closed),
            Ok(read) => n += read,
            Err(error) if would_block(&error) => return (n, Stop::NeedsInput),
            Err(error) => return (n, Stop::Error(error)),
        }
        let more = is_at_hand(stream);
        if n == buf.len() {
            return (n, Stop::Full { more });
        }
        if !more {
            return (n, Stop::NeedsInput);
        }
    }
}

/// Whether reading on may give something without new input. OpenSSL takes one record at a time;
/// the other libraries keep what they took to themselves.
fn is_at_hand(stream: &TlsStream<Lent>) -> bool {
    !ON_OPENSSL
        || stream.get_ref().wire.has_record()
        || stream.buffered_read_size().is_ok_and(|size| size > 0)
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Calls the library with the wire in its stream.
fn with_wire<T>(
    stream: &mut TlsStream<Lent>,
    wire: &mut Wire,
    call: impl FnOnce(&mut TlsStream<Lent>) -> T,
) -> T {
    stream.get_mut().wire = mem::take(wire);
    let result = call(stream);
    *wire = mem::take(&mut stream.get_mut().wire);
    result
}

/// The stream that the library owns: the wire, during a call.
#[derive(Debug)]
struct Lent {
    wire: Wire,
    left: Arc<OnceLock<Wire>>,
}

impl io::Read for Lent {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wire.read(buf)
    }
}

impl io::Write for Lent {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.wire.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Set once only: each session has one stream in its life.
        let _ = self.left.set(mem::take(&mut self.wire));
    }
}
