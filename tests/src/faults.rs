//! Faults to plant: the suite is tested too.
//!
//! Most stand in a wrapper over a real backend. Some rules are kept above the backends, by the
//! facade; a fault in those is planted in the contexts that the bench hands out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polytls::contract::{
    Acceptor, ClientConfig, Connector, Handshake, Read, ServerConfig, Session, Wire,
};
use polytls::{
    Backend, Capabilities, Certificate, CertificateReason, ClientAuth, ClientContextBuilder, Error,
    ErrorKind, Negotiated, ProtocolVersion, Resumption, ServerContextBuilder, ServerName,
    Verification,
};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A transport that ends without close_notify passes for an end of data.
    SwallowsTruncation,
    /// Any name will do.
    SkipsHostName,
    /// Any issuer will do.
    SkipsChain,
    /// The minimum version is not heeded.
    IgnoresMinVersion,
    /// The maximum version is not heeded.
    IgnoresMaxVersion,
    /// The alert that goes with an error stays away.
    DropsAlert,
    /// An expired certificate is told as something else.
    MisreportsExpired,
    /// The last byte of a read is lost.
    LosesByte,
    /// A byte is written twice.
    DuplicatesByte,
    /// Nothing is ever said to be left inside.
    DeniesMore,
    /// Another application protocol is told than was agreed on.
    WrongAlpn,
    /// The server's order of application protocols is turned round.
    IgnoresAlpnOrder,
    /// The peer's certificates are not told.
    ForgetsPeerCertificates,
    /// The handshake is said to be done at once.
    DoneTooEarly,
    /// Input is asked for although a record is there.
    AsksForTooMuch,
    /// Bytes are taken, and lost, when there is no room.
    TakesWithoutRoom,
    /// No close_notify is sent.
    ClosesSilently,
    /// After the peer's close_notify, the end is forgotten.
    ForgetsTheEnd,
    /// Sessions are never resumed.
    NeverResumes,
    /// Keying material does not depend on the label.
    ConstantExport,
    /// Clients are not asked for a certificate.
    NeverAsksClients,
    /// The client's certificate is not presented.
    ForgetsIdentity,
    /// Output is held back until the next call.
    HoldsOutputBack,
    /// A second call of a finished handshake fails.
    HandshakeOnce,
    /// The backend takes any name; the facade does not.
    BackendSkipsHostName,
    /// The backend serves whatever application protocol, or none, where nothing is in common.
    BackendIgnoresAlpnMismatch,
}

impl Fault {
    /// Every fault, and the case that is meant to catch it.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::SwallowsTruncation, "close::truncated_data"),
        (Self::SkipsHostName, "verification::wrong_name"),
        (Self::SkipsChain, "verification::unknown_ca"),
        (Self::IgnoresMinVersion, "version::minimum"),
        (Self::IgnoresMaxVersion, "version::maximum"),
        (Self::DropsAlert, "contract::alert_is_queued_with_the_error"),
        (Self::MisreportsExpired, "verification::expired"),
        (Self::LosesByte, "data::sizes"),
        (Self::DuplicatesByte, "data::sizes"),
        (Self::DeniesMore, "close::data_and_close_together"),
        (Self::WrongAlpn, "alpn::server_preference"),
        (Self::IgnoresAlpnOrder, "alpn::server_preference"),
        (Self::ForgetsPeerCertificates, "handshake::peer_certificate"),
        (Self::DoneTooEarly, "handshake::both_ways"),
        (Self::AsksForTooMuch, "contract::needs_input_is_exact"),
        (Self::TakesWithoutRoom, "data::full_buffer_then_other_bytes"),
        (Self::ClosesSilently, "close::clean"),
        (Self::ForgetsTheEnd, "close::read_after_close_notify"),
        (Self::NeverResumes, "resumption::second_connection"),
        (Self::ConstantExport, "handshake::exporter"),
        (Self::NeverAsksClients, "client_auth::required"),
        (Self::ForgetsIdentity, "client_auth::required"),
        (Self::HoldsOutputBack, "contract::written_is_queued"),
        (Self::HandshakeOnce, "contract::handshake_again"),
    ];

    /// Faults that the facade makes good, and the case that passes all the same.
    pub const COVERED: &'static [(Self, &'static str)] = &[
        (Self::BackendSkipsHostName, "verification::wrong_name"),
        (Self::BackendIgnoresAlpnMismatch, "alpn::nothing_in_common"),
    ];

    /// The backend with this fault; the wrapper lives as long as the process, as backends do.
    pub fn plant(self, backend: &'static dyn Backend) -> &'static dyn Backend {
        Box::leak(Box::new(FaultyBackend { inner: backend, fault: self }))
    }

    /// The fault in a client's context, when it is one of the facade's rules.
    pub fn loosen_client(self, client: ClientContextBuilder) -> ClientContextBuilder {
        match self {
            Self::SwallowsTruncation => client.tolerate_truncation(),
            Self::SkipsHostName => client.danger_verification(Verification::SkipHostname),
            _ => client,
        }
    }

    /// The fault in a server's context, when it is one of the facade's rules.
    pub fn loosen_server(self, server: ServerContextBuilder) -> ServerContextBuilder {
        match self {
            Self::SwallowsTruncation => server.tolerate_truncation(),
            _ => server,
        }
    }
}

