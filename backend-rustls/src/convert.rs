//! Ready configurations of rustls, for what this crate has no option for.

use std::sync::Arc;

use polytls_core::{Acceptor, Connector};

use crate::backend::DEFAULT;
use crate::{client, server};

/// What `polytls::ClientContext::from_connector` takes, from a ready configuration. Its settings all
/// stay as they are: its provider and its verifier too.
///
/// ```
/// use std::sync::Arc;
/// use polytls_rustls::rustls::{ClientConfig, RootCertStore};
///
/// # fn context(roots: RootCertStore) -> Arc<dyn polytls_core::Connector> {
/// let ready = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
/// polytls_rustls::connector(Arc::new(ready))
/// # }
/// ```
///
/// A connector of tokio-rustls gives its configuration:
///
/// ```
/// # fn context(ready: tokio_rustls::TlsConnector) -> std::sync::Arc<dyn polytls_core::Connector> {
/// polytls_rustls::connector(ready.config().clone())
/// # }
/// ```
pub fn connector(ready: Arc<rustls::ClientConfig>) -> Arc<dyn Connector> {
    Arc::new(client::Context::ready(&DEFAULT, ready))
}

/// What `polytls::ServerContext::from_acceptor` takes, from a ready configuration. Its settings all
/// stay as they are: its provider and its verifier too.
///
/// ```
/// use std::sync::Arc;
/// use polytls_rustls::rustls::{ServerConfig, server::ResolvesServerCert};
///
/// # fn context(certificates: Arc<dyn ResolvesServerCert>) -> Arc<dyn polytls_core::Acceptor> {
/// let ready = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
/// polytls_rustls::acceptor(Arc::new(ready))
/// # }
/// ```
///
/// An acceptor of tokio-rustls gives its configuration:
///
/// ```
/// # fn context(ready: tokio_rustls::TlsAcceptor) -> std::sync::Arc<dyn polytls_core::Acceptor> {
/// polytls_rustls::acceptor(ready.config().clone())
/// # }
/// ```
pub fn acceptor(ready: Arc<rustls::ServerConfig>) -> Arc<dyn Acceptor> {
    Arc::new(server::Context::ready(&DEFAULT, ready))
}
