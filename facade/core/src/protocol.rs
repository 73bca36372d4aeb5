//! Protocol vocabulary: versions, cipher suites, alerts and what a handshake agreed on.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// A TLS protocol version.
///
/// Older versions are not offered by any backend (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// TLS 1.2 (RFC 5246). The default minimum.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl ProtocolVersion {
    /// Every version, oldest first.
    pub const ALL: &'static [Self] = &[Self::Tls12, Self::Tls13];

    /// The number that stands for this version on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    /// The version with this number, if it is one that any backend speaks.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            0x0303 => Some(Self::Tls12),
            0x0304 => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

impl FromStr for ProtocolVersion {
    type Err = Error;

    /// From what people and configuration files write, in any case: `1.3`, `TLS1.3`, `TLSv1.3`,
    /// `TLS 1.3`.
    ///
    /// # Errors
    ///
    /// `Config`, for what is no version that any backend speaks.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "1.2" | "tls1.2" | "tlsv1.2" | "tls 1.2" => Ok(Self::Tls12),
            "1.3" | "tls1.3" | "tlsv1.3" | "tls 1.3" => Ok(Self::Tls13),
            _ => {
                let shown: String = text.chars().take(80).collect();
                Err(Error::new(ErrorKind::Config)
                    .with_detail(format!("{shown:?} is neither TLS 1.2 nor TLS 1.3")))
            }
        }
    }
}

/// A cipher suite, by its number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CipherSuite(u16);

impl CipherSuite {
    /// The cipher suite with this IANA number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The IANA number, for example `0x1301`.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The IANA name, for example `TLS_AES_128_GCM_SHA256`; `None` for an unassigned number.
    pub fn name(self) -> Option<&'static str> {
        tls_parser::TlsCipherSuite::from_id(self.0).map(|suite| suite.name)
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

impl fmt::Debug for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherSuite({self})")
    }
}

/// A fatal alert, by its number in the IANA registry (RFC 8446, section 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(u8);

impl Alert {
    /// `close_notify`: a clean end, never an error.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// `unexpected_message`.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// `bad_record_mac`.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// `handshake_failure`.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// `bad_certificate`.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// `unsupported_certificate`.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// `certificate_revoked`.
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    /// `certificate_expired`.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// `certificate_unknown`.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// `illegal_parameter`.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// `unknown_ca`.
    pub const UNKNOWN_CA: Self = Self(48);
    /// `decode_error`.
    pub const DECODE_ERROR: Self = Self(50);
    /// `decrypt_error`.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// `protocol_version`.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// `insufficient_security`.
    pub const INSUFFICIENT_SECURITY: Self = Self(71);
    /// `internal_error`.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// `user_canceled`.
    pub const USER_CANCELED: Self = Self(90);
    /// `unrecognized_name`.
    pub const UNRECOGNIZED_NAME: Self = Self(112);
    /// `certificate_required`.
    pub const CERTIFICATE_REQUIRED: Self = Self(116);
    /// `no_application_protocol`.
    pub const NO_APPLICATION_PROTOCOL: Self = Self(120);

    /// The alert with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The IANA number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name in RFC 8446 (or RFC 5246, for the alerts that only TLS 1.2 has).
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => return None,
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alert({}, {self})", self.0)
    }
}

/// What a handshake agreed on.
///
/// A session fills in what its library tells; the facade adds what it read from the plaintext part
/// of the handshake. A field is `None` only when neither could know, or nothing was agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The protocol version.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The application protocol (RFC 7301), when both sides named one in common.
    pub alpn: Option<Box<[u8]>>,
    /// The name the client asked for (RFC 6066, section 3), in lower case; never an IP address.
    pub server_name: Option<Box<str>>,
    /// Whether an earlier session was resumed; `None` where the library does not tell.
    pub resumed: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_written() {
        for version in ProtocolVersion::ALL {
            let number = version.to_string().replace("TLS ", "");
            for text in [number.clone(), format!("TLS{number}"), format!("tlsV{number}")] {
                assert_eq!(text.parse::<ProtocolVersion>().ok(), Some(*version), "{text}");
            }
            assert_eq!(version.to_string().parse::<ProtocolVersion>().ok(), Some(*version));
        }
        for text in ["", "1", "1.1", "TLS", "TLSv1.20", "SSL1.3", " 1.3"] {
            let error = text.parse::<ProtocolVersion>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        }
    }
}
