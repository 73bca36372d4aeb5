//! Certificates that no maker of certificates makes: taken apart, changed and signed again.

use rcgen::{CustomExtension, SanType};
use rsa::pkcs1v15;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use x509_cert::Certificate;
use x509_cert::Version;
use x509_cert::der::asn1::{BitString, Ia5String, Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::keys::{dsa_key, weak_rsa};
use super::{Key, Unusable};

/// The certificate in version 1, which has no extensions.
pub(super) fn version_1(der: &[u8], issuer: &Key) -> Vec<u8> {
    let mut certificate = Certificate::from_der(der).unwrap();
    certificate.tbs_certificate.version = Version::V1;
    certificate.tbs_certificate.extensions = None;
    sign(certificate, issuer)
}

/// The certificate with another public key.
pub(super) fn with_public_key(der: &[u8], key: Unusable, issuer: &Key) -> Vec<u8> {
    let mut certificate = Certificate::from_der(der).unwrap();
    certificate.tbs_certificate.subject_public_key_info =
        SubjectPublicKeyInfoOwned::from_der(&key.public_der()).unwrap();
    sign(certificate, issuer)
}

/// The certificate signed with SHA-1 and RSA.
pub(super) fn signed_with_sha1(der: &[u8], issuer: &Key) -> Vec<u8> {
    const SHA1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
    let key = pkcs1v15::SigningKey::<sha1::Sha1>::new(issuer.rsa());
    let algorithm = AlgorithmIdentifierOwned { oid: SHA1_WITH_RSA, parameters: Some(Null.into()) };
    sign_by(der, algorithm, |tbs| key.sign(tbs).to_vec())
}

/// The certificate signed by an RSA key of 1,024 bits.
pub(super) fn signed_by_weak_rsa(der: &[u8]) -> Vec<u8> {
    const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
    let key = pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(weak_rsa().clone());
    let algorithm =
        AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(Null.into()) };
    sign_by(der, algorithm, |tbs| key.sign(tbs).to_vec())
}

/// The certificate signed by a DSA key.
pub(super) fn signed_by_dsa(der: &[u8]) -> Vec<u8> {
    const DSA_WITH_SHA256: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.2");
    let algorithm = AlgorithmIdentifierOwned { oid: DSA_WITH_SHA256, parameters: None };
    sign_by(der, algorithm, |tbs| dsa_key().sign(tbs).to_vec())
}

/// The certificate with a signature that does not verify. Both stay well-formed, since what is
/// signed is changed, the serial number, and not the signature.
pub(super) fn bad_signature(der: &[u8]) -> Vec<u8> {
    let mut certificate = Certificate::from_der(der).unwrap();
    let mut serial = certificate.tbs_certificate.serial_number.as_bytes().to_vec();
    if let Some(last) = serial.last_mut() {
        *last ^= 1;
    }
    certificate.tbs_certificate.serial_number =
        x509_cert::serial_number::SerialNumber::new(&serial).unwrap();
    certificate.to_der().unwrap()
}

/// A constraint that permits the names below this one: rcgen knows not every kind, and its
/// directoryName is not what RFC 5280, section 4.2.1.6, calls one.
pub(super) fn permitted(base: GeneralName) -> CustomExtension {
    let subtree = GeneralSubtree { base, minimum: 0, maximum: None };
    let constraints =
        NameConstraints { permitted_subtrees: Some(vec![subtree]), excluded_subtrees: None };
    let der = constraints.to_der().unwrap();
    CustomExtension::from_oid_content(&[2, 5, 29, 30], der)
}

/// A subjectAltName of these DNS names and an address of five bytes.
pub(super) fn names_and_malformed_address(names: &[SanType]) -> CustomExtension {
    let dns = names.iter().filter_map(|name| match name {
        SanType::DnsName(name) => {
            Some(GeneralName::DnsName(Ia5String::new(name.as_str()).unwrap()))
        }
        _ => None,
    });
    let address = GeneralName::IpAddress(OctetString::new([127, 0, 0, 1, 0]).unwrap());
    let der = dns.chain([address]).collect::<Vec<_>>().to_der().unwrap();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], der)
}

fn sign(certificate: Certificate, issuer: &Key) -> Vec<u8> {
    let tbs = certificate.tbs_certificate.to_der().unwrap();
    let signature = rcgen::SigningKey::sign(issuer.pair(), &tbs).unwrap();
    finish(certificate, &signature)
}

fn sign_by(
    der: &[u8],
    algorithm: AlgorithmIdentifierOwned,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let mut certificate = Certificate::from_der(der).unwrap();
    certificate.tbs_certificate.signature = algorithm.clone();
    certificate.signature_algorithm = algorithm;
    let tbs = certificate.tbs_certificate.to_der().unwrap();
    finish(certificate, &sign(&tbs))
}

fn finish(mut certificate: Certificate, signature: &[u8]) -> Vec<u8> {
    certificate.signature = BitString::from_bytes(signature).unwrap();
    certificate.to_der().unwrap()
}
