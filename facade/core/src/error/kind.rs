//! What a caller matches on.

use std::fmt;
use std::io;

use crate::{Alert, Capability};

/// What happened. The same failure has the same kind on every backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A host name did not resolve.
    Resolve,
    /// No TCP connection could be made.
    Connect,
    /// The transport failed.
    Io,
    /// A deadline passed; outside `Resolve` and `Connect` the connection is intact, and after
    /// `Accept` so is the listener.
    Timeout(Phase),
    /// The connection was used after it was closed on this side.
    Closed,
    /// The transport ended without close_notify: what was read may not be all that was sent.
    Truncated(Phase),
    /// The peer's first bytes are not TLS.
    PeerNotTls,
    /// Bytes were left in a buffer when a stream was to be upgraded.
    PlaintextBeforeTls,
    /// The peer broke the protocol: a bad record, a bad MAC, an unexpected message.
    Protocol,
    /// No protocol version in common.
    NoCommonVersion,
    /// No cipher suite, group or signature scheme in common.
    NoCommonCipherSuite,
    /// No application protocol in common.
    NoCommonAlpn,
    /// We refuse the peer's certificate.
    Certificate(CertificateReason),
    /// The peer refuses our certificate.
    CertificateRejected(Alert),
    /// The server demands a client certificate, and the client presented none: the client learns it
    /// by an alert, the server that refuses has none.
    ClientCertificateRequired,
    /// The peer sent a fatal alert that no other kind covers.
    Alert(Alert),
    /// A certificate chain or private key of one's own cannot be used.
    Identity(IdentityReason),
    /// A set of trust anchors cannot be used.
    Trust(TrustReason),
    /// Not a name that TLS can verify, or not an address to connect to or listen on.
    ServerName,
    /// What is asked for cannot be: options that contradict each other, or that come too late.
    Config,
    /// The backend cannot do what the configuration asks.
    Unsupported(Capability),
    /// No backend is compiled in, or none of the name asked for.
    NoBackend,
    /// A bug of ours.
    Internal,
}

impl ErrorKind {
    /// Whether TLS, a certificate, an identity or trust failed: false for resolving, connecting,
    /// timeouts, plain I/O and use after close.
    pub const fn is_ssl_error(self) -> bool {
        !matches!(self, Self::Resolve | Self::Connect | Self::Io | Self::Timeout(_) | Self::Closed)
    }

    /// The [`io::ErrorKind`] of this kind, where the operating system gave none of its own.
    pub const fn io_kind(self) -> io::ErrorKind {
        match self {
            Self::Timeout(_) => io::ErrorKind::TimedOut,
            Self::Closed => io::ErrorKind::NotConnected,
            Self::Truncated(_) => io::ErrorKind::UnexpectedEof,
            Self::PeerNotTls
            | Self::PlaintextBeforeTls
            | Self::Protocol
            | Self::NoCommonVersion
            | Self::NoCommonCipherSuite
            | Self::NoCommonAlpn
            | Self::Certificate(_) => io::ErrorKind::InvalidData,
            Self::CertificateRejected(_) | Self::ClientCertificateRequired | Self::Alert(_) => {
                io::ErrorKind::ConnectionAborted
            }
            Self::Identity(_) | Self::Trust(_) | Self::ServerName | Self::Config => {
                io::ErrorKind::InvalidInput
            }
            Self::Unsupported(_) | Self::NoBackend => io::ErrorKind::Unsupported,
            Self::Resolve | Self::Connect | Self::Io | Self::Internal => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for ErrorKind {
    /// What happened, in a few words; the `Display` of an error says more of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host name could not be resolved",
            Self::Connect => "no connection could be made",
            Self::Io => "the transport failed",
            Self::Timeout(phase) => return write!(f, "timed out while {phase}"),
            Self::Closed => "the connection is closed on this side",
            Self::Truncated(phase) => {
                let what = "the peer ended the connection without close_notify";
                return write!(f, "{what} while {phase}");
            }
            Self::PeerNotTls => "the peer does not speak TLS here",
            Self::PlaintextBeforeTls => "unread plaintext before the TLS handshake",
            Self::Protocol => "the peer broke the TLS protocol",
            Self::NoCommonVersion => "no TLS version in common",
            Self::NoCommonCipherSuite => "no cipher suite, group or signature scheme in common",
            Self::NoCommonAlpn => "no application protocol (ALPN) in common",
            Self::Certificate(reason) => return write!(f, "certificate refused, {reason}"),
            Self::CertificateRejected(alert) => {
                return write!(f, "the peer refuses our certificate (alert {alert})");
            }
            Self::ClientCertificateRequired => "the server demands a client certificate",
            Self::Alert(alert) => return write!(f, "the peer gave up with alert {alert}"),
            Self::Identity(reason) => return reason.fmt(f),
            Self::Trust(reason) => return reason.fmt(f),
            Self::ServerName => "not a usable name or address",
            Self::Config => "cannot be done as asked",
            Self::Unsupported(capability) => {
                return write!(f, "this backend cannot do {capability} here");
            }
            Self::NoBackend => "no TLS backend is compiled in",
            Self::Internal => "internal error",
        })
    }
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking up a host name.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Accepting a connection, before its handshake.
    Accept,
    /// The TLS handshake.
    Handshake,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Closing.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Accept => "accepting a connection",
            Self::Handshake => "shaking hands",
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Close => "closing",
        })
    }
}

