//! The one line that a person reads: what happened, and what to do.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt;
use std::io;

use super::{CertificateReason, Error, ErrorKind, IdentityReason};
use crate::certificate::CertificateDetails;
use crate::name_text::in_one_line;

/// Writes the line. The source is not repeated, but for [`system_words`]: whoever prints a chain prints
/// it once.
pub(super) fn write(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    headline(error, f)?;
    if let Some(detail) = &error.0.detail {
        write!(f, ": {}", cut(detail, LONGEST_DETAIL))?;
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
        // No alert came: it is this side that refuses.
        (ErrorKind::ClientCertificateRequired, _) if error.alert().is_none() => {
            f.write_str("the client presented no certificate, and this server demands one")
        }
        // The detail says which.
        (ErrorKind::NoBackend, _) if error.0.detail.is_some() => f.write_str("no such TLS backend"),
        (kind, _) => match system_words(error) {
            Some(words) => write!(f, "{kind}, {words}"),
            None => write!(f, "{kind}{}", advice(kind)),
        },
    }
}

/// Why the system did not do it, in words that are the same on every system.
///
/// What has none is told in its own words, but for the number: without them nobody who reads the line
/// alone would learn that, for instance, too many files are open.
fn system_words(error: &Error) -> Option<String> {
    let kind = error.0.io_kind?;
    // Of a file or a host nobody says "entity not found".
    if kind == io::ErrorKind::NotFound {
        return Some("not found".into());
    }
    if kind != io::ErrorKind::Other && kind != uncategorized() {
        return Some(kind.to_string());
    }
    let source = error.source()?;
    let text = source.to_string();
    let number = source.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    let number = number.map(|number| format!(" (os error {number})")).unwrap_or_default();
    let words = text.strip_suffix(&number).unwrap_or(&text);
    Some(cut(&in_one_line(words), LONGEST_REASON).into_owned())
}

/// The kind of a system's error that has no kind, which the standard library does not name: that of a
/// number that no system uses.
fn uncategorized() -> io::ErrorKind {
    io::Error::from_raw_os_error(i32::MAX).kind()
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
            let issuer = cut(&details.issuer, LONGEST_ISSUER);
            write!(f, "certificate of an issuer that is not trusted: {issuer}")?;
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

/// Longer than a dozen addresses that were tried.
const LONGEST_DETAIL: usize = 1024;

/// Longer than any system's words for an error.
const LONGEST_REASON: usize = 256;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alert, TrustReason};

    #[test]
    fn the_systems_reason_is_told() {
        let text = |kind, error| Error::io(kind, error).to_string();
        let of = io::Error::from;
        let file = ErrorKind::Identity(IdentityReason::File);
        assert_eq!(
            text(ErrorKind::Connect, of(io::ErrorKind::ConnectionRefused)),
            "no connection could be made, connection refused"
        );
        assert_eq!(
            text(file, of(io::ErrorKind::NotFound)),
            "certificate or key file cannot be read, not found"
        );
        assert_eq!(
            text(ErrorKind::Trust(TrustReason::File), of(io::ErrorKind::PermissionDenied)),
            "file of trusted certificates cannot be read, permission denied"
        );
        assert_eq!(
            text(ErrorKind::Io, io::Error::other("no\nmore")),
            "the transport failed, no\\0Amore"
        );
        assert_eq!(Error::new(ErrorKind::Connect).to_string(), "no connection could be made");
    }

    #[test]
    fn advice_is_for_the_side_that_reads_it() {
        let server = Error::new(ErrorKind::ClientCertificateRequired).to_string();
        let client = Error::alert_received(Alert::CERTIFICATE_REQUIRED).to_string();
        assert!(server.starts_with("the client presented no certificate"), "{server}");
        assert!(client.ends_with("give the client context an identity"), "{client}");
    }

    #[test]
    fn what_has_no_kind_is_told_without_its_number() {
        let text = Error::io(ErrorKind::Io, io::Error::from_raw_os_error(i32::MAX)).to_string();
        assert!(text.starts_with("the transport failed, ") && !text.contains("os error"), "{text}");
        assert!(!text.contains("uncategorized"), "{text}");
    }
}
