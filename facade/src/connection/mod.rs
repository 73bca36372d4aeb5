//! One connection, free of I/O: session, ciphertext and policy.

mod exporter;
pub(crate) mod facts;
mod handshaking;
pub(crate) mod output;

use std::fmt;
use std::io;

use polytls_core::observe::{Observer, Side};
use polytls_core::{
    Alert, Backend, Certificate, Error, ErrorKind, Gathered, Handshake, Incoming, Negotiated,
    Phase, ProtocolVersion, Read, ServerName, Session, Wire,
};

use handshaking::{Handshaking, Role, Verdict};
use output::Delivery;

use crate::context::{ClientContext, ServerContext, Truncation};

/// How far an operation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// It is done.
    Ready(T),
    /// It waits for bytes of the peer; send the output first.
    NeedsInput,
    /// It waits until output has been sent.
    NeedsOutput,
}

impl<T> Progress<T> {
    #[inline]
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Ready(done) => Progress::Ready(change(done)),
            Self::NeedsInput => Progress::NeedsInput,
            Self::NeedsOutput => Progress::NeedsOutput,
        }
    }
}

/// A TLS connection that never touches a socket: bytes in, bytes out.
///
/// The blocking and the tokio streams drive it, and another runtime can:
///
/// 1. call [`handshake`](Self::handshake), [`read`](Self::read), [`write`](Self::write) or
///    [`close`](Self::close);
/// 2. send what [`output`](Self::output) holds, also when the call failed (it may be the alert that
///    tells the peer why), and say how much went with [`sent`](Self::sent);
/// 3. on [`Progress::NeedsInput`], receive into [`input`](Self::input) and say how much came with
///    [`received`](Self::received), or [`ended`](Self::ended) when the transport has ended.
///
/// After an error every later call returns that error.
pub struct Connection {
    session: Box<dyn Session>,
    wire: Wire,
    backend: &'static dyn Backend,
    side: Side,
    stage: Stage,
    input: Input,
    truncation: Truncation,
    /// The session holds something that it can give without new input.
    more: bool,
    /// How many bytes of the output are, at most, what reading has put there.
    answers: usize,
    delivery: Delivery,
    /// close_notify is queued or sent.
    closed: bool,
    failed: Option<Error>,
}

enum Stage {
    Handshaking(Box<Handshaking>),
    Open(Box<Negotiated>),
}

/// Where the incoming direction stands.
enum Input {
    Open,
    /// The peer sent close_notify.
    Closed,
    /// Nobody here wants to read any more.
    Stopped,
    /// The transport ended; with the system's error, if it was one.
    Ended(Option<io::ErrorKind>),
}

impl Connection {
    /// Starts a client's connection to the server of this name. Nothing is sent before the first
    /// call.
    ///
    /// # Errors
    ///
    /// `ServerName` for a name that the backend cannot represent.
    pub fn client(context: &ClientContext, name: &ServerName) -> Result<Self, Error> {
        let role = Role::Client {
            name: name.clone(),
            verification: context.verification(),
            has_identity: context.has_identity(),
        };
        let backend = context.backend();
        let session = context.connector().start(name);
        let session = session.map_err(|error| error.with_backend(backend.name()))?;
        Ok(Self::new(session, backend, role, context.truncation()))
    }

    /// Starts a server's side of a connection.
    ///
    /// # Errors
    ///
    /// `Internal` when the backend has no memory for one more connection.
    pub fn server(context: &ServerContext) -> Result<Self, Error> {
        let role =
            Role::Server { alpn: context.alpn().clone(), checks_clients: context.checks_clients() };
        let backend = context.backend();
        let session = context.acceptor().start();
        let session = session.map_err(|error| error.with_backend(backend.name()))?;
        Ok(Self::new(session, backend, role, context.truncation()))
    }

    fn new(
        session: Box<dyn Session>,
        backend: &'static dyn Backend,
        role: Role,
        truncation: Truncation,
    ) -> Self {
        let side = match role {
            Role::Client { .. } => Side::Client,
            Role::Server { .. } => Side::Server,
        };
        let observer = Observer::new(side);
        let handshaking =
            Handshaking { observer, speaks_tls: false, offer_judged: false, received: 0, role };
        Self {
            session,
            wire: Wire::default(),
            backend,
            side,
            stage: Stage::Handshaking(Box::new(handshaking)),
            input: Input::Open,
            truncation,
            more: false,
            answers: 0,
            delivery: Delivery::default(),
            closed: false,
            failed: None,
        }
    }

