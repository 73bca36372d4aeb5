//! Server contexts.

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, Ssl, SslAcceptor, SslContext, SslContextBuilder, SslMethod, SslVerifyMode,
};
use openssl::x509::X509;
use polytls_core::{
    Acceptor, Backend, ClientAuth, Error, Resumption, Roots, ServerConfig, Session,
};

use crate::backend::{Offer, backend};
use crate::session::{Peer, TlsSession};
use crate::trust::{Names, Verifier};
use crate::{error, identity, trust};

/// One server context.
#[derive(Debug)]
pub(crate) struct Context {
    context: SslContext,
}

impl Context {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, Error> {
        let mut context = build(config).map_err(error::internal)?;
        identity::present(&mut context, config.identity())?;
        if let (Some(roots), Some(trust)) = (config.client_roots()?, config.client_auth().trust()) {
            let mode = match config.client_auth() {
                ClientAuth::Required(_) => {
                    SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
                }
                _ => SslVerifyMode::PEER,
            };
            let verifier = Verifier::new(roots, Names::Any).map_err(error::internal)?;
            verifier.install(&mut context, mode, trust::store(roots, trust)?);
            name_authorities(&mut context, roots);
        }
        Ok(Self { context: context.build() })
    }

    pub(crate) fn ready(acceptor: SslAcceptor) -> Self {
        Self { context: acceptor.into_context() }
    }
}

impl Acceptor for Context {
    fn backend(&self) -> &'static dyn Backend {
        backend()
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        let ssl = Ssl::new(&self.context).map_err(error::internal)?;
        Ok(Box::new(TlsSession::server(ssl, Peer::client())?))
    }
}

/// Everything that the library refuses only when it has no memory.
fn build(config: &ServerConfig) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = Offer {
        method: SslMethod::tls_server(),
        min_version: config.min_version(),
        max_version: config.max_version(),
        resumption: config.resumption(),
    }
    .context()?;
    // Without one, a server that asks for client certificates breaks off each resumption
    // (SSL_CTX_set_session_id_context(3)). Ticket keys are the context's own.
    context.set_session_id_context(b"polytls")?;
    if config.resumption() == Resumption::Disabled {
        // Without tickets alone, TLS 1.3 would still send session ids in their place.
        context.set_num_tickets(0)?;
    }
    // Acknowledged, so that the library remembers the name with the session.
    context.set_servername_callback(|_, _| Ok(()));
    if !config.alpn().is_empty() {
        let ours = config.alpn().to_vec();
        context.set_alpn_select_callback(move |_, theirs| {
            choose(&ours, theirs).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    Ok(context)
}

/// The first of our protocol names that stands in their list (RFC 7301, section 3.1).
fn choose<'a>(ours: &[Vec<u8>], theirs: &'a [u8]) -> Option<&'a [u8]> {
    ours.iter().find_map(|name| names(theirs).find(|theirs| theirs == name))
}

fn names(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = list.split_first()?;
        let (name, rest) = rest.split_at_checked(length.into())?;
        list = rest;
        Some(name)
    })
}

/// Tells clients whose certificates are taken (RFC 8446, section 4.2.4), for those with several.
fn name_authorities(context: &mut SslContextBuilder, roots: &Roots) {
    for der in roots.authorities().chain(roots.themselves()) {
        // A hint: one that is missing does no harm.
        let _ = X509::from_der(der).and_then(|authority| context.add_client_ca(&authority));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_in_our_order_and_never_from_a_malformed_list() {
        let ours = [b"h2".to_vec(), b"x".to_vec()];
        for (theirs, chosen) in [
            (&b"\x01x\x02h2"[..], Some(&b"h2"[..])),
            (b"\x01x", Some(b"x")),
            (b"\x01y", None),
            (b"\x09h2", None),
            (b"", None),
        ] {
            assert_eq!(choose(&ours, theirs), chosen);
        }
    }
}
