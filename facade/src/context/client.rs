//! Client contexts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polytls_core::{
    Backend, ClientConfig, Connector, Error, Identity, ProtocolVersion, Trust, Verification,
};

use super::{Policy, Truncation, policy_of_ready_context, shared_setters};
use crate::backend;

/// What clients share: trust, versions, identity and the sessions to resume.
///
/// Cheap to clone; make one and keep it, since each new one reads the trusted certificates again
/// and starts without sessions to resume.
///
/// # Examples
///
/// ```
/// use polytls::{ClientContext, ProtocolVersion};
///
/// let context = ClientContext::builder()
///     .min_version(ProtocolVersion::Tls13)
///     .alpn(["h2", "http/1.1"])
///     .build();
/// # let _ = context;
/// ```
#[derive(Clone, Debug)]
pub struct ClientContext(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    connector: Arc<dyn Connector>,
    /// `None` for a ready configuration of the backend's library, whose rules are not known here.
    verification: Option<Verification>,
    has_identity: bool,
    policy: Policy,
}

impl ClientContext {
    /// A builder with secure defaults: the system's trust, everything verified, TLS 1.2 and 1.3.
    pub fn builder() -> ClientContextBuilder {
        ClientContextBuilder::default()
    }

    /// A context of a connector that a backend crate has made of its library's ready configuration:
    /// `polytls_rustls::connector`, `polytls_openssl::connector`, `polytls_native::connector`, each with an
    /// example in that crate.
    ///
    /// What that configuration verifies, or does not, is its own affair: the check of the peer's
    /// certificate that makes the backends agree is left out.
    pub fn from_connector(connector: Arc<dyn Connector>) -> Self {
        let policy = Policy::default();
        Self(Arc::new(Inner { connector, verification: None, has_identity: true, policy }))
    }

    /// The backend that this context was built with.
    pub fn backend(&self) -> &'static dyn Backend {
        self.0.connector.backend()
    }

    policy_of_ready_context!();

    /// How long a handshake may take.
    pub fn handshake_timeout(&self) -> Option<Duration> {
        self.0.policy.handshake_timeout
    }

    pub(crate) fn connector(&self) -> &dyn Connector {
        &*self.0.connector
    }

    pub(crate) fn verification(&self) -> Option<Verification> {
        self.0.verification
    }

    pub(crate) fn has_identity(&self) -> bool {
        self.0.has_identity
    }

    pub(crate) fn truncation(&self) -> Truncation {
        self.0.policy.truncation
    }
}

/// Builds a [`ClientContext`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct ClientContextBuilder {
    backend: Option<&'static dyn Backend>,
    config: ClientConfig,
    policy: Policy,
}

impl ClientContextBuilder {
    shared_setters!();

    /// Which authorities are trusted; the system's unless set.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.config = self.config.with_trust(trust);
        self
    }

    /// How much of the server's certificate is verified; everything unless set. Anything less gives
    /// up what TLS is for.
    pub fn danger_verification(mut self, verification: Verification) -> Self {
        self.config = self.config.with_verification(verification);
        self
    }

    /// The certificate to present when the server asks for one.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.config = self.config.with_identity(identity);
        self
    }

    /// Builds the context.
    ///
    /// # Errors
    ///
    /// `Trust` when no trusted certificate is found or one given cannot be used; `Identity`;
    /// `Config` for options that contradict each other; `Unsupported` for one that the backend
    /// cannot honour, naming those compiled in that can; `NoBackend`.
    pub fn build(self) -> Result<ClientContext, Error> {
        let backend = backend::or_default(self.backend)?;
        let connector = self.config.connector(backend);
        let connector = connector.map_err(|error| backend::name_those_that_can(error, backend))?;
        Ok(ClientContext(Arc::new(Inner {
            connector,
            verification: Some(self.config.verification()),
            has_identity: self.config.identity().is_some(),
            policy: self.policy,
        })))
    }
}

/// The shared client context, which trusts the system's PKI certificates: right for HTTPS and the
/// like. Built once per process with the default backend; a cheap clone after.
///
/// # Errors
///
/// `Trust` with reason `NoRoots`, naming the places tried, when the system has no trusted
/// certificate; an error is not remembered, so a later call tries again. `NoBackend`.
///
/// # Examples
///
/// ```
/// let context = polytls::default_client_ssl_context();
/// # let _ = context;
/// ```
pub fn default_client_ssl_context() -> Result<ClientContext, Error> {
    shared(&DEFAULT, || ClientContext::builder().build())
}

/// The same if it is built, without waiting for whoever is building it.
#[cfg(feature = "tokio")]
pub(crate) fn built_default_client_ssl_context() -> Option<ClientContext> {
    DEFAULT.try_lock().ok()?.clone()
}

static DEFAULT: Mutex<Option<ClientContext>> = Mutex::new(None);

/// The shared client context that verifies nothing: for debugging, and for servers with expired,
/// self-signed or otherwise broken certificates. Anyone on the path can read and change everything.
///
/// # Errors
///
/// `NoBackend`.
///
/// # Examples
///
/// ```
/// let context = polytls::insecure_client_ssl_context()?;
/// # Ok::<(), polytls::Error>(())
/// ```
pub fn insecure_client_ssl_context() -> Result<ClientContext, Error> {
    static SHARED: Mutex<Option<ClientContext>> = Mutex::new(None);
    shared(&SHARED, || ClientContext::builder().danger_verification(Verification::Nothing).build())
}

/// A client context with the system's trust and a minimum TLS version.
///
/// # Errors
///
/// As [`default_client_ssl_context`], and `Unsupported` for a version that the backend does not
/// speak.
///
/// # Examples
///
/// ```
/// use polytls::{ProtocolVersion, make_client_ssl_context};
///
/// let context = make_client_ssl_context(ProtocolVersion::Tls13);
/// # let _ = context;
/// ```
pub fn make_client_ssl_context(min_version: ProtocolVersion) -> Result<ClientContext, Error> {
    ClientContext::builder().min_version(min_version).build()
}

fn shared(
    slot: &Mutex<Option<ClientContext>>,
    build: impl FnOnce() -> Result<ClientContext, Error>,
) -> Result<ClientContext, Error> {
    // Held while building, so that a thousand first connections build one context.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(context) = &*slot {
        return Ok(context.clone());
    }
    Ok(slot.insert(build()?).clone())
}
