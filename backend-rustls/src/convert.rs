//! Ready configurations of rustls, for what this crate has no option for.

use std::sync::Arc;

use polytls_core::{Acceptor, Connector};

use crate::backend::DEFAULT;
use crate::{client, server};

/// A client context from a ready configuration, whose settings all stay as they are: its provider
/// and its verifier too.
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

/// A server context from a ready configuration, whose settings all stay as they are: its provider
/// and its verifier too.
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
