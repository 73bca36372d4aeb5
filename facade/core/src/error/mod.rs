//! One error type: what happened, where, and what to do about it.
//!
//! | file | holds |
//! |---|---|
//! | `kind` | [`ErrorKind`], the reasons and phases that a caller matches on |
//! | `message` | the one line that a person reads |

mod kind;
mod message;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use kind::{CertificateReason, ErrorKind, IdentityReason, Phase, TrustReason};

use crate::{Alert, Capability, CertificateDetails};

/// What a backend's error must tell.
pub trait TlsError: std::error::Error {
    /// What happened, the same for every backend.
    fn kind(&self) -> ErrorKind;

    /// The alert that the peer sent, where one came.
    fn alert(&self) -> Option<Alert>;

    /// Why the peer's certificate was refused, where it was.
    fn certificate_reason(&self) -> Option<CertificateReason>;
}

/// Why a TLS operation failed.
///
/// The size of a pointer. Match on [`Error::kind`]: the same failure has the same kind on every
/// backend. `Display` is one line that says what to do; [`source`](std::error::Error::source) is
/// the error of the TLS library or the operating system beneath.
///
/// It converts into [`io::Error`] and back; [`Error::find`] finds it in any chain of errors.
#[derive(Clone)]
pub struct Error(Box<Inner>);

