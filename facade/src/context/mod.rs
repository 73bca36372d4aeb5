//! Contexts: what is decided once and shared by many connections.
//!
//! | file | holds |
//! |---|---|
//! | `client` | [`ClientContext`], its builder, and the three functions that make common ones |
//! | `server` | [`ServerContext`], its builder, and the function that makes one of two files |

mod client;
mod server;

use std::time::Duration;

#[cfg(feature = "tokio")]
pub(crate) use client::built_default_client_ssl_context;
pub use client::{
    ClientContext, ClientContextBuilder, default_client_ssl_context, insecure_client_ssl_context,
    make_client_ssl_context,
};
pub use server::{ServerContext, ServerContextBuilder, make_server_ssl_context};

/// How long a handshake may take unless a context or a call says otherwise.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a transport that ends without close_notify is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truncation {
    Refused,
    Tolerated,
}

/// The policy of the facade, the same for both kinds of context: no backend is told of it, so it can be
/// changed when a context is ready.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    truncation: Truncation,
    handshake_timeout: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { truncation: Truncation::Refused, handshake_timeout: Some(DEFAULT_HANDSHAKE_TIMEOUT) }
    }
}

/// The setters that both builders have.
macro_rules! shared_setters {
    () => {
        /// The backend; the default backend unless set.
        pub fn backend(mut self, backend: &'static dyn polytls_core::Backend) -> Self {
            self.backend = Some(backend);
            self
        }

        /// The lowest protocol version to accept; TLS 1.2 unless set.
        pub fn min_version(mut self, version: polytls_core::ProtocolVersion) -> Self {
            self.config = self.config.with_min_version(version);
            self
        }

        /// The highest protocol version to accept; TLS 1.3 unless set.
        pub fn max_version(mut self, version: polytls_core::ProtocolVersion) -> Self {
            self.config = self.config.with_max_version(version);
            self
        }

        /// Application protocols (RFC 7301) as text or bytes, most wanted first; none unless set.
        pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
            self.config = self.config.with_alpn(protocols);
            self
        }

        /// Whether sessions are resumed; enabled unless set.
        pub fn resumption(mut self, resumption: polytls_core::Resumption) -> Self {
            self.config = self.config.with_resumption(resumption);
            self
        }

        /// How long a handshake may take, from connect or accept; 60 s unless set, `None` for ever.
        pub fn handshake_timeout(
            mut self,
            timeout: impl Into<Option<std::time::Duration>>,
        ) -> Self {
            self.policy.handshake_timeout = timeout.into();
            self
        }

        /// Takes a transport that ends without close_notify, between two records, for a proper end
        /// instead of `Truncated`: for old peers whose protocol tells by itself where its data ends.
        /// With any other, an attacker can cut the data short unnoticed.
        pub fn tolerate_truncation(mut self) -> Self {
            self.policy.truncation = $crate::context::Truncation::Tolerated;
            self
        }
    };
}
use shared_setters;

/// What a context can still be told: one of a ready configuration has had no builder.
macro_rules! policy_of_ready_context {
    () => {
        /// This context with another time for a handshake, from connect or accept; `None` is for
        /// ever. Sessions and everything else are shared with the context that it was.
        #[must_use]
        pub fn with_handshake_timeout(
            self,
            timeout: impl Into<Option<std::time::Duration>>,
        ) -> Self {
            let mut inner = std::sync::Arc::unwrap_or_clone(self.0);
            inner.policy.handshake_timeout = timeout.into();
            Self(std::sync::Arc::new(inner))
        }

        /// This context, taking a transport that ends without close_notify for a proper end; see
        /// `tolerate_truncation` of the builder.
        #[must_use]
        pub fn with_tolerated_truncation(self) -> Self {
            let mut inner = std::sync::Arc::unwrap_or_clone(self.0);
            inner.policy.truncation = $crate::context::Truncation::Tolerated;
            Self(std::sync::Arc::new(inner))
        }
    };
}
use policy_of_ready_context;
