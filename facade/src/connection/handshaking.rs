//! What the facade decides while a handshake is under way: before the session sees the input, when the
//! handshake is done, and when it has failed.

use polytls_core::observe::{self, Observer};
use polytls_core::{
    Alert, Certificate, CertificateReason, Error, ErrorKind, Negotiated, ServerName, Verification,
    Wire, leaf,
};

/// What is needed until the handshake is done, and only until then.
pub(super) struct Handshaking {
    pub(super) observer: Observer,
    /// A record has come: it is TLS.
    pub(super) speaks_tls: bool,
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
    pub(super) fn judge_input(&mut self, wire: &mut Wire, ended: bool) -> Result<Verdict, Error> {
        if !self.speaks_tls {
            if let Some(first) = observe::not_tls(wire.input()) {
                // A header's worth, unless there will be no more: one byte explains little.
                if wire.input().len() < 5 && !ended {
                    return Ok(Verdict::Wait);
                }
                return Err(Error::new(ErrorKind::PeerNotTls).with_first_bytes(first));
            }
            self.speaks_tls = wire.has_record();
        }
        let patience_left = wire.input().len() < LONGEST_CLIENT_HELLO;
        if self.observer.awaits_client_hello() && patience_left && !ended {
            return Ok(Verdict::Wait);
        }
        match (&self.role, self.observer.client_hello()) {
            (Role::Server { alpn, .. }, Some(hello)) if no_overlap(alpn, &hello.alpn) => {
                wire.outgoing().push(&observe::clear_alert(Alert::NO_APPLICATION_PROTOCOL));
                Err(Error::new(ErrorKind::NoCommonAlpn))
            }
            _ => Ok(Verdict::Proceed),
        }
    }

    /// Adds what was seen in clear to what the library tells.
    pub(super) fn complete(&self, negotiated: &mut Negotiated) {
        if let Some(hello) = self.observer.server_hello() {
            negotiated.version = negotiated.version.or(hello.version);
            negotiated.cipher_suite = negotiated.cipher_suite.or(Some(hello.cipher_suite));
            if negotiated.alpn.is_none() {
                negotiated.alpn = hello.alpn.as_deref().map(Into::into);
            }
        }
        if negotiated.server_name.is_none() {
            negotiated.server_name = match &self.role {
                Role::Client { name, .. } => name.dns_name().map(Into::into),
                Role::Server { .. } => self
                    .observer
                    .client_hello()
                    .and_then(|hello| hello.server_name.as_deref())
                    .map(Into::into),
            };
        }
    }

    /// The one check of the peer's leaf that is the same for every backend.
    pub(super) fn check_leaf(&self, chain: &[Certificate], resumed: bool) -> Result<(), Error> {
        let (name, verification) = match &self.role {
            // A ready configuration of the library keeps its own rules.
            Role::Client { verification: None, .. } => return Ok(()),
            Role::Client { name, verification: Some(verification), .. } => (name, *verification),
            Role::Server { checks_clients, .. } => {
                return match chain.first() {
                    Some(leaf) if *checks_clients => {
                        leaf::check_length(chain).and_then(|()| leaf::check_usage(leaf))
                    }
                    _ => Ok(()),
                };
            }
        };
        if verification == Verification::Nothing {
            return Ok(());
        }
        leaf::check_length(chain)?;
        match (verification, chain.first()) {
            (Verification::SkipHostname, Some(leaf)) => leaf::check_usage(leaf),
            (_, Some(leaf)) => leaf::check_usage(leaf).and_then(|()| leaf::check_name(leaf, name)),
            // The certificate was checked when the session was made, for the same name.
            (_, None) if resumed => Ok(()),
            (_, None) => Err(Error::internal("the backend does not tell the peer's certificate")),
        }
    }

    /// Makes an error more precise by what was seen in clear.
    pub(super) fn refine(&self, error: Error) -> Error {
        let told = matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Internal)
            .then(|| self.observer.alert())
            .flatten();
        let error = match told {
            Some(alert) if alert != Alert::CLOSE_NOTIFY => {
                Error::alert_received(alert).with_source(error)
            }
            _ => error,
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
        match (kind, self.observer.peer_certificates()) {
            (ErrorKind::Certificate(reason), [leaf, rest @ ..]) => {
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

/// Whether both sides name application protocols, and none in common (RFC 7301, section 3.2).
fn no_overlap(ours: &[Vec<u8>], theirs: &[Vec<u8>]) -> bool {
    !ours.is_empty() && !theirs.is_empty() && !ours.iter().any(|name| theirs.contains(name))
}
