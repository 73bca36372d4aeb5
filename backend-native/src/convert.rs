//! Ready configurations of the library, for what this crate has no option for.

use std::sync::Arc;

use native_tls::{TlsAcceptor, TlsConnector};
use polytls_core::{Acceptor, Connector};

use crate::client::NativeConnector;
use crate::server::NativeAcceptor;

/// A client context from a ready configuration, whose settings all stay as they are.
pub fn connector(connector: TlsConnector) -> Arc<dyn Connector> {
    NativeConnector::ready(connector)
}

/// A server context from a ready configuration, whose settings all stay as they are.
pub fn acceptor(acceptor: TlsAcceptor) -> Arc<dyn Acceptor> {
    NativeAcceptor::ready(acceptor)
}
