//! Certificates that no maker of certificates makes: taken apart, changed and signed again.

use rsa::pkcs1v15;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use x509_cert::Certificate;
use x509_cert::Version;
use x509_cert::der::asn1::{BitString, Null, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::Key;

/// The certificate in version 1, which has no extensions.
pub(super) fn version_1(der: &[u8], issuer: &Key) -> Vec<u8> {
    let mut certificate = Certificate::from_der(der).unwrap();
    certificate.tbs_certificate.version = Version::V1;
    certificate.tbs_certificate.extensions = None;
    let tbs = certificate.tbs_certificate.to_der().unwrap();
    let signature = rcgen::SigningKey::sign(issuer.pair(), &tbs).unwrap();
    finish(certificate, &signature)
}

/// The certificate signed with SHA-1 and RSA.
pub(super) fn signed_with_sha1(der: &[u8], issuer: &Key) -> Vec<u8> {
    const SHA1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
    let mut certificate = Certificate::from_der(der).unwrap();
    let algorithm = AlgorithmIdentifierOwned { oid: SHA1_WITH_RSA, parameters: Some(Null.into()) };
    certificate.tbs_certificate.signature = algorithm.clone();
    certificate.signature_algorithm = algorithm;
    let tbs = certificate.tbs_certificate.to_der().unwrap();
    let signature = pkcs1v15::SigningKey::<sha1::Sha1>::new(issuer.rsa()).sign(&tbs);
    finish(certificate, &signature.to_vec())
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

fn finish(mut certificate: Certificate, signature: &[u8]) -> Vec<u8> {
    certificate.signature = BitString::from_bytes(signature).unwrap();
    certificate.to_der().unwrap()
}
