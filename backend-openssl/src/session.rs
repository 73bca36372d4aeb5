//! One connection over the lent wire.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, OnceLock};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    ErrorCode, NameType, ShutdownState, Ssl, SslRef, SslSession, SslStream, SslVersion,
};
use polytls_core::{
    Certificate, CipherSuite, Error, ErrorKind, Handshake, Negotiated, Phase, ProtocolVersion,
    Read, ServerName, Session, Wire,
};

use crate::cache::Sessions;
use crate::error;

/// Either side of one connection.
pub(crate) struct TlsSession {
    stream: SslStream<Lent>,
    /// The peer's close_notify has been read.
    ended: bool,
    /// Ours is queued.
    closed: bool,
    /// Why the library must not be called again: for every later call to tell, since the call that
    /// saw it may have moved plaintext first.
    failed: Option<Error>,
}

impl TlsSession {
    pub(crate) fn client(mut ssl: Ssl, peer: Peer) -> Result<Self, Error> {
        ssl.set_connect_state();
        Self::new(ssl, peer)
    }

    pub(crate) fn server(mut ssl: Ssl, peer: Peer) -> Result<Self, Error> {
        ssl.set_accept_state();
        Self::new(ssl, peer)
    }

    fn new(mut ssl: Ssl, peer: Peer) -> Result<Self, Error> {
        ssl.set_ex_data(Peer::index().map_err(error::internal)?, peer);
        let stream = SslStream::new(ssl, Lent::default()).map_err(error::internal)?;
        Ok(Self { stream, ended: false, closed: false, failed: None })
    }

    /// Calls the library with the wire where its stream object finds it, and takes the wire out
    /// again whatever came of the call.
    fn call<T>(&mut self, wire: &mut Wire, call: impl FnOnce(&mut SslStream<Lent>) -> T) -> T {
        // SSL_get_error(3) reads the thread's error queue, where earlier calls, ours or not, may
        // have left something.
        drop(ErrorStack::get());
        mem::swap(wire, &mut self.stream.get_mut().0);
        let result = call(&mut self.stream);
        mem::swap(wire, &mut self.stream.get_mut().0);
        result
    }

    /// Takes note of why the library stopped. After an error it must not be called again.
    fn stopped(&mut self, stop: Stop) -> Result<(), Error> {
        match stop {
            Stop::Done | Stop::NeedsInput => Ok(()),
            Stop::Closed => {
                self.ended = true;
                Ok(())
            }
            Stop::Failed(error) => Err(self.fail(error::failed(self.stream.ssl(), error))),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.clone());
        error
    }

