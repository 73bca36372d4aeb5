//! native-tls as a backend of `polytls`: the TLS library of the platform.
//!
//! Applications choose it by the feature `native` of `polytls` and do not name this crate. It is for
//! those who have a ready [`native_tls::TlsConnector`] or [`native_tls::TlsAcceptor`]: see
//! [`connector()`] and [`acceptor()`].
//!
//! | platform | library | state |
//! |---|---|---|
//! | Linux, BSDs, Android | OpenSSL | held to the contract by the conformance suite |
//! | Windows | Schannel | written from its documentation, not run |
//! | macOS, iOS | Secure Transport | written from its documentation, not run |
//!
//! What native-tls cannot do is missing from [`Backend::capabilities`]; where the suite has not run,
//! only what needs no proof is claimed.
//!
//! [`Backend::capabilities`]: polytls_core::Backend::capabilities
#![forbid(unsafe_code)]

mod backend;
mod client;
mod convert;
mod error;
mod identity;
mod server;
mod session;
mod trust;

pub use backend::backend;
pub use convert::{acceptor, connector};

/// The library beneath, in the version that the conversions take.
pub use native_tls;

/// Whether native-tls stands on OpenSSL here.
const ON_OPENSSL: bool = cfg!(not(any(target_os = "windows", target_vendor = "apple")));
