//! Private keys from one encoding into another.

use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{self, Decode as _, Encode as _};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef};
use rustls_pki_types::PrivateKeyDer;
use sec1::EcPrivateKey;

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The key as PKCS#8 version 1 (RFC 5208).
pub(crate) fn to_pkcs8(key: &PrivateKeyDer<'_>) -> der::Result<Vec<u8>> {
    match key {
        PrivateKeyDer::Pkcs1(key) => wrap(RSA, AnyRef::NULL, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let key = key.secret_sec1_der();
            let curve = EcPrivateKey::from_der(key)?.parameters.and_then(|p| p.named_curve());
            let curve = curve.ok_or(der::ErrorKind::Failed)?;
            wrap(EC, AnyRef::from(&curve), key)
        }
        other => match PrivateKeyInfoRef::from_der(other.secret_der()) {
            // OpenSSL 3.0 refuses version 2 (RFC 5958), which says the public key too.
            Ok(info) if info.public_key.is_some() => {
                PrivateKeyInfoRef::new(info.algorithm, info.private_key).to_der()
            }
            // What is wrong with it is for the library to say.
            _ => Ok(other.secret_der().to_vec()),
        },
    }
}

fn wrap(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> der::Result<Vec<u8>> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters: Some(parameters) };
    PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(key)?).to_der()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ed25519 key of RFC 8410, section 10.3, with and without its public key.
    const VERSION_2: &[u8] = b"\
        \x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\xd4\xee\x72\xdb\xf9\x13\
        \x58\x4a\xd5\xb6\xd8\xf1\xf7\x69\xf8\xad\x3a\xfe\x7c\x28\xcb\xf1\xd4\xfb\xe0\x97\xa8\x8f\
        \x44\x75\x58\x42\x81\x21\x00\x19\xbf\x44\x09\x69\x84\xcd\xfe\x85\x41\xba\xc1\x67\xdc\x3b\
        \x96\xc8\x50\x86\xaa\x30\xb6\xb6\xcb\x0c\x5c\x38\xad\x70\x31\x66\xe1";

    #[test]
    fn version_2_loses_its_public_key() {
        let version_1 = to_pkcs8(&PrivateKeyDer::Pkcs8(VERSION_2.into())).unwrap();
        assert_eq!(version_1[..5], [0x30, 0x2e, 2, 1, 0]);
        assert_eq!(version_1[5..], VERSION_2[5..48]);
        let again = to_pkcs8(&PrivateKeyDer::Pkcs8(version_1.clone().into())).unwrap();
        assert_eq!(again, version_1);
    }

    #[test]
    fn garbage_never_panics() {
        for end in 0..VERSION_2.len() {
            let part = || VERSION_2[..end].to_vec();
            let _ = to_pkcs8(&PrivateKeyDer::Pkcs8(part().into()));
            let _ = to_pkcs8(&PrivateKeyDer::Pkcs1(part().into()));
            assert!(to_pkcs8(&PrivateKeyDer::Sec1(part().into())).is_err());
        }
    }
}
