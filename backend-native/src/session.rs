//! One connection over the lent wire.
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

/// Either side of one connection.
pub(crate) struct TlsSession {
    stage: Stage,
    /// Where the wire is left when the library drops its stream, as it does with every error of a
    /// handshake: the alert in it must still leave.
    left: Arc<OnceLock<Wire>>,
    /// The peer's close_notify has been read.
    ended: bool,
    /// Ours is queued.
    closed: bool,
    /// Why the library must not be called again: for every later call to tell, since the call that
    /// saw it may have moved plaintext first.
    failed: Option<Error>,
}

enum Stage {
    // The library writes as soon as it has a stream, so it gets one with the first handshake call.
    Client(TlsConnector, Box<str>),
    Server(TlsAcceptor),
    Shaking(MidHandshakeTlsStream<Lent>),
    Open(TlsStream<Lent>),
    Failed,
}

impl TlsSession {
    pub(crate) fn client(connector: TlsConnector, name: &str) -> Self {
        Self::new(Stage::Client(connector, name.into()))
    }

    pub(crate) fn server(acceptor: TlsAcceptor) -> Self {
        Self::new(Stage::Server(acceptor))
    }

    fn new(stage: Stage) -> Self {
        Self { stage, left: Arc::default(), ended: false, closed: false, failed: None }
    }

    /// Calls the library with the wire in its stream.
    fn call<T>(
        &mut self,
        wire: &mut Wire,
        call: impl FnOnce(&mut TlsStream<Lent>) -> T,
    ) -> Result<T, Error> {
        let Stage::Open(stream) = &mut self.stage else {
            return Err(Error::internal("data before the end of the handshake"));
        };
        mem::swap(wire, &mut stream.get_mut().wire);
        let result = call(stream);
        mem::swap(wire, &mut stream.get_mut().wire);
        Ok(result)
    }

    fn lend(&self, wire: &mut Wire) -> Lent {
        Lent { wire: mem::take(wire), left: Arc::clone(&self.left) }
    }

    /// Takes note of why the library stopped. After an error it must not be called again.
    fn stopped(&mut self, stop: Stop) -> Result<(), Error> {
        match stop {
            Stop::Done | Stop::NeedsInput => Ok(()),
            Stop::Closed => {
                self.ended = true;
                Ok(())
            }
            Stop::Failed(error) => Err(self.fail(error::data(error))),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.clone());
        error
    }

    fn check_failed(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

/// Why the library stopped.
enum Stop {
    Done,
    NeedsInput,
    /// The peer's close_notify has come.
    Closed,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::NeedsInput,
            _ => Self::Failed(error),
        }
    }
}

impl Session for TlsSession {
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error> {
        self.check_failed()?;
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
                Err(self.fail(error::handshake(error)))
            }
        }
    }

    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        self.check_failed()?;
        if self.ended {
            return Ok(Read::Closed);
        }
        let ((n, stop), at_hand) =
            self.call(wire, |stream| (fill(stream, buf), is_at_hand(stream)))?;
        // It had the chance to give more, whatever it keeps to itself.
        let at_hand = at_hand && n == buf.len();
        match self.stopped(stop) {
            Err(error) if n == 0 => Err(error),
            _ if n == 0 && self.ended => Ok(Read::Closed),
            _ if n == 0 => Ok(Read::NeedsInput),
            failed => Ok(Read::Data { n, more: failed.is_err() || self.ended || at_hand }),
        }
    }

    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        self.check_failed()?;
        // Room as it is now: what the records themselves add is within the bound of one more, and
        // would otherwise split a message of three records. Never more than there is room for: a
        // library that cannot write keeps the record, and sends it again instead of whatever comes
        // next.
        let data = &data[..data.len().min(wire.room())];
        if data.is_empty() {
            return Ok(0);
        }
        let (n, stop) = self.call(wire, |stream| drain(stream, data))?;
        match self.stopped(stop) {
            Err(error) if n == 0 => Err(error),
            _ => Ok(n),
        }
    }

    fn close(&mut self, wire: &mut Wire) -> Result<(), Error> {
        self.check_failed()?;
        // In the handshake there is nothing to end yet.
        if !matches!(self.stage, Stage::Open(_)) || mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        match self.call(wire, TlsStream::shutdown)?.map_err(Stop::from) {
            // Some libraries wait for the peer's close_notify here; theirs is a matter for `read`.
            Err(stop @ Stop::Failed(_)) => self.stopped(stop),
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

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Client(..) | Stage::Server(_) => "new",
            Stage::Shaking(_) => "shaking hands",
            Stage::Open(_) => "open",
            Stage::Failed => "failed",
        };
        f.debug_struct("TlsSession")
            .field("stage", &stage)
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Reads until the buffer is full or nothing is at hand; also returns how many bytes came.
fn fill(stream: &mut TlsStream<Lent>, buf: &mut [u8]) -> (usize, Stop) {
    let mut n = 0;
    loop {
        match stream.read(&mut buf[n..]) {
            Ok(0) => return (n, Stop::Closed),
            Ok(read) => n += read,
            Err(error) => return (n, error.into()),
        }
        if n == buf.len() || !is_at_hand(stream) {
            return (n, Stop::Done);
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

/// Writes everything; also returns how many bytes went.
fn drain(stream: &mut TlsStream<Lent>, data: &[u8]) -> (usize, Stop) {
    let mut n = 0;
    // It returns after each record.
    while n < data.len() {
        match stream.write(&data[n..]) {
            Ok(written) => n += written,
            Err(error) => return (n, error.into()),
        }
    }
    (n, Stop::Done)
}

/// Where the library's stream object finds the wire during a call; empty between calls.
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
