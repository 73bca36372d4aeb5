//! Server contexts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polytls_core::{Acceptor, Backend, ClientAuth, Error, Identity, ProtocolVersion, ServerConfig};

use super::{Policy, Truncation, policy_of_ready_context, shared_setters};
use crate::backend;

/// What a server's connections share: identity, versions, who may connect.
///
/// Cheap to clone.
///
/// # Examples
///
/// ```no_run
/// use polytls::{Identity, ServerContext};
///
/// let identity = Identity::from_files("chain.pem", "key.pem")?;
/// let context = ServerContext::builder(identity).alpn(["http/1.1"]).build()?;
/// # Ok::<(), polytls::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerContext(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    acceptor: Arc<dyn Acceptor>,
    alpn: Arc<[Vec<u8>]>,
    checks_clients: bool,
    policy: Policy,
}

impl ServerContext {
    /// A builder with secure defaults: TLS 1.2 and 1.3 as far as the backend serves them, clients
    /// are not asked for a certificate.
    pub fn builder(identity: Identity) -> ServerContextBuilder {
        ServerContextBuilder {
            backend: None,
            config: ServerConfig::new(identity),
            policy: Policy::default(),
        }
    }

    /// A context of an acceptor that a backend crate has made of its library's ready configuration,
    /// whose own rules hold: `polytls_rustls::acceptor`, `polytls_openssl::acceptor`,
    /// `polytls_native::acceptor`, each with an example in that crate.
    pub fn from_acceptor(acceptor: Arc<dyn Acceptor>) -> Self {
        let (alpn, policy) = (Arc::from([]), Policy::default());
        Self(Arc::new(Inner { acceptor, alpn, checks_clients: false, policy }))
    }

    /// The backend that this context was built with.
    pub fn backend(&self) -> &'static dyn Backend {
        self.0.acceptor.backend()
    }

    policy_of_ready_context!();

    /// How long a handshake may take.
    pub fn handshake_timeout(&self) -> Option<Duration> {
        self.0.policy.handshake_timeout
    }

    pub(crate) fn acceptor(&self) -> &dyn Acceptor {
        &*self.0.acceptor
    }

    pub(crate) fn alpn(&self) -> &Arc<[Vec<u8>]> {
        &self.0.alpn
    }

    pub(crate) fn checks_clients(&self) -> bool {
        self.0.checks_clients
    }

    pub(crate) fn truncation(&self) -> Truncation {
        self.0.policy.truncation
    }
}

/// Builds a [`ServerContext`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct ServerContextBuilder {
    backend: Option<&'static dyn Backend>,
    config: ServerConfig,
    policy: Policy,
}

impl ServerContextBuilder {
    shared_setters!();

    /// Whether clients are asked for a certificate; not unless set.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.config = self.config.with_client_auth(client_auth);
        self
    }

    /// Builds the context.
    ///
    /// # Errors
    ///
    /// `Identity` when certificate or key cannot be used or do not belong together; `Trust` for the
    /// authorities of clients; `Config` for options that contradict each other; `Unsupported` for
    /// one that the backend cannot honour, naming those compiled in that can; `NoBackend`.
    pub fn build(self) -> Result<ServerContext, Error> {
        let backend = backend::or_default(self.backend)?;
        let acceptor = self.config.acceptor(backend);
        let acceptor = acceptor.map_err(|error| backend::name_those_that_can(error, backend))?;
        Ok(ServerContext(Arc::new(Inner {
            acceptor,
            alpn: self.config.alpn().into(),
            checks_clients: self.config.client_auth().trust().is_some(),
            policy: self.policy,
        })))
    }
}

/// A server context from a PEM file with the certificate chain, leaf first, and one with the
/// private key, for a minimum TLS version.
///
/// # Errors
///
/// `Identity`, with the path: `NoCertificate`, `NoKey`, `KeyEncrypted`, `KeyMismatch`, `Malformed`,
/// `File`; `Unsupported` for a version that the backend does not serve; `NoBackend`.
///
/// # Examples
///
/// ```no_run
/// use polytls::{ProtocolVersion, make_server_ssl_context};
///
/// let context = make_server_ssl_context("chain.pem", "key.pem", ProtocolVersion::default())?;
/// # Ok::<(), polytls::Error>(())
/// ```
pub fn make_server_ssl_context(
    cert_path: impl AsRef<Path>,
    key_path: impl AsRef<Path>,
    min_version: ProtocolVersion,
) -> Result<ServerContext, Error> {
    let (cert_path, key_path) = (cert_path.as_ref(), key_path.as_ref());
    let identity = Identity::from_files(cert_path, key_path)?;
    // What is wrong with the pair is seen only now; the files are still what it is about.
    ServerContext::builder(identity).min_version(min_version).build().map_err(|error| {
        match error.kind() {
            polytls_core::ErrorKind::Identity(_) => error.with_path(key_path),
            _ => error,
        }
    })
}