    /// Takes the handshake as far as it goes; once it is done, does nothing.
    ///
    /// # Errors
    ///
    /// `Certificate`, `CertificateRejected`, `ClientCertificateRequired`, `NoCommonVersion`,
    /// `NoCommonCipherSuite`, `NoCommonAlpn`, `PeerNotTls`, `Protocol`, `Alert`, `Truncated`; and
    /// `Closed` after [`close`](Self::close).
    #[inline]
    pub fn handshake(&mut self) -> Result<Progress<()>, Error> {
        if self.is_open() { Ok(Progress::Ready(())) } else { self.step() }
    }

    fn step(&mut self) -> Result<Progress<()>, Error> {
        self.check_failed()?;
        let Stage::Handshaking(handshaking) = &mut self.stage else {
            return Ok(Progress::Ready(()));
        };
        if self.closed {
            return Err(Error::new(ErrorKind::Closed));
        }
        match handshaking.judge_input(&mut self.wire, &self.input) {
            Ok(Verdict::Proceed) => {}
            Ok(Verdict::Wait) => return Ok(Progress::NeedsInput),
            Err(error) => return Err(self.fail(error)),
        }
        let before = self.wire.output().len();
        let outcome = self.session.handshake(&mut self.wire);
        if let Some(new) = self.wire.output().get(before..) {
            handshaking.observer.outgoing(new);
        }
        match outcome {
            Ok(Handshake::Done) => self.finish_handshake(),
            Ok(Handshake::NeedsInput) => {
                // A goodbye ends a handshake as the transport's end does; not every library says so.
                if handshaking.observer.alert() == Some(Alert::CLOSE_NOTIFY) {
                    self.ended(None);
                }
                self.wait_for_input(Phase::Handshake)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Reads plaintext, after the handshake; `Ready(0)` when the peer has closed, or when `buf` is
    /// empty.
    ///
    /// # Errors
    ///
    /// `Truncated` when the transport has ended without close_notify; `Protocol`, `Alert` and what
    /// a TLS 1.3 server says late: `CertificateRejected`, `ClientCertificateRequired`; as
    /// [`handshake`](Self::handshake) while that is not done.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Progress<usize>, Error> {
        let shaken = self.handshake()?;
        if shaken != Progress::Ready(()) {
            return Ok(shaken.map(|()| 0));
        }
        if buf.is_empty() || matches!(self.input, Input::Closed | Input::Stopped) {
            return Ok(Progress::Ready(0));
        }
        if self.more || self.wire.has_record() {
            // Answers to what the peer asks for (KeyUpdate) must not pile up without bound. What was
            // written here does not count: two ends that both write would wait for each other to read.
            if self.answers >= Wire::LIMIT {
                return Ok(Progress::NeedsOutput);
            }
            let before = self.wire.output().len();
            let outcome = self.session.read(&mut self.wire, buf);
            self.answers += self.wire.output().len().saturating_sub(before);
            match outcome {
                Ok(Read::Data { n, more }) => {
                    self.more = more;
                    return Ok(Progress::Ready(n));
                }
                Ok(Read::NeedsInput) => self.more = false,
                Ok(Read::Closed) => {
                    self.more = false;
                    self.input = Input::Closed;
                    return Ok(Progress::Ready(0));
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(self.wait_for_input(Phase::Read)?.map(|()| 0))
    }

    /// Encrypts as much of `data` as there is room for, after the handshake, and returns how much
    /// that was: at most 48 KiB, and 0 only when `data` is empty.
    ///
    /// # Errors
    ///
    /// `Closed` after [`close`](Self::close); as [`handshake`](Self::handshake) while that is not
    /// done.
    pub fn write(&mut self, data: &[u8]) -> Result<Progress<usize>, Error> {
        let shaken = self.handshake()?;
        if shaken != Progress::Ready(()) {
            return Ok(shaken.map(|()| 0));
        }
        if self.closed {
            return Err(Error::new(ErrorKind::Closed));
        }
        if data.is_empty() {
            return Ok(Progress::Ready(0));
        }
        if self.wire.room() == 0 {
            return Ok(Progress::NeedsOutput);
        }
        match self.session.write(&mut self.wire, data) {
            // There is room, so it is something else: OpenSSL wants the rest of a message of the peer
            // (a ticket in pieces, say) before it writes on.
            Ok(0) if matches!(self.input, Input::Open) => Ok(Progress::NeedsInput),
            Ok(0) if matches!(self.input, Input::Stopped) => {
                Err(self.fail(Error::new(ErrorKind::Closed)))
            }
            Ok(0) => Err(self.fail(Error::new(ErrorKind::Truncated(Phase::Write)))),
            Ok(n) => {
                self.wire.outgoing().mark_written();
                Ok(Progress::Ready(n))
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// [`write`](Self::write) of several pieces: small ones share a record.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> Result<Progress<usize>, Error> {
        if let [only] = parts {
            return self.write(only);
        }
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        match (filled.next(), filled.next()) {
            (None, _) => self.write(&[]),
            (Some(only), None) => self.write(only),
            // A full record gains nothing by a copy, and neither does what has no room.
            (Some(first), Some(_)) if first.len() >= FULL_RECORD || self.wire.room() == 0 => {
                self.write(first)
            }
            (Some(_), Some(_)) => {
                let gathered = Gathered::new(parts, self.wire.room());
                self.write(&gathered)
            }
        }
    }

    /// Queues close_notify, once; reading goes on until the peer closes too. Before the handshake is
    /// done there is nothing to say, and the connection is over.
    ///
    /// # Errors
    ///
    /// The error of an earlier call.
    pub fn close(&mut self) -> Result<(), Error> {
        if matches!(&self.failed, Some(error) if error.kind() == ErrorKind::Closed) {
            return Ok(());
        }
        self.check_failed()?;
        if std::mem::replace(&mut self.closed, true) || self.is_handshaking() {
            return Ok(());
        }
        self.session.close(&mut self.wire).map_err(|error| self.fail(error))
    }

    /// Where the transport's next bytes go.
    pub fn input(&mut self) -> &mut [u8] {
        self.wire.incoming().space()
    }

    /// Takes note of `n` bytes that were stored at the front of [`input`](Self::input).
    pub fn received(&mut self, n: usize) {
        let records = self.wire.incoming().received(n);
        if let Stage::Handshaking(handshaking) = &mut self.stage {
            handshaking.received += n;
            handshaking.observer.incoming(records);
        }
    }

    /// Takes bytes that came before this connection was made: the beginning of the peer's TLS.
    pub fn received_before(&mut self, bytes: &[u8]) {
        let records = self.wire.incoming().push(bytes);
        if let Stage::Handshaking(handshaking) = &mut self.stage {
            handshaking.received += bytes.len();
            handshaking.observer.incoming(records);
        }
    }

    /// Takes note that the transport has ended and brings nothing more; with the system's error, if
    /// it was one (a reset, say).
    pub fn ended(&mut self, error: Option<&io::Error>) {
        if matches!(self.input, Input::Open) {
            self.input = Input::Ended(error.map(io::Error::kind));
        }
    }

    /// Gives back buffers that hold nothing, and shrinks those that hold little: for a connection
    /// that now waits.
    pub fn park(&mut self) {
        self.wire.incoming().park();
    }

    /// Whether the handshake is not done yet.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshaking(_))
    }

    /// Whether the handshake is done, and nothing has failed.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_)) && self.failed.is_none()
    }

    /// Whether the peer has sent close_notify, and it has been read.
    pub fn is_closed_by_peer(&self) -> bool {
        matches!(self.input, Input::Closed)
    }

    /// Whether close_notify is queued or sent.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The error that ended this connection.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// The backend.
    pub fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    /// What the handshake agreed on; `None` while it is not done.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.stage {
            Stage::Open(negotiated) => Some(negotiated),
            Stage::Handshaking(_) => None,
        }
    }

    /// The peer's certificates, leaf first; empty while the handshake is not done.
    pub fn peer_certificates(&self) -> Vec<Certificate> {
        if self.is_handshaking() { Vec::new() } else { self.session.peer_certificates() }
    }

    /// The peer's leaf certificate; `None` while the handshake is not done, or when it sent none.
    pub fn peer_certificate(&self) -> Option<Certificate> {
        if self.is_handshaking() { None } else { self.session.peer_certificate() }
    }

    /// Fills `output` with keying material (RFC 5705; RFC 8446, section 7.5), the same on both ends:
    /// 1 to 8,160 bytes, for a label of 1 to 249 bytes of ASCII and a context of at most 709 bytes. Of
    /// more context, pass a hash.
    ///
    /// # Errors
    ///
    /// `Config` for anything else, for a label that TLS itself uses, and while the handshake is not
    /// done; `Unsupported` without the capability `Exporter`.
    pub fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.check_failed()?;
        if self.is_handshaking() {
            return Err(Error::new(ErrorKind::Config)
                .with_detail("keying material exists once the handshake is done"));
        }
        exporter::check(output, label, context)?;
        let exported = self.session.export_keying_material(output, label, context);
        exported.map_err(|error| error.with_backend(self.backend.name()))
    }

    /// Whether the peer cannot finish its handshake before it gets what is queued here. Otherwise
    /// that is a TLS 1.3 server's session tickets, which may as well leave with its first data.
    pub(crate) fn peer_waits_for_output(&self) -> bool {
        let version = self.negotiated().and_then(|negotiated| negotiated.version);
        self.side == Side::Client || version != Some(ProtocolVersion::Tls13)
    }

    /// Lets `receive` store bytes at the input's end.
    #[inline]
    pub(crate) fn receiving(
        &mut self,
        receive: impl FnOnce(&mut Incoming) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let result = receive(self.wire.incoming());
        self.received(*result.as_ref().unwrap_or(&0));
        result
    }

    /// Takes the input buffer out, for a system call during which the connection is not locked.
    pub(crate) fn lend_incoming(&mut self) -> Incoming {
        std::mem::take(self.wire.incoming())
    }

    /// Puts the input buffer back with `n` more bytes in it.
    pub(crate) fn return_incoming(&mut self, incoming: Incoming, n: usize) {
        *self.wire.incoming() = incoming;
        self.received(n);
    }

    /// Takes note that nobody here wants to read any more.
    pub(crate) fn stop_reading(&mut self) {
        if matches!(self.input, Input::Open) {
            self.input = Input::Stopped;
        }
    }

    /// Takes note that this side has ended the transport: what follows from that is not the peer's
    /// doing.
    pub(crate) fn ended_here(&mut self) {
        if self.failed.is_none() {
            self.failed = Some(Error::new(ErrorKind::Closed));
        }
    }

    /// Ends the connection for a reason that its driver found; every later call returns it.
    pub(crate) fn abort(&mut self, error: Error) -> Error {
        self.fail(error)
    }

    /// The input that no session has taken.
    pub(crate) fn unread_input(&self) -> &[u8] {
        self.wire.input()
    }

    fn check_failed(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// The session needs input: is there hope for any?
    fn wait_for_input(&mut self, phase: Phase) -> Result<Progress<()>, Error> {
        let cause = match &self.input {
            Input::Open => return Ok(Progress::NeedsInput),
            // Without its last flight, there is no telling who the peer is.
            Input::Stopped if phase == Phase::Handshake => {
                return Err(self.fail(Error::new(ErrorKind::Closed)));
            }
            Input::Closed | Input::Stopped => return Ok(Progress::Ready(())),
            Input::Ended(cause) => *cause,
        };
        // A record cut in the middle is never a proper end.
        let between_records = self.wire.input().is_empty();
        if phase == Phase::Read && between_records && self.truncation == Truncation::Tolerated {
            return Ok(Progress::Ready(()));
        }
        let error = Error::new(ErrorKind::Truncated(phase));
        Err(self.fail(match cause {
            Some(kind) => error.with_source(io::Error::from(kind)),
            None => error,
        }))
    }

    fn finish_handshake(&mut self) -> Result<Progress<()>, Error> {
        let mut negotiated = self.session.negotiated();
        if let Stage::Handshaking(handshaking) = &self.stage {
            handshaking.complete(&mut negotiated);
            let resumed = negotiated.resumed == Some(true);
            if let Err(error) = handshaking.check_peer(&*self.session, resumed) {
                // The last flight would tell a peer that is refused that it is not, and give it our
                // certificate or a ticket.
                self.wire.outgoing().clear();
                return Err(self.fail(error));
            }
        }
        #[cfg(feature = "tracing")]
        tracing::debug!(
            backend = self.backend.name(),
            version = ?negotiated.version,
            cipher_suite = ?negotiated.cipher_suite,
            resumed = ?negotiated.resumed,
            "handshake done"
        );
        self.stage = Stage::Open(Box::new(negotiated));
        // What came right behind the handshake may be inside the session already.
        self.more = true;
        Ok(Progress::Ready(()))
    }

    /// Remembers the error, which every later call returns, as the facade knows it better.
    fn fail(&mut self, error: Error) -> Error {
        let error = match &self.stage {
            Stage::Handshaking(handshaking) => handshaking.refine(error),
            Stage::Open(_) => error,
        };
        let error = error.with_backend(self.backend.name());
        #[cfg(feature = "tracing")]
        tracing::debug!(backend = self.backend.name(), %error, "connection failed");
        self.failed = Some(error.clone());
        error
    }
}

/// The most plaintext in one record (RFC 8446, section 5.1).
const FULL_RECORD: usize = 1 << 14;

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("backend", &self.backend.name())
            .field("handshaking", &self.is_handshaking())
            .field("closed", &self.closed)
            .field("closed_by_peer", &self.is_closed_by_peer())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
