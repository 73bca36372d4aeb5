//! The certificates are what they are said to be, in the eyes of a parser and verifier that the
//! backends do not share.

use polytls::contract::{Anchor, AnchorKind};
use polytls::{Certificate, Identity, KeyFormat, TrustReason};

use super::*;

fn judge(authority: &Authority) -> Result<AnchorKind, polytls::ErrorKind> {
    let der = Certificate::from_peer(authority.der()).der().to_vec();
    Anchor::judge(der.into()).map(|anchor| anchor.kind()).map_err(|error| error.kind())
}

#[test]
fn authorities_are_as_told() {
    let bad = polytls::ErrorKind::Trust(TrustReason::BadAnchor);
    let root = Authority::named("r").root();
    assert_eq!(judge(&root), Ok(AnchorKind::Root));
    assert_eq!(judge(&Authority::named("i").issued_by(&root)), Ok(AnchorKind::Intermediate));
    assert_eq!(judge(&Authority::named("e").expired().root()), Err(bad));
    assert_eq!(judge(&Authority::named("n").not_yet_valid().root()), Err(bad));
    assert_eq!(judge(&Authority::named("f").without_ca_flag().root()), Ok(AnchorKind::Itself));
    assert_eq!(judge(&Authority::named("s").without_certificate_signing().root()), Err(bad));
    assert_eq!(judge(&Authority::named("u").without_key_usage().root()), Ok(AnchorKind::Root));
    for key in [Unusable::Rsa1024, Unusable::Dsa, Unusable::Malformed] {
        assert_eq!(judge(&Authority::named("o").unusable(key).root()), Err(bad), "{key:?}");
    }
    assert_eq!(root.name(), "r");
}

#[test]
fn keys_are_read_in_every_encoding() {
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::Ed25519, Algorithm::Rsa2048] {
        let credential = Leaf::server().algorithm(algorithm).self_signed();
        let chain = credential.chain_pem();
        let format = |key: &str| {
            Identity::from_bytes(chain.as_bytes(), key.as_bytes()).unwrap().key_format()
        };
        let key = &credential.key;
        assert_eq!(format(&key.pkcs8_pem()), KeyFormat::Pkcs8);
        match algorithm {
            Algorithm::P256 | Algorithm::P384 => {
                assert_eq!(format(&key.sec1_pem()), KeyFormat::Sec1);
            }
            Algorithm::Rsa2048 => assert_eq!(format(&key.pkcs1_pem()), KeyFormat::Pkcs1),
            Algorithm::Ed25519 => {}
        }
    }
}

#[test]
fn broken_certificates_parse_and_only_the_fault_differs() {
    let rsa = Authority::named("r").algorithm(Algorithm::Rsa2048).root();
    for leaf in [Leaf::server().signed_with_sha1(), Leaf::server().with_bad_signature()] {
        let certificate = leaf.issued_by(&rsa).certificate();
        assert_eq!(certificate.names().unwrap(), [NAME, "127.0.0.1"]);
    }
    let version_1 = Leaf::server().version_1().issued_by(&rsa).certificate();
    assert!(version_1.names().unwrap().is_empty());
    assert!(Leaf::server().expired().self_signed().certificate().validity().unwrap().is_over());
    assert!(
        Leaf::server().not_yet_valid().self_signed().certificate().validity().unwrap().is_ahead()
    );
}