#[derive(Debug)]
struct FaultyBackend {
    inner: &'static dyn Backend,
    fault: Fault,
}

impl Backend for FaultyBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn connector(&'static self, config: &ClientConfig) -> Result<Arc<dyn Connector>, Error> {
        let config = config.clone();
        let config = match self.fault {
            Fault::SkipsChain => config.with_verification(Verification::Nothing),
            Fault::BackendSkipsHostName => config.with_verification(Verification::SkipHostname),
            Fault::IgnoresMinVersion => config.with_min_version(ProtocolVersion::Tls12),
            Fault::IgnoresMaxVersion => config.with_max_version(ProtocolVersion::Tls13),
            Fault::NeverResumes => config.with_resumption(Resumption::Disabled),
            Fault::ForgetsIdentity => without_identity(&config),
            _ => config,
        };
        let inner = self.inner.connector(&config)?;
        Ok(Arc::new(FaultyConnector { inner, backend: self }))
    }

    fn acceptor(&'static self, config: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error> {
        let config = config.clone();
        let config = match self.fault {
            Fault::IgnoresMinVersion => config.with_min_version(ProtocolVersion::Tls12),
            Fault::IgnoresAlpnOrder => {
                let turned: Vec<_> = config.alpn().iter().rev().cloned().collect();
                config.with_alpn(turned)
            }
            Fault::BackendIgnoresAlpnMismatch => config.with_alpn::<Vec<u8>>([]),
            Fault::NeverAsksClients => config.with_client_auth(ClientAuth::None),
            _ => config,
        };
        let inner = self.inner.acceptor(&config)?;
        Ok(Arc::new(FaultyAcceptor { inner, backend: self }))
    }
}

/// The configuration as it was before an identity was given; there is no taking one away.
fn without_identity(config: &ClientConfig) -> ClientConfig {
    ClientConfig::default()
        .with_trust(config.trust().clone())
        .with_verification(config.verification())
        .with_min_version(config.min_version())
        .with_max_version(config.max_version())
        .with_alpn(config.alpn().to_vec())
        .with_resumption(config.resumption())
}

#[derive(Debug)]
struct FaultyConnector {
    inner: Arc<dyn Connector>,
    backend: &'static FaultyBackend,
}

impl Connector for FaultyConnector {
    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error> {
        Ok(FaultySession::over(self.inner.start(name)?, self.backend.fault))
    }
}

#[derive(Debug)]
struct FaultyAcceptor {
    inner: Arc<dyn Acceptor>,
    backend: &'static FaultyBackend,
}

