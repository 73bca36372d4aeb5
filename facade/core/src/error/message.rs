//! The one line that a person reads: what happened, and what to do.

use std::borrow::Cow;
use std::fmt;
use std::io;

use super::{CertificateReason, Error, ErrorKind, IdentityReason};
use crate::certificate::CertificateDetails;

/// Writes the line. The source is never repeated: whoever prints a chain prints it once.
pub(super) fn write(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    headline(error, f)?;
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

/// The words of the kind, and what is known beyond them.
fn headline(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (error.kind(), error.backend()) {
        (ErrorKind::Certificate(reason), _) => certificate(reason, error.certificate_details(), f),
        (ErrorKind::Unsupported(capability), Some(backend)) => {
            write!(f, "the {backend} backend cannot do {capability} here")
        }
        (ErrorKind::Io, _) if error.io_kind() != io::ErrorKind::Other => {
            write!(f, "{} ({})", ErrorKind::Io, error.io_kind())
        }
        (kind, _) => write!(f, "{kind}{}", advice(kind)),
    }
}

/// What to do about it, where the kind alone tells.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PeerNotTls => "; check the port and whether an upgrade is needed first",
        ErrorKind::PlaintextBeforeTls => "; it may have been injected",
        ErrorKind::NoCommonVersion => "; compare the minimum and maximum of both sides",
        ErrorKind::ClientCertificateRequired => "; give the client context an identity",
        ErrorKind::Identity(IdentityReason::KeyEncrypted) => "; decrypt it first",
        ErrorKind::NoBackend => "; enable one of polytls' features rustls, openssl, native",
        ErrorKind::Internal => ", please report it",
        _ => "",
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
