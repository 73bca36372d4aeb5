//! The one line that a person reads: what happened, and what to do.

use std::borrow::Cow;
use std::fmt;

use super::{CertificateReason, Error, ErrorKind, IdentityReason, TrustReason};
use crate::certificate::CertificateDetails;

/// Writes the line. The source is never repeated: whoever prints a chain prints it once.
pub(super) fn write(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error.kind() {
        ErrorKind::Certificate(reason) => certificate(reason, error.certificate_details(), f)?,
        kind => f.write_str(&headline(kind, error))?,
    }
    if let Some(detail) = &error.0.detail {
        write!(f, ": {detail}")?;
    }
    if let Some(bytes) = error.first_bytes() {
        write!(f, ", first bytes \"{}\"", bytes.escape_ascii())?;
    }
    if let Some(path) = error.path() {
        write!(f, " ({})", path.display())?;
    }
    Ok(())
}

fn headline(kind: ErrorKind, error: &Error) -> String {
    match kind {
        ErrorKind::Resolve => "the host name could not be resolved".into(),
        ErrorKind::Connect => "no connection could be made".into(),
        ErrorKind::Io => match error.io_kind() {
            std::io::ErrorKind::Other => "the transport failed".into(),
            system => format!("the transport failed ({system})"),
        },
        ErrorKind::Timeout(phase) => format!("timed out while {}", during(phase)),
        ErrorKind::Closed => "the connection is closed on this side".into(),
        ErrorKind::Truncated(phase) => format!(
            "the peer ended the connection without close_notify while {}",
            during(phase)
        ),
        ErrorKind::PeerNotTls => {
            "the peer does not speak TLS here; check the port and whether an upgrade is needed first"
                .into()
        }
        ErrorKind::PlaintextBeforeTls => {
            "unread plaintext before the TLS handshake; it may have been injected".into()
        }
        ErrorKind::Protocol => "the peer broke the TLS protocol".into(),
        ErrorKind::NoCommonVersion => {
            "no TLS version in common; compare the minimum and maximum of both sides".into()
        }
        ErrorKind::NoCommonCipherSuite => {
            "no cipher suite, group or signature scheme in common".into()
        }
        ErrorKind::NoCommonAlpn => "no application protocol (ALPN) in common".into(),
        ErrorKind::Certificate(reason) => format!("certificate refused, {reason}"),
        ErrorKind::CertificateRejected(alert) => {
            format!("the peer refuses our certificate (alert {alert})")
        }
        ErrorKind::ClientCertificateRequired => {
            "the server demands a client certificate; give the client context an identity".into()
        }
        ErrorKind::Alert(alert) => format!("the peer gave up with alert {alert}"),
        ErrorKind::Identity(reason) => match reason {
            IdentityReason::NoCertificate => "no certificate found",
            IdentityReason::NoKey => "no private key found",
            IdentityReason::KeyEncrypted => "the private key is encrypted; decrypt it first",
            IdentityReason::KeyMismatch => "the private key does not belong to the certificate",
            IdentityReason::Malformed => "certificate or private key cannot be used",
            IdentityReason::File => "certificate or key file cannot be read",
        }
        .into(),
        ErrorKind::Trust(reason) => match reason {
            TrustReason::NoRoots => "no trusted root certificate found",
            TrustReason::BadAnchor => "a certificate cannot be a trust anchor",
            TrustReason::Malformed => "trusted certificates cannot be parsed",
            TrustReason::File => "file of trusted certificates cannot be read",
        }
        .into(),
        ErrorKind::ServerName => "not a host name or IP address that TLS can verify".into(),
        ErrorKind::Config => "options contradict each other".into(),
        ErrorKind::Unsupported(capability) => match error.backend() {
            Some(backend) => format!("the {backend} backend cannot do {capability} here"),
            None => format!("this backend cannot do {capability} here"),
        },
        ErrorKind::NoBackend => {
            "no TLS backend is compiled in; enable one of polytls' features rustls, openssl, native"
                .into()
        }
        ErrorKind::Internal => "internal error, please report it".into(),
    }
}

