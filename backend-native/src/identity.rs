//! One's own certificate chain and key, as the library wants them.

use native_tls::Identity as NativeIdentity;
use pkcs8::der::{Decode as _, Encode as _, asn1::AnyRef, asn1::OctetStringRef};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef};
use polytls_core::pki_types::PrivateKeyDer;
use polytls_core::{Certificate, Error, Identity, IdentityReason};
use sec1::EcPrivateKey;

/// The identity in native-tls' form.
///
/// # Errors
///
/// `Identity`: `KeyMismatch`, `Malformed`.
pub(crate) fn convert(identity: &Identity) -> Result<NativeIdentity, Error> {
    if cfg!(all(target_vendor = "apple", not(target_os = "macos"))) {
        // native-tls panics there.
        return Err(Error::identity(IdentityReason::Malformed, "this platform takes no key files"));
    }
    let key = pkcs8(identity.private_key())
        .map_err(|error| malformed("the private key cannot be parsed").with_source(error))?;
    check_match(identity, &key)?;
    let chain = identity.chain().iter().map(|der| Certificate::from(der.clone()).pem());
    let chain = chain.collect::<String>();
    NativeIdentity::from_pkcs8(chain.as_bytes(), key_pem(key).as_bytes())
        .map_err(|error| malformed("the library refuses it").with_source(error))
}

fn malformed(detail: &str) -> Error {
    Error::identity(IdentityReason::Malformed, detail)
}

/// The key as PKCS#8, the one form that native-tls takes.
fn pkcs8(key: &PrivateKeyDer<'_>) -> pkcs8::der::Result<Vec<u8>> {
    // RFC 8017, appendix C.
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    // RFC 5480, section 2.1.1.
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    match key {
        PrivateKeyDer::Pkcs1(key) => wrap(RSA, AnyRef::NULL, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let key = key.secret_sec1_der();
            let curve = EcPrivateKey::from_der(key)?.parameters.and_then(|p| p.named_curve());
            let curve = curve.ok_or(pkcs8::der::ErrorKind::Failed)?;
            wrap(EC, AnyRef::from(&curve), key)
        }
        other => Ok(other.secret_der().to_vec()),
    }
}

/// RFC 5958, section 2.
fn wrap(
    algorithm: ObjectIdentifier,
    parameters: AnyRef<'_>,
    key: &[u8],
) -> pkcs8::der::Result<Vec<u8>> {
    let algorithm = AlgorithmIdentifierRef { oid: algorithm, parameters: Some(parameters) };
    PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(key)?).to_der()
}

fn key_pem(der: Vec<u8>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("PRIVATE KEY", der), config)
}

/// native-tls on OpenSSL sets the key first and then the certificate, which makes OpenSSL drop a key
/// that does not belong to it without a word.
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn check_match(identity: &Identity, key: &[u8]) -> Result<(), Error> {
    use openssl::{pkey::PKey, x509::X509};
    let unknown = |error| malformed("the library does not know its kind of key").with_source(error);
    let key = PKey::private_key_from_pkcs8(key).map_err(unknown)?;
    let leaf = X509::from_der(identity.certificate().der()).map_err(unknown)?;
    if leaf.public_key().map_err(unknown)?.public_eq(&key) {
        Ok(())
    } else {
        Err(Error::new(polytls_core::ErrorKind::Identity(IdentityReason::KeyMismatch)))
    }
}

/// macOS looks the key up by the certificate and finds none; Windows notices in the handshake.
#[cfg(any(target_os = "windows", target_vendor = "apple"))]
fn check_match(_identity: &Identity, _key: &[u8]) -> Result<(), Error> {
    Ok(())
}

#[cfg(all(test, not(any(target_os = "windows", target_vendor = "apple"))))]
mod tests {
    use super::*;
    use openssl::{ec::EcGroup, ec::EcKey, nid::Nid, pkey::PKey, rsa::Rsa};

    #[test]
    fn older_forms_are_wrapped_as_openssl_does() {
        let rsa = Rsa::generate(2048).unwrap();
        let pkcs1 = PrivateKeyDer::Pkcs1(rsa.private_key_to_der().unwrap().into());
        let rsa = PKey::from_rsa(rsa).unwrap();
        assert_eq!(pkcs8(&pkcs1).unwrap(), rsa.private_key_to_pkcs8().unwrap());

        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let ec = EcKey::generate(&group).unwrap();
        let sec1 = PrivateKeyDer::Sec1(ec.private_key_to_der().unwrap().into());
        let ec = PKey::from_ec_key(ec).unwrap();
        let wrapped = PKey::private_key_from_pkcs8(&pkcs8(&sec1).unwrap()).unwrap();
        assert!(wrapped.public_eq(&ec));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(pkcs8(&PrivateKeyDer::Sec1(vec![0x30, 1, 0].into())).is_err());
    }
}
