//! Client contexts.

use std::fmt;
use std::sync::Arc;

use polytls_core::{Backend, ClientConfig, Connector, Error, Resumption, ServerName, Session};
use rustls::ClientConnection;
use rustls::sign::SingleCertAndKey;

use crate::backend::{Rustls, versions};
use crate::session::TlsSession;
use crate::{error, identity, trust};

/// One client context.
pub(crate) struct Context {
    backend: &'static Rustls,
    config: Arc<rustls::ClientConfig>,
}

impl Context {
    pub(crate) fn new(backend: &'static Rustls, config: &ClientConfig) -> Result<Self, Error> {
        let provider = backend.provider();
        let verifier = trust::server_verifier(config, &provider)?;
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions(config.min_version(), config.max_version()))
            .map_err(error::internal)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut built = match config.identity() {
            Some(identity) => {
                let key = identity::load(identity, &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        built.alpn_protocols = config.alpn().to_vec();
        if config.resumption() == Resumption::Disabled {
            built.resumption = rustls::client::Resumption::disabled();
        }
        Ok(Self::ready(backend, Arc::new(built)))
    }

    pub(crate) fn ready(backend: &'static Rustls, config: Arc<rustls::ClientConfig>) -> Self {
        Self { backend, config }
    }
}

impl Connector for Context {
    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error> {
        // rustls sends no server name indication for an IP address.
        let connection =
            ClientConnection::new(self.config.clone(), name.to_pki()).map_err(error::internal)?;
        Ok(Box::new(TlsSession::new(connection.into())))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration's own would print every trust anchor.
        f.debug_struct("Context").field("backend", self.backend).finish_non_exhaustive()
    }
}