/// Why the peer's certificate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateReason {
    /// No trusted authority issued it.
    UnknownIssuer,
    /// Its validity has ended.
    Expired,
    /// Its validity has not begun.
    NotYetValid,
    /// None of its names is the one asked for (RFC 9525).
    NameMismatch,
    /// Its issuer has revoked it.
    Revoked,
    /// A signature in the chain is wrong.
    BadSignature,
    /// Its key usage or extended key usage does not allow this.
    WrongUsage,
    /// It is an authority's certificate, presented as a server's or client's own.
    CaUsedAsEndEntity,
    /// An authority above it may not issue for this name (RFC 5280, section 4.2.1.10).
    NameConstraints,
    /// An authority above it may not have so many authorities below it.
    PathTooLong,
    /// It is not well-formed DER.
    BadEncoding,
    /// It is not an X.509 version 3 certificate.
    UnsupportedVersion,
    /// Its key or signature algorithm is unknown or too weak.
    UnsupportedAlgorithm,
    /// Something else; the source tells.
    Other,
}

impl fmt::Display for CertificateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "unknown issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::NameMismatch => "name mismatch",
            Self::Revoked => "revoked",
            Self::BadSignature => "bad signature",
            Self::WrongUsage => "wrong usage",
            Self::CaUsedAsEndEntity => "CA used as end entity",
            Self::NameConstraints => "name constraints",
            Self::PathTooLong => "path too long",
            Self::BadEncoding => "bad encoding",
            Self::UnsupportedVersion => "unsupported version",
            Self::UnsupportedAlgorithm => "unsupported algorithm",
            Self::Other => "other",
        })
    }
}

/// Why a certificate chain or private key of one's own cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityReason {
    /// No certificate was found.
    NoCertificate,
    /// No private key was found.
    NoKey,
    /// The private key is encrypted.
    KeyEncrypted,
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// Certificate or key cannot be parsed, or are of a kind the backend does not know.
    Malformed,
    /// A file could not be read.
    File,
}

impl fmt::Display for IdentityReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "no certificate found",
            Self::NoKey => "no private key found",
            Self::KeyEncrypted => "the private key is encrypted",
            Self::KeyMismatch => "the private key does not belong to the certificate",
            Self::Malformed => "certificate or private key cannot be used",
            Self::File => "certificate or key file cannot be read",
        })
    }
}

/// Why a set of trust anchors cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrustReason {
    /// Not a single usable certificate was found.
    NoRoots,
    /// A certificate cannot be a trust anchor.
    BadAnchor,
    /// A certificate or file cannot be parsed.
    Malformed,
    /// A file could not be read.
    File,
}

impl fmt::Display for TrustReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoots => "no trusted root certificate found",
            Self::BadAnchor => "a certificate cannot be a trust anchor",
            Self::Malformed => "trusted certificates cannot be parsed",
            Self::File => "file of trusted certificates cannot be read",
        })
    }
}

/// One value of each kind, for tests that want to see them all.
#[cfg(test)]
pub(super) fn every() -> Vec<ErrorKind> {
    use ErrorKind as K;
    let mut all = vec![
        K::Resolve,
        K::Connect,
        K::Io,
        K::Timeout(Phase::Accept),
        K::Timeout(Phase::Handshake),
        K::Closed,
        K::Truncated(Phase::Read),
        K::PeerNotTls,
        K::PlaintextBeforeTls,
        K::Protocol,
        K::NoCommonVersion,
        K::NoCommonCipherSuite,
        K::NoCommonAlpn,
        K::CertificateRejected(Alert::UNKNOWN_CA),
        K::ClientCertificateRequired,
        K::Alert(Alert::INTERNAL_ERROR),
        K::ServerName,
        K::Config,
        K::Unsupported(Capability::Exporter),
        K::NoBackend,
        K::Internal,
    ];
    use CertificateReason as C;
    let certificate = [
        C::UnknownIssuer,
        C::Expired,
        C::NotYetValid,
        C::NameMismatch,
        C::Revoked,
        C::BadSignature,
        C::WrongUsage,
        C::CaUsedAsEndEntity,
        C::NameConstraints,
        C::PathTooLong,
        C::BadEncoding,
        C::UnsupportedVersion,
        C::UnsupportedAlgorithm,
        C::Other,
    ];
    all.extend(certificate.map(K::Certificate));
    use IdentityReason as I;
    let identity =
        [I::NoCertificate, I::NoKey, I::KeyEncrypted, I::KeyMismatch, I::Malformed, I::File];
    all.extend(identity.map(K::Identity));
    use TrustReason as T;
    all.extend([T::NoRoots, T::BadAnchor, T::Malformed, T::File].map(K::Trust));
    all
}