type Source = Arc<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    io_kind: Option<io::ErrorKind>,
    backend: Option<&'static str>,
    alert: Option<Alert>,
    detail: Option<Box<str>>,
    path: Option<Box<Path>>,
    first_bytes: Option<Box<[u8]>>,
    certificate: Option<CertificateDetails>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind, without any detail.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            io_kind: None,
            backend: None,
            alert: None,
            detail: None,
            path: None,
            first_bytes: None,
            certificate: None,
            source: None,
        }))
    }

    /// The peer's certificate is refused.
    pub fn certificate(reason: CertificateReason) -> Self {
        Self::new(ErrorKind::Certificate(reason))
    }

    /// A certificate chain or key of one's own cannot be used; `detail` says what to do.
    pub fn identity(reason: IdentityReason, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Identity(reason)).with_detail(detail)
    }

    /// A set of trust anchors cannot be used; `detail` says what to do.
    pub fn trust(reason: TrustReason, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Trust(reason)).with_detail(detail)
    }

    /// The backend cannot do this.
    pub fn unsupported(capability: Capability) -> Self {
        Self::new(ErrorKind::Unsupported(capability))
    }

    /// A bug of ours, or of the library beneath: `detail` says what was seen.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal).with_detail(detail)
    }

    /// A fatal alert of the peer.
    ///
    /// The kind is what the alert says of itself; the facade, which knows how far the handshake
    /// had come, makes `handshake_failure` more precise.
    pub fn alert_received(alert: Alert) -> Self {
        let kind = match alert {
            Alert::PROTOCOL_VERSION => ErrorKind::NoCommonVersion,
            Alert::INSUFFICIENT_SECURITY => ErrorKind::NoCommonCipherSuite,
            Alert::NO_APPLICATION_PROTOCOL => ErrorKind::NoCommonAlpn,
            Alert::CERTIFICATE_REQUIRED => ErrorKind::ClientCertificateRequired,
            Alert::BAD_CERTIFICATE
            | Alert::UNSUPPORTED_CERTIFICATE
            | Alert::CERTIFICATE_REVOKED
            | Alert::CERTIFICATE_EXPIRED
            | Alert::CERTIFICATE_UNKNOWN
            | Alert::UNKNOWN_CA => ErrorKind::CertificateRejected(alert),
            _ => ErrorKind::Alert(alert),
        };
        Self::new(kind).with_alert(alert)
    }

    /// An error of the operating system, as `kind` (`Resolve`, `Connect`, `Io`, or one about a
    /// file); keeps the system's own [`io::ErrorKind`].
    pub fn io(kind: ErrorKind, error: io::Error) -> Self {
        let mut this = Self::new(kind);
        this.0.io_kind = Some(error.kind());
        this.with_source(error)
    }

    /// This error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// This error, told of the backend it comes from.
    #[must_use]
    pub fn with_backend(mut self, name: &'static str) -> Self {
        self.0.backend.get_or_insert(name);
        self
    }

    /// This error with the alert that the peer sent.
    #[must_use]
    pub fn with_alert(mut self, alert: Alert) -> Self {
        self.0.alert = Some(alert);
        self
    }

    /// This error with what else a person should know, in lower case and without a full stop.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into().into());
        self
    }

    /// This error with the file it is about.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path.get_or_insert_with(|| path.into().into());
        self
    }

    /// This error with the first bytes of an answer that is not TLS.
    #[must_use]
    pub fn with_first_bytes(mut self, bytes: &[u8]) -> Self {
        self.0.first_bytes = Some(bytes.into());
        self
    }

    /// This error with the certificate that was refused, unless one is known already.
    #[must_use]
    pub fn with_certificate(mut self, details: CertificateDetails) -> Self {
        self.0.certificate.get_or_insert(details);
        self
    }

    /// This error with the error beneath it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The [`io::ErrorKind`] that this error has as an [`io::Error`].
    pub fn io_kind(&self) -> io::ErrorKind {
        self.0.io_kind.unwrap_or(self.0.kind.io_kind())
    }

    /// The name of the backend it comes from, where one was involved.
    pub fn backend(&self) -> Option<&'static str> {
        self.0.backend
    }

    /// The alert that the peer sent, where one came.
    pub fn alert(&self) -> Option<Alert> {
        self.0.alert
    }

    /// What was being done when it happened, for the kinds that depend on it.
    pub fn phase(&self) -> Option<Phase> {
        match self.0.kind {
            ErrorKind::Timeout(phase) | ErrorKind::Truncated(phase) => Some(phase),
            ErrorKind::Resolve => Some(Phase::Resolve),
            ErrorKind::Connect => Some(Phase::Connect),
            _ => None,
        }
    }

    /// The file it is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The first bytes, 16 at most, of an answer that is not TLS, or of what was left in a buffer
    /// before an upgrade.
    pub fn first_bytes(&self) -> Option<&[u8]> {
        self.0.first_bytes.as_deref()
    }

    /// Details of the certificate that was refused, where they are known.
    pub fn certificate_details(&self) -> Option<&CertificateDetails> {
        self.0.certificate.as_ref()
    }

    /// Why the peer's certificate was refused, where it was.
    pub fn certificate_reason(&self) -> Option<CertificateReason> {
        match self.0.kind {
            ErrorKind::Certificate(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether TLS, a certificate, an identity or trust failed, rather than the network.
    pub fn is_ssl_error(&self) -> bool {
        self.0.kind.is_ssl_error()
    }

    /// The `Error` in an error's chain: the error itself, anything in its
    /// [`source`](std::error::Error::source) chain, or what an [`io::Error`] in that chain wraps
    /// (which `source` alone skips).
    ///
    /// ```
    /// # use polytls_core as polytls;
    /// use polytls::{Error, ErrorKind};
    ///
    /// let wrapped = std::io::Error::from(Error::new(ErrorKind::NoCommonVersion));
    /// let found = Error::find(&wrapped).expect("an Error is inside");
    /// assert_eq!(found.kind(), ErrorKind::NoCommonVersion);
    /// ```
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match wrapped {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

impl TlsError for Error {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn alert(&self) -> Option<Alert> {
        self.alert()
    }

    fn certificate_reason(&self) -> Option<CertificateReason> {
        self.certificate_reason()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        message::write(self, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            io_kind: _,
            backend,
            alert,
            detail,
            path,
            first_bytes,
            certificate,
            source,
        } = &*self.0;
        let mut out = f.debug_struct("Error");
        out.field("kind", kind);
        // Only what is known, so that `{:?}` of a simple error stays short.
        if let Some(backend) = backend {
            out.field("backend", backend);
        }
        if let Some(alert) = alert {
            out.field("alert", alert);
        }
        if let Some(detail) = detail {
            out.field("detail", detail);
        }
        if let Some(path) = path {
            out.field("path", path);
        }
        if let Some(bytes) = first_bytes {
            out.field("first_bytes", &format_args!("{}", bytes.escape_ascii()));
        }
        if let Some(certificate) = certificate {
            out.field("certificate", certificate);
        }
        if let Some(source) = source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.io_kind(), error)
    }
}

impl From<io::Error> for Error {
    /// The `Error` inside, as [`Error::find`] finds it: what a stream's `Read` and `Write` fail with
    /// gets its kind back. Any other becomes `Io` and keeps its own [`io::ErrorKind`]; so does the
    /// timeout of a socket without TLS, since nobody here knows what was being done.
    ///
    /// ```
    /// # use polytls_core as polytls;
    /// use std::io::Write;
    ///
    /// fn greet(stream: &mut impl Write) -> Result<(), polytls::Error> {
    ///     stream.write_all(b"hello\n")?;
    ///     Ok(stream.flush()?)
    /// }
    /// # greet(&mut Vec::new()).unwrap();
    /// ```
    fn from(error: io::Error) -> Self {
        match Self::find(&error) {
            Some(found) => found.clone(),
            None => Self::io(ErrorKind::Io, error),
        }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Whether an error of the operating system says that the peer, or the network, has ended the
/// connection: for a reader that is the end of input.
pub fn io_error_is_closed_transport(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    // TLS inside TLS: an outer error may tell more than that it was the end.
    let outer = Error::find(error).map(Error::kind);
    if !matches!(outer, None | Some(ErrorKind::Truncated(_) | ErrorKind::Io | ErrorKind::Closed)) {
        return false;
    }
    matches!(
        error.kind(),
        ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_size_of_a_pointer_and_shareable() {
        fn shareable<T: Send + Sync + 'static>() {}
        shareable::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn survives_nested_io_errors() {
        let error = Error::certificate(CertificateReason::Expired);
        let once = io::Error::from(error);
        let twice = io::Error::new(io::ErrorKind::ConnectionRefused, once);
        assert_eq!(
            Error::find(&twice).map(Error::kind),
            Some(ErrorKind::Certificate(CertificateReason::Expired))
        );
        assert!(Error::find(&io::Error::from(io::ErrorKind::TimedOut)).is_none());
    }

    #[test]
    fn comes_back_out_of_an_io_error() {
        let kind = ErrorKind::Truncated(Phase::Read);
        let wrapped = io::Error::other(io::Error::from(Error::new(kind).with_detail("here")));
        let error = Error::from(wrapped);
        assert_eq!((error.kind(), error.to_string().ends_with(": here")), (kind, true));
        let error = Error::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!((error.kind(), error.io_kind()), (ErrorKind::Io, io::ErrorKind::TimedOut));
    }

    #[test]
    fn every_kind_and_its_message_is_one_lower_case_line() {
        for kind in kind::every() {
            for text in [kind.to_string(), Error::new(kind).to_string()] {
                assert!(!text.contains('\n'), "{text}");
                let first = text.chars().next().unwrap_or('X');
                assert!(first.is_lowercase(), "{kind:?}: {text}");
                assert!(!text.ends_with('.'), "{text}");
            }
        }
    }
}
