//! Client contexts.

use native_tls::TlsConnector;
use polytls_core::{
    Backend, Capability, ClientConfig, Connector, Error, ServerName, Session, Verification,
};

use crate::session::TlsSession;
use crate::{backend, error, identity, trust};

/// One client context.
#[derive(Debug)]
pub(crate) struct Context(TlsConnector);

impl Context {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, Error> {
        // rust-openssl and native-tls each read the system's certificates for every context, and
        // neither can be told not to: one more reason to share contexts.
        let mut builder = TlsConnector::builder();
        let tls13 = Capability::ClientTls13;
        builder.min_protocol_version(Some(backend::protocol(config.min_version(), tls13)));
        builder.max_protocol_version(Some(backend::protocol(config.max_version(), tls13)));
        builder.request_alpns(&backend::alpn(config.alpn(), Capability::ClientAlpn)?);
        trust::apply(config, &mut builder)?;
        match config.verification() {
            Verification::SkipHostname => {
                builder.danger_accept_invalid_hostnames(true);
            }
            Verification::Nothing => {
                builder.danger_accept_invalid_hostnames(true);
                builder.danger_accept_invalid_certs(true);
            }
            _ => {}
        }
        let refused = match config.identity() {
            Some(identity) => {
                builder.identity(identity::load(identity)?);
                error::identity
            }
            None => error::internal,
        };
        builder.build().map(Self).map_err(refused)
    }

    pub(crate) fn ready(connector: TlsConnector) -> Self {
        Self(connector)
    }
}

impl Connector for Context {
    fn backend(&self) -> &'static dyn Backend {
        backend::backend()
    }

    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(TlsSession::client(self.0.clone(), &name.text())))
    }
}
