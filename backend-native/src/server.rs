//! Server contexts.

use std::fmt;

use native_tls::{TlsAcceptor, TlsAcceptorBuilder};
use polytls_core::{Acceptor, Backend, Capability, Error, Resumption, ServerConfig, Session};

use crate::session::TlsSession;
use crate::{ON_OPENSSL, backend, error, identity};

/// One server context.
pub(crate) enum Context {
    /// One context of the library for all connections.
    Shared(TlsAcceptor),
    /// One for each connection. native-tls cannot switch session tickets off, but a ticket is
    /// worthless when the key that it is encrypted with goes with the connection.
    Single(Box<TlsAcceptorBuilder>),
}

impl Context {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, Error> {
        let mut builder = TlsAcceptor::builder(identity::load(config.identity())?);
        let tls13 = Capability::ServerTls13;
        builder.min_protocol_version(Some(backend::protocol(config.min_version(), tls13)));
        builder.max_protocol_version(Some(backend::protocol(config.max_version(), tls13)));
        builder.accept_alpn(&backend::alpn(config.alpn(), Capability::ServerAlpn)?);
        let acceptor = builder.build().map_err(error::identity)?;
        Ok(match config.resumption() {
            Resumption::Disabled if ON_OPENSSL => Self::Single(Box::new(builder)),
            _ => Self::Shared(acceptor),
        })
    }

    pub(crate) fn ready(acceptor: TlsAcceptor) -> Self {
        Self::Shared(acceptor)
    }
}

impl Acceptor for Context {
    fn backend(&self) -> &'static dyn Backend {
        backend::backend()
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        let acceptor = match self {
            Self::Shared(acceptor) => acceptor.clone(),
            Self::Single(builder) => builder.build().map_err(error::internal)?,
        };
        Ok(Box::new(TlsSession::server(acceptor)))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
