//! An X.509 certificate, and what an error tells of one that was refused.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::{CertificateReason, Error, ServerName, name_text};

/// An X.509 certificate.
///
/// Holds the DER bytes; each accessor parses what it needs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// A certificate from its DER encoding.
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding` when the bytes are not one X.509 certificate.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let this = Self::from_peer(der.into());
        this.parsed()?;
        Ok(this)
    }

    /// The certificate as a peer sent it, for backends: not looked at, since a context that
    /// verifies nothing takes anything.
    pub fn from_peer(der: impl Into<Vec<u8>>) -> Self {
        Self(CertificateDer::from(der.into()))
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// The PEM encoding, with a line feed at the end of each line.
    pub fn pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", self.der()), config)
    }

    /// The subject as text (RFC 4514), for example `CN=example.com,O=Example`. It is one line,
    /// whatever its author wrote: control characters in it are escaped as well.
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn subject(&self) -> Result<String, Error> {
        Ok(name_text::distinguished(self.parsed()?.subject()))
    }

    /// The issuer as text, as [`Certificate::subject`].
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn issuer(&self) -> Result<String, Error> {
        Ok(name_text::distinguished(self.parsed()?.issuer()))
    }

    /// The DNS names and IP addresses in the subjectAltName extension, in order. What is no name but
    /// has control characters in it is escaped as [`Certificate::subject`].
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        Ok(subject_alt_names(&self.parsed()?))
    }

    /// From when until when it is valid.
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn validity(&self) -> Result<Validity, Error> {
        Ok(Validity::of(&self.parsed()?, now()))
    }

    /// The DER encoding of its public key, with the key's algorithm (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        Ok(self.parsed()?.public_key().raw.to_vec())
    }

    /// The SHA-256 digest of the DER encoding: the usual fingerprint.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.der()).into()
    }

    /// The fingerprint as text, upper case with colons.
    pub fn sha256_text(&self) -> String {
        let mut text = String::with_capacity(95);
        for (i, byte) in self.sha256().iter().enumerate() {
            let separator = if i == 0 { "" } else { ":" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{byte:02X}");
        }
        text
    }

    /// The details that an error about this certificate carries.
    ///
    /// # Errors
    ///
    /// `Certificate` with reason `BadEncoding`.
    pub fn details(&self) -> Result<CertificateDetails, Error> {
        let parsed = self.parsed()?;
        Ok(CertificateDetails {
            subject: name_text::distinguished(parsed.subject()),
            issuer: name_text::distinguished(parsed.issuer()),
            names: subject_alt_names(&parsed),
            validity: Validity::of(&parsed, now()),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            chain_length: None,
            expected_name: None,
        })
    }

    pub(crate) fn parsed(&self) -> Result<X509Certificate<'_>, Error> {
        match X509Certificate::from_der(self.der()) {
            Ok(([], parsed)) => Ok(parsed),
            Ok(_) => Err(Error::certificate(CertificateReason::BadEncoding)
                .with_detail("bytes follow the certificate")),
            Err(error) => {
                Err(Error::certificate(CertificateReason::BadEncoding)
                    .with_source(error.to_string()))
            }
        }
    }
}

impl From<CertificateDer<'_>> for Certificate {
    fn from(der: CertificateDer<'_>) -> Self {
        Self(der.into_owned())
    }
}

impl From<Certificate> for CertificateDer<'static> {
    fn from(certificate: Certificate) -> Self {
        certificate.0
    }
}

impl From<&Certificate> for CertificateDer<'static> {
    fn from(certificate: &Certificate) -> Self {
        certificate.0.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject().unwrap_or_else(|_| "malformed".into());
        f.debug_struct("Certificate")
            .field("subject", &subject)
            .field("sha256", &self.sha256_text())
            .finish()
    }
}

/// The time span in which a certificate is valid, seen from the moment it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: i64,
    not_after: i64,
    seen_at: i64,
}

impl Validity {
    fn of(certificate: &X509Certificate<'_>, seen_at: i64) -> Self {
        Self {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            seen_at,
        }
    }

    /// The first second in which the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        system_time(self.not_before)
    }

    /// The last second in which the certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        system_time(self.not_after)
    }

    /// Whether the certificate was past its end when it was looked at.
    pub fn is_over(&self) -> bool {
        self.seen_at > self.not_after
    }

    /// Whether the certificate's validity had not begun when it was looked at.
    pub fn is_ahead(&self) -> bool {
        self.seen_at < self.not_before
    }

    pub(crate) fn since_end(&self) -> String {
        match self.seen_at - self.not_after {
            ago if ago > 0 => format!("{} ago", rough(ago)),
            _ => "just now".into(),
        }
    }

    pub(crate) fn until_start(&self) -> String {
        rough((self.not_before - self.seen_at).max(0))
    }

    pub(crate) fn end_date(&self) -> String {
        date(self.not_after)
    }

    pub(crate) fn start_date(&self) -> String {
        date(self.not_before)
    }
}

/// What is known of a certificate that was refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CertificateDetails {
    /// Whose it is, as [`Certificate::subject`].
    pub subject: String,
    /// Who issued it, as [`Certificate::issuer`].
    pub issuer: String,
    /// The DNS names and IP addresses that it is for, as [`Certificate::names`].
    pub names: Vec<String>,
    /// From when until when it is valid.
    pub validity: Validity,
    /// Whether subject and issuer are the same.
    pub self_issued: bool,
    /// How many certificates the peer sent, where known.
    pub chain_length: Option<usize>,
    /// The name that was asked for, where it matters.
    pub expected_name: Option<String>,
}

impl CertificateDetails {
    /// These details, of a chain of this many certificates.
    #[must_use]
    pub fn of_chain(mut self, length: usize) -> Self {
        self.chain_length = Some(length);
        self
    }

    /// These details, when this name was asked for.
    #[must_use]
    pub fn expecting(mut self, name: &ServerName) -> Self {
        self.expected_name = Some(name.to_string());
        self
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn subject_alt_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name_text::in_one_line(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => {
                <[u8; 4]>::try_from(*bytes).ok().map(|ip| std::net::Ipv4Addr::from(ip).to_string())
            }
            16 => {
                <[u8; 16]>::try_from(*bytes).ok().map(|ip| std::net::Ipv6Addr::from(ip).to_string())
            }
            _ => None,
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day()),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// A duration in its largest unit, as a person would say it.
fn rough(seconds: i64) -> String {
    let (n, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}
