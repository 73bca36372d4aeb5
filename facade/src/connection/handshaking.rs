//! What the facade decides while a handshake is under way: before the session sees the input, when the
//! handshake is done, and when it has failed.

use polytls_core::observe::{self, Observer};
use polytls_core::{
    Alert, Certificate, CertificateReason, Error, ErrorKind, Negotiated, Phase, ServerName,
    Session, Verification, Wire, leaf,
};

use super::Input;

/// What is needed until the handshake is done, and only until then.
pub(super) struct Handshaking {
    pub(super) observer: Observer,
    /// A record has come: it is TLS.
    pub(super) speaks_tls: bool,
    /// The ClientHello has been judged.
    pub(super) offer_judged: bool,
    /// How many bytes have come.
    pub(super) received: usize,
    pub(super) role: Role,
}

pub(super) enum Role {
    Client { name: ServerName, verification: Option<Verification>, has_identity: bool },
    Server { alpn: std::sync::Arc<[Vec<u8>]>, checks_clients: bool },
}

/// How many bytes of ClientHello are gathered before it is shown to the library; a larger one is for
/// the library to judge.
const LONGEST_CLIENT_HELLO: usize = 64 << 10;

pub(super) enum Verdict {
    /// Call the session.
    Proceed,
    /// Wait for more bytes first.
    Wait,
}

impl Handshaking {
    /// Looks at the input before the session does: is it TLS at all, and has a whole ClientHello
    /// come, so that the policy can be applied to it?
    pub(super) fn judge_input(&mut self, wire: &mut Wire, input: &Input) -> Result<Verdict, Error> {
        let more_may_come = matches!(input, Input::Open);
        if !self.speaks_tls {
            if let Some(first) = observe::not_tls(wire.input()) {
                // A header's worth, unless there will be no more: one byte explains little.
                if wire.input().len() < 5 && more_may_come {
                    return Ok(Verdict::Wait);
                }
                return Err(Error::new(ErrorKind::PeerNotTls).with_first_bytes(first));
            }
            self.speaks_tls = wire.has_record();
        }
        if self.observer.awaits_client_hello() {
            let has_patience = wire.input().len() < LONGEST_CLIENT_HELLO;
            return Ok(if has_patience && more_may_come {
                Verdict::Wait
            } else {
                Verdict::Proceed
            });
        }
        if std::mem::replace(&mut self.offer_judged, true) || !self.lacks_common_alpn() {
            return Ok(Verdict::Proceed);
        }
        wire.outgoing().push(&observe::clear_alert(Alert::NO_APPLICATION_PROTOCOL));
        Err(Error::new(ErrorKind::NoCommonAlpn))
    }

    /// Whether client and server name application protocols, and none in common (RFC 7301, section
    /// 3.2).
    fn lacks_common_alpn(&self) -> bool {
        let Role::Server { alpn, .. } = &self.role else { return false };
        if alpn.is_empty() {
            return false;
        }
        let offered = self.observer.client_hello().map(|hello| hello.alpn).unwrap_or_default();
        !offered.is_empty() && !alpn.iter().any(|name| offered.contains(name))
    }

    /// Adds what was seen in clear to what the library tells.
    pub(super) fn complete(&self, negotiated: &mut Negotiated) {
        // A library that tells the version and the cipher suite tells the protocol as well.
        let told = negotiated.version.is_some() && negotiated.cipher_suite.is_some();
        let seen = if told { None } else { self.observer.server_hello() };
        if let Some(hello) = seen {
            negotiated.version = negotiated.version.or(hello.version);
            negotiated.cipher_suite = negotiated.cipher_suite.or(Some(hello.cipher_suite));
            if negotiated.alpn.is_none() {
                negotiated.alpn = hello.alpn.map(Vec::into_boxed_slice);
            }
        }
        if negotiated.server_name.is_none() {
            negotiated.server_name = match &self.role {
                Role::Client { name, .. } => name.dns_name().map(Into::into),
                Role::Server { .. } => {
                    let hello = self.observer.client_hello();
                    hello.and_then(|hello| hello.server_name).map(String::into_boxed_str)
                }
            };
        }
    }

    /// The one check of the peer's certificates that is the same for every backend.
    pub(super) fn check_peer(&self, session: &dyn Session, resumed: bool) -> Result<(), Error> {
        let name = match &self.role {
            Role::Server { checks_clients: false, .. } => return Ok(()),
            Role::Server { .. } => None,
            Role::Client { name, verification, .. } => match verification {
                // A ready configuration of the library keeps its own rules.
                None | Some(Verification::Nothing) => return Ok(()),
                Some(Verification::SkipHostname) => None,
                Some(_) => Some(name),
            },
        };
        if self.received > leaf::LONGEST_CHAIN {
            leaf::check_length(&session.peer_certificates())?;
        }
        match (session.peer_certificate(), name) {
            (Some(leaf), None) => leaf::check_usage(&leaf),
            (Some(leaf), Some(name)) => {
                leaf::check_usage(&leaf).and_then(|()| leaf::check_name(&leaf, name))
            }
            // The certificate was checked when the session was made, for the same name.
            (None, _) if resumed || matches!(self.role, Role::Server { .. }) => Ok(()),
            (None, _) => Err(Error::internal("the backend does not tell the peer's certificate")),
        }
    }

    /// Makes an error more precise by what was seen in clear.
    pub(super) fn refine(&self, error: Error) -> Error {
        let told = matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Internal)
            .then(|| self.observer.alert())
            .flatten();
        let error = match told {
            // Where no library expects it, a goodbye still ends the handshake as it does elsewhere.
            Some(Alert::CLOSE_NOTIFY) => {
                Error::new(ErrorKind::Truncated(Phase::Handshake)).with_source(error)
            }
            Some(alert) => Error::alert_received(alert).with_source(error),
            None => error,
        };
        let kind = match (error.kind(), &self.role) {
            // Before a ServerHello, only the offer can be what the server does not like.
            (ErrorKind::Alert(Alert::HANDSHAKE_FAILURE), _)
                if self.observer.server_hello().is_none() =>
            {
                ErrorKind::NoCommonCipherSuite
            }
            // RFC 5246, section 7.4.6: TLS 1.2 has no alert of its own for a missing certificate.
            (
                ErrorKind::Alert(Alert::HANDSHAKE_FAILURE),
                Role::Client { has_identity: false, .. },
            ) if self.observer.certificate_requested() => ErrorKind::ClientCertificateRequired,
            (kind, _) => kind,
        };
        let error = error.with_kind(kind);
        let ErrorKind::Certificate(reason) = kind else { return error };
        match self.observer.peer_certificates().as_slice() {
            [leaf, rest @ ..] => {
                let error = error.with_kind(ErrorKind::Certificate(first_reason(reason, leaf)));
                let Ok(details) = leaf.details() else { return error };
                let details = details.of_chain(1 + rest.len());
                error.with_certificate(match &self.role {
                    Role::Client { name, .. } => details.expecting(name),
                    Role::Server { .. } => details,
                })
            }
            _ => error,
        }
    }
}

/// Of a leaf with several faults, the one that every backend tells: what it is useless for from any
/// issuer and for any name comes first. The libraries look in different orders.
fn first_reason(reason: CertificateReason, leaf: &Certificate) -> CertificateReason {
    use CertificateReason as Reason;
    match reason {
        Reason::UnknownIssuer | Reason::NameMismatch | Reason::WrongUsage => {
            let fault = leaf::check_usage(leaf).err();
            fault.and_then(|error| error.certificate_reason()).unwrap_or(reason)
        }
        reason => reason,
    }
}
