//! Server contexts.

use std::fmt;
use std::sync::Arc;

use polytls_core::{Acceptor, Backend, Error, Resumption, ServerConfig, Session};
use rustls::ServerConnection;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;

use crate::backend::{Rustls, versions};
use crate::session::TlsSession;
use crate::{error, identity, trust};

/// One server context.
pub(crate) struct Context {
    backend: &'static Rustls,
    config: Arc<rustls::ServerConfig>,
}

impl Context {
    pub(crate) fn new(backend: &'static Rustls, config: &ServerConfig) -> Result<Self, Error> {
        let provider = backend.provider();
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions(config.min_version(), config.max_version()))
            .map_err(error::internal)?;
        let builder = match trust::client_verifier(config, &provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let key = identity::load(config.identity(), &provider)?;
        let mut built = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        built.alpn_protocols = config.alpn().to_vec();
        match config.resumption() {
            Resumption::Disabled => {
                built.session_storage = Arc::new(NoServerSessionStorage {});
                built.send_tls13_tickets = 0;
            }
            // Sealed tickets rather than a cache: a cache of any size fails a busy server.
            _ => {
                let ticketer = backend.ticketer().map_err(error::internal)?;
                built.ticketer = Arc::new(ShortTickets(ticketer));
            }
        }
        Ok(Self::ready(backend, Arc::new(built)))
    }

    pub(crate) fn ready(backend: &'static Rustls, config: Arc<rustls::ServerConfig>) -> Self {
        Self { backend, config }
    }
}

impl Acceptor for Context {
    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        let connection = ServerConnection::new(self.config.clone()).map_err(error::internal)?;
        Ok(Box::new(TlsSession::new(connection.into())))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration's own would print every trust anchor.
        f.debug_struct("Context").field("backend", self.backend).finish_non_exhaustive()
    }
}

/// Seals no session that is very long, since the client's certificates are in it: a ticket of more
/// than three records is more than a rustls client takes, and each of its hellos would carry it.
#[derive(Debug)]
struct ShortTickets(Arc<dyn ProducesTickets>);

/// The longest session that is sealed, in bytes: a record's worth.
const LONGEST_SESSION: usize = 16 << 10;

impl ProducesTickets for ShortTickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > LONGEST_SESSION { None } else { self.0.encrypt(session) }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(ticket)
    }
}
