//! Escape hatches: ready contexts of the crate `openssl`.
//!
//! What they verify, offer and remember is theirs. Reading ahead must be off, as it is unless set:
//! ciphertext would be kept where nobody sees it.

use std::fmt;
use std::sync::Arc;

use openssl::ssl::{Ssl, SslAcceptor, SslConnector};
use polytls_core::{Acceptor, Backend, Connector, Error, ErrorKind, ServerName, Session};

use crate::backend::backend;
use crate::client::expect_name;
use crate::error;
use crate::session::{Peer, TlsSession};

/// A ready client context. The name is sent, and verified if `ready` verifies certificates.
pub fn connector(ready: SslConnector) -> Arc<dyn Connector> {
    Arc::new(ReadyConnector(ready))
}

/// A ready server context.
pub fn acceptor(ready: SslAcceptor) -> Arc<dyn Acceptor> {
    Arc::new(ReadyAcceptor(ready))
}

#[derive(Debug)]
struct ReadyConnector(SslConnector);

impl Connector for ReadyConnector {
    fn backend(&self) -> &'static dyn Backend {
        backend()
    }

    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error> {
        let ssl = self.0.configure().and_then(|configuration| {
            let mut ssl = configuration.into_ssl(&name.text())?;
            // Only now, since `into_ssl` sets flags of its own.
            expect_name(&mut ssl, name)?;
            Ok(ssl)
        });
        let ssl = ssl.map_err(|error| Error::new(ErrorKind::ServerName).with_source(error))?;
        Ok(Box::new(TlsSession::client(ssl, Peer::server(name.clone(), None))?))
    }
}

struct ReadyAcceptor(SslAcceptor);

impl Acceptor for ReadyAcceptor {
    fn backend(&self) -> &'static dyn Backend {
        backend()
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        let ssl = Ssl::new(self.0.context()).map_err(error::internal)?;
        Ok(Box::new(TlsSession::server(ssl, Peer::client())?))
    }
}

impl fmt::Debug for ReadyAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyAcceptor").finish_non_exhaustive()
    }
}
