//! Ready configurations of the library, for what this crate has no option for.

use std::sync::Arc;

use native_tls::{TlsAcceptor, TlsConnector};
use polytls_core::{Acceptor, Connector};

use crate::{client, server};

/// A client context from a ready configuration, whose settings all stay as they are.
pub fn connector(ready: TlsConnector) -> Arc<dyn Connector> {
    Arc::new(client::Context::ready(ready))
}

/// A server context from a ready configuration, whose settings all stay as they are.
pub fn acceptor(ready: TlsAcceptor) -> Arc<dyn Acceptor> {
    Arc::new(server::Context::ready(ready))
}
