//! A peer that can do what no backend offers its users: a bare rustls.

use std::sync::Arc;

use polytls_conformance::pki;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{Connection, ServerConfig, ServerConnection};

/// A server of TLS 1.3; its records hold no more than this, header included.
pub(crate) fn server(longest_record: Option<usize>) -> Connection {
    let credential = &pki::standard().server;
    let chain = credential.chain.iter().map(|der| der.clone().into()).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(credential.key.pkcs8().to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.max_fragment_size = longest_record;
    ServerConnection::new(Arc::new(config)).unwrap().into()
}
