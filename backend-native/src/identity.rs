//! Certificate chain and private key in the library's types.

use polytls_core::{Certificate, Error, Identity, IdentityReason};

use crate::error;

/// The identity in native-tls' form.
///
/// # Errors
///
/// `Identity`: `KeyMismatch`, `Malformed`.
pub(crate) fn load(identity: &Identity) -> Result<native_tls::Identity, Error> {
    if cfg!(all(target_vendor = "apple", not(target_os = "macos"))) {
        // native-tls panics there.
        return Err(Error::identity(IdentityReason::Malformed, "this platform takes no key files"));
    }
    let key = identity.pkcs8_key()?;
    check_match(identity, key.secret_pkcs8_der())?;
    let chain = identity.chain().iter().map(|der| Certificate::from(der.clone()).pem());
    let chain = chain.collect::<String>();
    native_tls::Identity::from_pkcs8(chain.as_bytes(), key_pem(key.secret_pkcs8_der()).as_bytes())
        .map_err(error::identity)
}

fn key_pem(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("PRIVATE KEY", der), config)
}

/// native-tls on OpenSSL sets the key first and then the certificate, which makes OpenSSL drop a key
/// that does not belong to it without a word.
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn check_match(identity: &Identity, key: &[u8]) -> Result<(), Error> {
    use openssl::{pkey::PKey, x509::X509};
    let unknown = |error| {
        let detail = "a private key of a kind that the library does not know";
        Error::identity(IdentityReason::Malformed, detail).with_source(error)
    };
    let key = PKey::private_key_from_pkcs8(key).map_err(unknown)?;
    let leaf = X509::from_der(identity.certificate().der()).map_err(unknown)?;
    match leaf.public_key().map_err(unknown)?.public_eq(&key) {
        true => Ok(()),
        false => Err(identity.key_mismatch()),
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
    fn older_forms_of_a_key_are_the_same_key() {
        let made = rcgen::generate_simple_self_signed(["a.test".into()]).unwrap();
        let pem = |der: &[u8]| {
            let identity = Identity::from_bytes(made.cert.der(), der).unwrap();
            key_pem(identity.pkcs8_key().unwrap().secret_pkcs8_der())
        };

        let rsa = Rsa::generate(2048).unwrap();
        let key = PKey::private_key_from_pem(pem(&rsa.private_key_to_der().unwrap()).as_bytes());
        assert!(key.unwrap().public_eq(&PKey::from_rsa(rsa).unwrap()));

        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let ec = EcKey::generate(&group).unwrap();
        let key = PKey::private_key_from_pem(pem(&ec.private_key_to_der().unwrap()).as_bytes());
        assert!(key.unwrap().public_eq(&PKey::from_ec_key(ec).unwrap()));
    }
}
