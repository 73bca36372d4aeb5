//! The contract between `polytls` and its backends.
//!
//! Applications and libraries depend on `polytls`, which exports every public type of this crate.
//! Only the author of a backend depends on this crate itself: implement [`Backend`], [`Connector`],
//! [`Acceptor`] and [`Session`], and run the `polytls-conformance` suite against them.
//!
//! Nothing here opens a connection, and no TLS library stands below this crate.
//!
//! | to read about | see |
//! |---|---|
//! | what a backend implements | [`Backend`], [`Connector`], [`Acceptor`], [`Session`], [`Wire`] |
//! | what a backend is told | [`ClientConfig`], [`ServerConfig`], [`Capability`] |
//! | what a backend answers | [`Negotiated`], [`Certificate`], [`Error`] |
//! | what a socket is | [`Socket`], [`StreamSocket`], [`ServerSocket`], [`SslSocket`] |
#![forbid(unsafe_code)]

// The contract.
mod backend;
mod capability;
mod wire;

// What goes in.
mod config;
mod identity;
mod name;
mod trust;

// What comes out.
mod certificate;
mod error;
mod protocol;

// Rules that are the same for every backend.
pub mod leaf;
pub mod observe;
pub mod openssl_codes;

// Sockets.
mod socket;

// Private helpers.
mod anchor;
mod checked;
mod key;
mod name_text;
mod pem_file;
mod pool;
mod public_key;
mod record;

pub use anchor::{Anchor, AnchorKind, Roots, Skipped};
pub use backend::{Acceptor, Backend, Connector, Handshake, Read, Session};
pub use capability::{Capabilities, Capability};
pub use certificate::{Certificate, CertificateDetails, Validity};
pub use config::{ClientAuth, ClientConfig, Resumption, ServerConfig, Verification};
pub use error::{
    CertificateReason, Error, ErrorKind, IdentityReason, Phase, TlsError, TrustReason,
    io_error_is_closed_transport,
};
pub use identity::{Identity, KeyFormat};
pub use name::ServerName;
pub use pool::Gathered;
pub use protocol::{Alert, CipherSuite, Negotiated, ProtocolVersion};
pub use socket::{ServerSocket, Socket, SslSocket, StreamAdapter, StreamSocket, Tls};
pub use trust::Trust;
pub use wire::{Incoming, Outgoing, Wire};

/// DER bytes of keys, certificates and names, in the vocabulary that the Rust TLS crates share.
pub use rustls_pki_types as pki_types;
