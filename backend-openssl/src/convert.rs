//! Ready configurations of OpenSSL, for what this crate has no option for.
//!
//! What they verify, offer and remember is theirs. Reading ahead must be off, as it is unless set:
//! ciphertext would be kept where nobody sees it.

use std::sync::Arc;

use openssl::ssl::{SslAcceptor, SslConnector};
use polytls_core::{Acceptor, Connector};

use crate::{client, server};

/// What `polytls::ClientContext::from_connector` takes, from a ready configuration. Its settings
/// stay as they are, but for the flags by which names are compared; the name is sent, and verified if
/// they verify certificates.
///
/// ```
/// use polytls_openssl::openssl::ssl::{SslConnector, SslMethod};
///
/// let mut ready = SslConnector::builder(SslMethod::tls_client())?;
/// ready.set_groups_list("P-256")?;
/// let connector = polytls_openssl::connector(ready.build());
/// # Ok::<(), polytls_openssl::openssl::error::ErrorStack>(())
/// ```
pub fn connector(ready: SslConnector) -> Arc<dyn Connector> {
    Arc::new(client::Context::ready(ready))
}

/// What `polytls::ServerContext::from_acceptor` takes, from a ready configuration. Its settings all
/// stay as they are.
///
/// ```no_run
/// use polytls_openssl::openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
///
/// let mut ready = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
/// ready.set_certificate_chain_file("chain.pem")?;
/// ready.set_private_key_file("key.pem", SslFiletype::PEM)?;
/// let acceptor = polytls_openssl::acceptor(ready.build());
/// # Ok::<(), polytls_openssl::openssl::error::ErrorStack>(())
/// ```
pub fn acceptor(ready: SslAcceptor) -> Arc<dyn Acceptor> {
    Arc::new(server::Context::ready(ready))
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::ssl::SslMethod;
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::{X509, X509Name};
    use polytls_core::{Error, ErrorKind, Handshake, ServerName, Wire};

    use super::*;

    fn self_signed(name: &str) -> (X509, PKey<Private>) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", "polytls").unwrap();
        let subject = subject.build();
        let mut made = X509::builder().unwrap();
        made.set_version(2).unwrap();
        made.set_subject_name(&subject).unwrap();
        made.set_issuer_name(&subject).unwrap();
        made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        made.set_pubkey(&key).unwrap();
        let names = SubjectAlternativeName::new().dns(name).build(&made.x509v3_context(None, None));
        made.append_extension(names.unwrap()).unwrap();
        made.sign(&key, MessageDigest::sha256()).unwrap();
        (made.build(), key)
    }

    /// How a handshake with the server of this name goes, for the client.
    fn handshake(
        client: &dyn Connector,
        server: &dyn Acceptor,
        name: &str,
    ) -> Result<Handshake, Error> {
        let mut client = client.start(&ServerName::parse(name).unwrap()).unwrap();
        let mut server = server.start().unwrap();
        let [mut near, mut far] = [Wire::default(), Wire::default()];
        while client.handshake(&mut near)? == Handshake::NeedsInput {
            far.incoming().push(near.output());
            near.outgoing().clear();
            server.handshake(&mut far)?;
            near.incoming().push(far.output());
            far.outgoing().clear();
        }
        Ok(Handshake::Done)
    }

    #[test]
    fn a_ready_client_verifies_the_name() {
        let (certificate, key) = self_signed("a.test");
        let mut client = SslConnector::builder(SslMethod::tls_client()).unwrap();
        client.cert_store_mut().add_cert(certificate.clone()).unwrap();
        let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        server.set_certificate(&certificate).unwrap();
        server.set_private_key(&key).unwrap();
        let (client, server) = (connector(client.build()), acceptor(server.build()));

        assert_eq!(handshake(&*client, &*server, "a.test").unwrap(), Handshake::Done);
        for other in ["b.test", "127.0.0.1"] {
            let error = handshake(&*client, &*server, other).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Certificate(_)), "{error:?}");
        }
    }
}