    fn check_failed(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Keeps what a resumed TLS 1.2 handshake has renewed. With the new ticket the library forbids
    /// the session that it resumed (SSL_CTX_remove_session(3)), and its callback tells of sessions
    /// of full handshakes only.
    fn keep_renewed_session(&self) {
        let ssl = self.stream.ssl();
        let renewed = ssl.session_reused() && ssl.version2() == Some(SslVersion::TLS1_2);
        if let (true, Some(peer), Some(session)) = (renewed, Peer::of(ssl), ssl.session()) {
            peer.keep(session.to_owned());
        }
    }
}

/// Why the library stopped.
enum Stop {
    Done,
    NeedsInput,
    /// The peer's close_notify has come.
    Closed,
    Failed(openssl::ssl::Error),
}

impl From<openssl::ssl::Error> for Stop {
    fn from(error: openssl::ssl::Error) -> Self {
        match error.code() {
            ErrorCode::WANT_READ => Self::NeedsInput,
            ErrorCode::ZERO_RETURN => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

impl Session for TlsSession {
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error> {
        self.check_failed()?;
        match self.call(wire, SslStream::do_handshake).map_err(Stop::from) {
            Ok(()) => {
                self.keep_renewed_session();
                Ok(Handshake::Done)
            }
            Err(Stop::Closed) => Err(self.fail(Error::new(ErrorKind::Truncated(Phase::Handshake)))),
            Err(stop) => self.stopped(stop).map(|()| Handshake::NeedsInput),
        }
    }

    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        self.check_failed()?;
        if self.ended {
            return Ok(Read::Closed);
        }
        let ((n, stop), at_hand) =
            self.call(wire, |stream| (fill(stream, buf), is_at_hand(stream)));
        match self.stopped(stop) {
            Err(error) if n == 0 => Err(error),
            _ if n == 0 && self.ended => Ok(Read::Closed),
            _ if n == 0 => Ok(Read::NeedsInput),
            failed => Ok(Read::Data { n, more: failed.is_err() || self.ended || at_hand }),
        }
    }

    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        self.check_failed()?;
        let data = &data[..data.len().min(wire.room())];
        if data.is_empty() {
            return Ok(0);
        }
        // `NeedsInput`: the peer has sent part of a message that comes after the handshake, such as
        // a ticket; the library keeps nothing of what it did not take.
        let (n, stop) = self.call(wire, |stream| drain(stream, data));
        match self.stopped(stop) {
            Err(error) if n == 0 => Err(error),
            _ => Ok(n),
        }
    }

    fn close(&mut self, wire: &mut Wire) -> Result<(), Error> {
        self.check_failed()?;
        // In the handshake there is nothing to end yet.
        if !self.stream.ssl().is_init_finished() || mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        match self.call(wire, SslStream::shutdown).map_err(Stop::from) {
            Err(stop @ Stop::Failed(_)) => self.stopped(stop),
            _ => Ok(()),
        }
    }

    fn negotiated(&self) -> Negotiated {
        let ssl = self.stream.ssl();
        let mut negotiated = Negotiated::default();
        negotiated.version = ssl.version2().and_then(|version| match version {
            SslVersion::TLS1_2 => Some(ProtocolVersion::Tls12),
            SslVersion::TLS1_3 => Some(ProtocolVersion::Tls13),
            _ => None,
        });
        negotiated.cipher_suite = ssl
            .current_cipher()
            .map(|cipher| CipherSuite::new(u16::from_be_bytes(cipher.protocol_id())));
        negotiated.alpn = ssl.selected_alpn_protocol().map(Into::into);
        negotiated.server_name = ssl
            .servername(NameType::HOST_NAME)
            .map(|name| name.to_ascii_lowercase().into_boxed_str());
        negotiated.resumed = Some(ssl.session_reused());
        negotiated
    }

    fn peer_certificates(&self) -> Vec<Certificate> {
        let ssl = self.stream.ssl();
        // The chain of a client stands without its leaf (SSL_get_peer_cert_chain(3)).
        let leaf = if ssl.is_server() { ssl.peer_certificate() } else { None };
        let chain = ssl.peer_cert_chain().into_iter().flatten();
        let certificates = leaf.as_deref().into_iter().chain(chain);
        certificates.filter_map(|it| it.to_der().ok()).map(Certificate::from_peer).collect()
    }

    fn peer_certificate(&self) -> Option<Certificate> {
        let leaf = self.stream.ssl().peer_certificate()?;
        leaf.to_der().ok().map(Certificate::from_peer)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let label = std::str::from_utf8(label)
            .map_err(|error| Error::internal("a label that is not ASCII").with_source(error))?;
        let ssl = self.stream.ssl();
        ssl.export_keying_material(output, label, context).map_err(error::internal)
    }
}

impl Drop for TlsSession {
    fn drop(&mut self) {
        // Or the library would forbid that the session is resumed (SSL_set_shutdown(3)). A cut
        // connection is no reason to (RFC 5246, section 7.2.1).
        if self.failed.is_none() {
            self.stream.set_shutdown(ShutdownState::SENT | ShutdownState::RECEIVED);
        }
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("state", &self.stream.ssl().state_string_long())
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Reads until the buffer is full or nothing is at hand; also returns how many bytes came.
fn fill(stream: &mut SslStream<Lent>, buf: &mut [u8]) -> (usize, Stop) {
    let mut n = 0;
    loop {
        match stream.ssl_read(&mut buf[n..]) {
            Ok(read) => n += read,
            Err(error) => return (n, error.into()),
        }
        if n == buf.len() || !is_at_hand(stream) {
            return (n, Stop::Done);
        }
    }
}

/// Whether reading on may give something without new input.
fn is_at_hand(stream: &SslStream<Lent>) -> bool {
    stream.get_ref().0.has_record() || stream.ssl().pending() > 0
}

/// Writes everything; also returns how many bytes went.
fn drain(stream: &mut SslStream<Lent>, data: &[u8]) -> (usize, Stop) {
    let mut n = 0;
    // One record for each call, if the context came ready from `SslConnector`.
    while n < data.len() {
        match stream.ssl_write(&data[n..]) {
            Ok(written) => n += written,
            Err(error) => return (n, error.into()),
        }
    }
    (n, Stop::Done)
}

/// Where the library's stream object finds the wire during a call; empty between calls.
#[derive(Debug, Default)]
struct Lent(Wire);

impl io::Read for Lent {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl io::Write for Lent {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is known of the peer, kept with the library's object, where callbacks find it.
#[derive(Debug)]
pub(crate) struct Peer {
    name: Option<ServerName>,
    /// Where its sessions are kept.
    sessions: Option<Arc<Sessions>>,
    /// Why its certificate was refused.
    refused: OnceLock<Error>,
}

impl Peer {
    pub(crate) fn server(name: ServerName, sessions: Option<Arc<Sessions>>) -> Self {
        Self { name: Some(name), sessions, refused: OnceLock::new() }
    }

    pub(crate) fn client() -> Self {
        Self { name: None, sessions: None, refused: OnceLock::new() }
    }

    pub(crate) fn of(ssl: &SslRef) -> Option<&Self> {
        ssl.ex_data(Self::index().ok()?)
    }

    /// Keeps a session of this connection for the next one to the same server.
    pub(crate) fn keep(&self, session: SslSession) {
        if let (Some(name), Some(sessions)) = (&self.name, &self.sessions) {
            sessions.put(name, session);
        }
    }

    /// The server's name; a client has none.
    pub(crate) fn name(&self) -> Option<&ServerName> {
        self.name.as_ref()
    }

    /// Keeps the first reason to refuse the peer's certificate.
    pub(crate) fn refuse(&self, error: Error) {
        // A later reason follows from the first.
        let _ = self.refused.set(error);
    }

    /// Why the peer's certificate was refused.
    pub(crate) fn refused(&self) -> Option<&Error> {
        self.refused.get()
    }

    fn index() -> Result<Index<Ssl, Self>, ErrorStack> {
        static INDEX: OnceLock<Index<Ssl, Peer>> = OnceLock::new();
        match INDEX.get() {
            Some(index) => Ok(*index),
            // Two threads may both come here: the index of one of them stays unused.
            None => Ssl::new_ex_index().map(|index| *INDEX.get_or_init(|| index)),
        }
    }
}
