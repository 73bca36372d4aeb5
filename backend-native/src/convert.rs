//! Ready configurations of native-tls, for what this crate has no option for.

use std::sync::Arc;

use native_tls::{TlsAcceptor, TlsConnector};
use polytls_core::{Acceptor, Connector};

use crate::{client, server};

/// What `polytls::ClientContext::from_connector` takes, from a ready configuration. Its settings all
/// stay as they are.
///
/// ```
/// use polytls_native::native_tls::TlsConnector;
///
/// let ready = TlsConnector::builder().use_sni(false).build()?;
/// let connector = polytls_native::connector(ready);
/// # Ok::<(), polytls_native::native_tls::Error>(())
/// ```
pub fn connector(ready: TlsConnector) -> Arc<dyn Connector> {
    Arc::new(client::Context::ready(ready))
}

/// What `polytls::ServerContext::from_acceptor` takes, from a ready configuration. Its settings all
/// stay as they are.
///
/// ```no_run
/// use polytls_native::native_tls::{Identity, TlsAcceptor};
///
/// let identity = Identity::from_pkcs12(&std::fs::read("identity.p12")?, "password")?;
/// let acceptor = polytls_native::acceptor(TlsAcceptor::new(identity)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn acceptor(ready: TlsAcceptor) -> Arc<dyn Acceptor> {
    Arc::new(server::Context::ready(ready))
}
