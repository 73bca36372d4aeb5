//! Which public keys every backend can verify signatures with.

use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Sizes of an RSA key: at least what RFC 9325, section 4.5, asks for, and at most what the
/// cryptography of rustls takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Curves of the cryptography that rustls has by default; ring, its other one, is without P-521.
const CURVES: [Oid<'static>; 3] = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];

/// What keeps a backend from verifying an authority's signatures by this key; `None` for nothing.
pub(crate) fn fault(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static str> {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let sound = matches!(key.parsed(), Ok(PublicKey::RSA(_))) && !is_rsa_of_other_size(key);
        return (!sound).then_some("has an RSA key of less than 2048 or more than 8192 bits");
    }
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let parameters = key.algorithm.parameters.as_ref();
        let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
        let known = curve.is_some_and(|curve| CURVES.contains(&curve));
        return (!known).then_some("has a key on a curve other than P-256, P-384 and P-521");
    }
    let known = *algorithm == OID_SIG_ED25519;
    (!known).then_some("has a key that is not for RSA, ECDSA or Ed25519")
}

/// Whether it is an RSA key too short or too long. A leaf's other keys are agreed on by the handshake.
pub(crate) fn is_rsa_of_other_size(key: &SubjectPublicKeyInfo<'_>) -> bool {
    matches!(key.parsed(), Ok(PublicKey::RSA(key)) if !RSA_BITS.contains(&key.key_size()))
}
