//! Ready rustls configurations as contexts of polytls.
//!
//! A ready configuration keeps everything it says: its own provider, verifier, resolver of
//! certificates and sessions.

use std::sync::Arc;

use polytls_core::{Acceptor, Connector};

use crate::backend::default_backend;
use crate::client::Client;
use crate::server::Server;

/// A client context of a ready configuration.
pub fn connector(config: Arc<rustls::ClientConfig>) -> Arc<dyn Connector> {
    Arc::new(Client::from_config(default_backend(), config))
}

/// A server context of a ready configuration.
pub fn acceptor(config: Arc<rustls::ServerConfig>) -> Arc<dyn Acceptor> {
    Arc::new(Server::from_config(default_backend(), config))
}
