//! TLS sockets: one API, three interchangeable backends.
//!
//! ```no_run
//! use std::io::{Read, Write};
//!
//! use polytls::{ConnectOptions, ssl_connect};
//!
//! let mut stream = ssl_connect("example.com:443", ConnectOptions::new())?;
//! stream.write_all(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")?;
//! let mut page = String::new();
//! stream.read_to_string(&mut page)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The nine functions
//!
//! | function | what it does |
//! |---|---|
//! | [`default_client_ssl_context`] | the shared client context that trusts the system's certificates |
//! | [`insecure_client_ssl_context`] | the shared client context that verifies nothing |
//! | [`make_client_ssl_context`] | a client context for a minimum TLS version |
//! | [`make_server_ssl_context`] | a server context from PEM files |
//! | [`ssl_connect`] | connects and shakes hands |
//! | [`ssl_client_upgrade`] | makes TLS of a client's open stream (STARTTLS) |
//! | [`ssl_listen`] | listens; accepted connections are TLS |
//! | [`ssl_server_upgrade`] | makes TLS of a server's open stream (STARTTLS) |
//! | [`is_ssl_error`] | whether TLS failed rather than the network |
//!
//! Everything beyond them is in the builders, [`ClientContext::builder`] and
//! [`ServerContext::builder`].
//!
//! # Choosing a backend
//!
//! Applications enable one or more of the features `rustls` (the default), `openssl` and `native`.
//! Libraries depend on this crate with `default-features = false` and leave the choice to the binary.
//! See [`backend`].
//!
//! | feature | what it adds |
//! |---|---|
//! | `rustls` (default) | the rustls backend, with aws-lc-rs |
//! | `rustls-ring` | the backend `rustls-ring`: rustls with ring |
//! | `openssl`, `openssl-vendored` | the OpenSSL backend; with an OpenSSL built from source |
//! | `native`, `native-vendored` | the native-tls backend; the same where it stands on OpenSSL |
//! | `tokio` | the module `polytls::tokio`: the same functions, asynchronous |
//! | `tracing` | events of the `tracing` crate, never secrets |
//!
//! Import what you use, by name: `use polytls::*` would take the name `tokio` away from the crate of that
//! name, and bring in traits with methods named as those of `std::net`.
//!
//! # One behaviour
//!
//! Whatever the backend: the same failure has the same [`ErrorKind`]; a transport that ends without
//! close_notify is `Truncated`; a deadline that passes is `Timeout`, never `WouldBlock`; names are
//! matched by subjectAltName alone; plaintext left before an upgrade is refused. The
//! `polytls-conformance` suite holds every backend to it.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
#[cfg(feature = "tokio")]
pub mod tokio;

mod address;
mod connect;
mod connection;
mod context;
mod listen;
mod stream;
mod upgrade;

pub use address::Address;
pub use connect::{ConnectOptions, Resolver, ssl_connect};
pub use connection::{Connection, Progress};
pub use context::{
    ClientContext, ClientContextBuilder, DEFAULT_HANDSHAKE_TIMEOUT, ServerContext,
    ServerContextBuilder, default_client_ssl_context, insecure_client_ssl_context,
    make_client_ssl_context, make_server_ssl_context,
};
pub use listen::{Incoming, ListenOptions, TlsListener, ssl_listen};
pub use stream::{ReadHalf, TlsStream, WriteHalf};
pub use upgrade::{
    UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade, ssl_server_upgrade_with, unbuffer,
};

pub use polytls_core::{
    Alert, Backend, Capabilities, Capability, Certificate, CertificateDetails, CertificateReason,
    CipherSuite, ClientAuth, Error, ErrorKind, Identity, IdentityReason, KeyFormat, Negotiated,
    Phase, ProtocolVersion, Resumption, ServerName, ServerSocket, Socket, SslSocket, StreamAdapter,
    StreamSocket, Tls, TlsError, Trust, TrustReason, Validity, Verification,
};

/// In the signatures of [`Socket`] and [`ListenOptions::sockopts`].
pub use socket2::{SockAddr, SockRef};

/// The contract that backends implement; applications need none of it.
pub mod contract {
    pub use polytls_core::{
        Acceptor, Anchor, AnchorKind, ClientConfig, Connector, Gathered, Handshake, Incoming,
        Outgoing, Read, Roots, ServerConfig, Session, Skipped, Wire, io_error_is_closed_transport,
        leaf, observe, pki_types,
    };
}

/// Whether TLS, a certificate, an identity or trust failed, anywhere in the error's chain, also
/// inside an [`std::io::Error`]; false for resolving, connecting, timeouts and plain I/O.
///
/// Of an error in a box, or in the wrapper of a crate like `anyhow`, ask `is_ssl_error(&*error)`.
///
/// ```
/// use polytls::{Error, ErrorKind, is_ssl_error};
///
/// assert!(is_ssl_error(&std::io::Error::from(Error::new(ErrorKind::NoCommonVersion))));
/// assert!(!is_ssl_error(&std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
///
/// let error: Box<dyn std::error::Error> = Error::new(ErrorKind::NoCommonVersion).into();
/// assert!(is_ssl_error(&*error));
/// ```
pub fn is_ssl_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut found = Error::find(error);
    while let Some(error) = found {
        if error.is_ssl_error() {
            return true;
        }
        found = std::error::Error::source(error).and_then(Error::find);
    }
    false
}
