//! Client contexts.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslConnector, SslContext, SslContextBuilder, SslMethod, SslRef, SslSession,
    SslSessionCacheMode, SslVerifyMode,
};
use polytls_core::{
    Backend, ClientConfig, Connector, Error, ErrorKind, Resumption, ServerName, Session,
    Verification,
};

use crate::backend::{Offer, backend};
use crate::cache::Sessions;
use crate::session::{Peer, TlsSession};
use crate::trust::{Names, Verifier};
use crate::{error, identity, trust};

/// One client context.
#[derive(Debug)]
pub(crate) struct Context {
    context: SslContext,
    names: Names,
    /// Sessions of `context`, and of no other.
    sessions: Option<Arc<Sessions>>,
}

impl Context {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, Error> {
        let mut context = build(config).map_err(error::internal)?;
        let names = match config.verification() {
            Verification::Nothing | Verification::SkipHostname => Names::Any,
            _ => Names::AsAsked,
        };
        if config.verification() == Verification::Nothing {
            context.set_verify(SslVerifyMode::NONE);
        } else {
            let roots = config.roots()?;
            let verifier = Verifier::new(roots, names).map_err(error::internal)?;
            let store = trust::store(roots, config.trust())?;
            verifier.install(&mut context, SslVerifyMode::PEER, store);
        }
        if let Some(identity) = config.identity() {
            identity::present(&mut context, identity)?;
        }
        let sessions = match config.resumption() {
            Resumption::Disabled => None,
            _ => Some(keep_sessions(&mut context)),
        };
        Ok(Self { context: context.build(), names, sessions })
    }

    pub(crate) fn ready(connector: SslConnector) -> Self {
        Self { context: connector.into_context(), names: Names::AsAsked, sessions: None }
    }

    fn tell_name(&self, ssl: &mut SslRef, name: &ServerName) -> Result<(), ErrorStack> {
        if let Some(dns) = name.dns_name() {
            ssl.set_hostname(dns)?;
        }
        match self.names {
            Names::AsAsked => expect_name(ssl, name),
            Names::Any => Ok(()),
        }
    }

    #[expect(
        unsafe_code,
        reason = "the crate marks `set_session` unsafe because a session must be of the same \
                  context: `ssl` was made from `self.context`, and `self.sessions` is filled by \
                  connections of that context alone"
    )]
    fn resume(&self, ssl: &mut Ssl, session: &SslSession) -> Result<(), ErrorStack> {
        unsafe { ssl.set_session(session) }
    }
}

impl Connector for Context {
    fn backend(&self) -> &'static dyn Backend {
        backend()
    }

    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error> {
        let mut ssl = Ssl::new(&self.context).map_err(error::internal)?;
        self.tell_name(&mut ssl, name)
            .map_err(|error| Error::new(ErrorKind::ServerName).with_source(error))?;
        if let Some(session) = self.sessions.as_ref().and_then(|sessions| sessions.take(name)) {
            // One that does not fit does no harm: a full handshake is the answer.
            let _ = self.resume(&mut ssl, &session);
        }
        Ok(Box::new(TlsSession::client(ssl, Peer::server(name.clone(), self.sessions.clone()))?))
    }
}

/// Everything that the library refuses only when it has no memory.
fn build(config: &ClientConfig) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = Offer {
        method: SslMethod::tls_client(),
        min_version: config.min_version(),
        max_version: config.max_version(),
        resumption: config.resumption(),
    }
    .context()?;
    if config.verification() == Verification::Nothing {
        // Also for servers with keys and signatures that are too weak to verify, and for those that
        // know no cipher suite of today.
        context.set_security_level(0);
        context.set_cipher_list("DEFAULT:!aNULL:!eNULL")?;
    }
    if !config.alpn().is_empty() {
        context.set_alpn_protos(&alpn_list(config.alpn()))?;
    }
    Ok(context)
}

/// Protocol names as they stand in the extension (RFC 7301, section 3.1); core refuses names of
/// more than 255 bytes.
fn alpn_list(protocols: &[Vec<u8>]) -> Vec<u8> {
    protocols.iter().flat_map(|name| [&[name.len() as u8], name.as_slice()].concat()).collect()
}

/// Has the library check the name too. The setter of the flags replaces those that were set.
fn expect_name(ssl: &mut SslRef, name: &ServerName) -> Result<(), ErrorStack> {
    let rules = ssl.param_mut();
    rules.set_hostflags(trust::HOST_FLAGS);
    match (name.dns_name(), name.ip_address()) {
        (_, Some(address)) => rules.set_ip(address),
        (Some(dns), None) => rules.set_host(dns),
        (None, None) => Ok(()),
    }
}

/// Keeps the sessions of this context, since the library's own cache serves servers only.
fn keep_sessions(context: &mut SslContextBuilder) -> Arc<Sessions> {
    context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    context.set_new_session_callback(|ssl, session| {
        if let Some(peer) = Peer::of(ssl) {
            peer.keep(session);
        }
    });
    Arc::default()
}