impl Acceptor for FaultyAcceptor {
    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        Ok(FaultySession::over(self.inner.start()?, self.backend.fault))
    }
}

#[derive(Debug)]
struct FaultySession {
    inner: Box<dyn Session>,
    fault: Fault,
    /// The fault has shown, where once is enough.
    shown: AtomicBool,
    held: Vec<u8>,
}

impl FaultySession {
    fn over(inner: Box<dyn Session>, fault: Fault) -> Box<dyn Session> {
        Box::new(Self { inner, fault, shown: AtomicBool::new(false), held: Vec::new() })
    }

    fn first_time(&self) -> bool {
        !self.shown.swap(true, Ordering::Relaxed)
    }
}

impl Session for FaultySession {
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error> {
        match self.fault {
            Fault::DoneTooEarly if self.first_time() => {
                self.inner.handshake(wire)?;
                return Ok(Handshake::Done);
            }
            Fault::AsksForTooMuch if wire.has_record() && self.first_time() => {
                return Ok(Handshake::NeedsInput);
            }
            _ => {}
        }
        let before = wire.output().len();
        let outcome = self.inner.handshake(wire);
        match (self.fault, &outcome) {
            (Fault::DropsAlert, Err(_)) => {
                let kept = wire.output().get(..before).unwrap_or_default().to_vec();
                wire.outgoing().clear();
                wire.outgoing().push(&kept);
            }
            (Fault::HandshakeOnce, Ok(Handshake::Done)) if !self.first_time() => {
                return Err(Error::internal("planted"));
            }
            _ => {}
        }
        outcome.map_err(|error| match (self.fault, error.kind()) {
            (Fault::MisreportsExpired, ErrorKind::Certificate(CertificateReason::Expired)) => {
                error.with_kind(ErrorKind::Certificate(CertificateReason::Other))
            }
            _ => error,
        })
    }

    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        let outcome = self.inner.read(wire, buf)?;
        Ok(match (self.fault, outcome) {
            (Fault::LosesByte, Read::Data { n, more }) if n > 1 && self.first_time() => {
                Read::Data { n: n - 1, more }
            }
            (Fault::DeniesMore, Read::Data { n, .. }) => Read::Data { n, more: false },
            (Fault::ForgetsTheEnd, Read::Closed) if !self.first_time() => Read::NeedsInput,
            (_, outcome) => outcome,
        })
    }

    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        match self.fault {
            Fault::TakesWithoutRoom if wire.room() == 0 => return Ok(data.len()),
            Fault::DuplicatesByte if self.first_time() => {
                self.inner.write(wire, &data[..1])?;
            }
            _ => {}
        }
        let before = wire.output().len();
        wire.outgoing().push(&std::mem::take(&mut self.held));
        let n = self.inner.write(wire, data)?;
        if self.fault == Fault::HoldsOutputBack {
            let queued = wire.output().to_vec();
            let (kept, held) = queued.split_at(before.min(queued.len()));
            wire.outgoing().clear();
            wire.outgoing().push(kept);
            self.held = held.to_vec();
        }
        Ok(n)
    }

    fn close(&mut self, wire: &mut Wire) -> Result<(), Error> {
        match self.fault {
            Fault::ClosesSilently => Ok(()),
            _ => self.inner.close(wire),
        }
    }

    fn negotiated(&self) -> Negotiated {
        let mut negotiated = self.inner.negotiated();
        if self.fault == Fault::WrongAlpn && negotiated.alpn.is_some() {
            negotiated.alpn = Some(b"planted".as_slice().into());
        }
        negotiated
    }

    fn peer_certificates(&self) -> Vec<Certificate> {
        match self.fault {
            Fault::ForgetsPeerCertificates => Vec::new(),
            _ => self.inner.peer_certificates(),
        }
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        match self.fault {
            Fault::ConstantExport => {
                output.fill(7);
                Ok(())
            }
            _ => self.inner.export_keying_material(output, label, context),
        }
    }
}