fn during(phase: super::Phase) -> String {
    match phase {
        super::Phase::Handshake => "shaking hands".into(),
        phase => phase.to_string(),
    }
}

fn certificate(
    reason: CertificateReason,
    details: Option<&CertificateDetails>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    use CertificateReason as Reason;
    match (reason, details) {
        (Reason::Expired, Some(details)) => {
            let end = &details.validity;
            write!(f, "certificate expired {} ({})", end.since_end(), end.end_date())
        }
        (Reason::NotYetValid, Some(details)) => {
            let start = &details.validity;
            write!(f, "certificate not valid for another {} (from {}); check this machine's clock",
                start.until_start(), start.start_date())
        }
        (Reason::NameMismatch, Some(details)) => {
            f.write_str("certificate is for another name")?;
            if let Some(name) = &details.expected_name {
                write!(f, " than {name}")?;
            }
            match details.names.as_slice() {
                [] => f.write_str(
                    ": it has no subjectAltName, and the common name is not looked at (RFC 9525)",
                ),
                names => write!(f, ": it is for {}", list(names)),
            }
        }
        (Reason::UnknownIssuer, Some(details)) => {
            write!(f, "certificate of an issuer that is not trusted: {}", cut(&details.issuer, LONGEST_ISSUER))?;
            match (details.self_issued, details.chain_length) {
                (true, _) => f.write_str("; it is self-signed: trust it by name, or its authority"),
                (false, Some(1)) => {
                    f.write_str("; the peer sent no intermediate certificate, which it may have to")
                }
                _ => Ok(()),
            }
        }
        (Reason::Expired, None) => f.write_str("certificate expired"),
        (Reason::NotYetValid, None) => {
            f.write_str("certificate not valid yet; check this machine's clock")
        }
        (Reason::NameMismatch, None) => f.write_str("certificate is for another name"),
        (Reason::UnknownIssuer, None) => {
            f.write_str("certificate of an issuer that is not trusted")
        }
        (Reason::Revoked, _) => f.write_str("certificate revoked by its issuer"),
        (Reason::BadSignature, _) => f.write_str("certificate with a wrong signature in its chain"),
        (Reason::WrongUsage, _) => f.write_str(
            "certificate not meant for this use; check its (extended) key usage",
        ),
        (Reason::CaUsedAsEndEntity, _) => f.write_str(
            "certificate of an authority (CA:TRUE) used as a server's or client's own; issue one with CA:FALSE",
        ),
        (Reason::NameConstraints, _) => {
            f.write_str("certificate whose issuer may not issue for this name (name constraints)")
        }
        (Reason::PathTooLong, _) => {
            f.write_str("certificate with more authorities above it than allowed")
        }
        (Reason::BadEncoding, _) => f.write_str("certificate that is not well-formed"),
        (Reason::UnsupportedVersion, _) => {
            f.write_str("certificate that is not X.509 version 3")
        }
        (Reason::UnsupportedAlgorithm, _) => {
            f.write_str("certificate with an unknown or too weak key or signature algorithm")
        }
        (Reason::Other, _) => f.write_str("certificate refused"),
    }
}

/// How many names of a certificate are listed: it may be for thousands.
const LISTED: usize = 8;

/// No DNS name is longer (RFC 1035, section 2.3.4, without the dot at its end).
const LONGEST_NAME: usize = 253;

/// Longer than what authorities call themselves.
const LONGEST_ISSUER: usize = 256;

fn list(names: &[String]) -> String {
    let listed: Vec<_> = names.iter().take(LISTED).map(|name| cut(name, LONGEST_NAME)).collect();
    match names.len().saturating_sub(LISTED) {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// The beginning of what a peer may have made as long as it liked.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]).into(),
    }
}
