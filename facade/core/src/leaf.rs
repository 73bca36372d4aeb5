//! The one check of a peer's leaf certificate that runs after every handshake, for every backend.
//!
//! The library's own checks stay on; this one makes them agree where they do not:
//!
//! | matter | openssl, native-tls | rustls | here |
//! |---|---|---|---|
//! | a name in the common name only | accepted | refused | refused (RFC 9525, section 2) |
//! | `foo_bar.example.com` on `*.example.com` | refused | accepted | refused |
//! | the CA flag on a trusted leaf | accepted | refused | refused |
//! | a key usage that forbids signing | refused | accepted | refused |
//! | an X.509 version 1 leaf | accepted | refused | refused |
//! | an issuer without the CA flag, if of version 1 or with a key usage | accepted | refused | refused |
//! | an issuer whose key usage forbids certificate signing | refused | accepted | refused |
//! | an RSA key of less than 2048 bits | by its security level | refused, as a bad signature | refused |

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Version;

use crate::checked::{For, unless_passed};
use crate::{Certificate, CertificateReason, Error, ServerName, public_key};

/// Checks what a leaf may be used for: it is of version 3, no authority, and its key may sign and is
/// not weak.
///
/// # Errors
///
/// `Certificate`: `UnsupportedVersion`, `CaUsedAsEndEntity`, `WrongUsage`, `UnsupportedAlgorithm`,
/// `BadEncoding`.
pub fn check_usage(leaf: &Certificate) -> Result<(), Error> {
    unless_passed(leaf, For::Leaf, || usage(leaf))
}

fn usage(leaf: &Certificate) -> Result<(), Error> {
    let parsed = leaf.parsed()?;
    let refuse = |reason| Err(describe(Error::certificate(reason), leaf));
    // Only version 3 can say what a certificate is for (RFC 5280, section 4.1.2.1).
    if parsed.version() != X509Version::V3 {
        return refuse(CertificateReason::UnsupportedVersion);
    }
    match parsed.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => {
            return refuse(CertificateReason::CaUsedAsEndEntity);
        }
        Ok(_) => {}
        Err(_) => return refuse(CertificateReason::BadEncoding),
    }
    match parsed.key_usage() {
        // Every key exchange that is offered signs with the leaf's key (RFC 8446, section 4.4.2.2;
        // RFC 8422, section 5.3).
        Ok(Some(usage)) if !usage.value.digital_signature() => {
            return refuse(CertificateReason::WrongUsage);
        }
        Ok(_) => {}
        Err(_) => return refuse(CertificateReason::BadEncoding),
    }
    match public_key::fault(parsed.public_key()) {
        Some(_) => refuse(CertificateReason::UnsupportedAlgorithm),
        None => Ok(()),
    }
}

/// Checks that a certificate may issue others: it has the CA flag, certificate signing where it
/// states a key usage (RFC 5280, section 6.1.4 (k) and (n)), and a key as an anchor's must be.
///
/// # Errors
///
/// `Certificate`: `UnknownIssuer`, since no authority issued what stands below;
/// `UnsupportedAlgorithm`; `BadEncoding`.
pub fn check_issuer(issuer: &Certificate) -> Result<(), Error> {
    unless_passed(issuer, For::Issuer, || issues(issuer))
}

fn issues(issuer: &Certificate) -> Result<(), Error> {
    let parsed = issuer.parsed()?;
    let reason = match (parsed.basic_constraints(), parsed.key_usage()) {
        (Err(_), _) | (_, Err(_)) => CertificateReason::BadEncoding,
        (Ok(constraints), Ok(usage)) => {
            let authority = constraints.is_some_and(|constraints| constraints.value.ca);
            let signs = usage.is_none_or(|usage| usage.value.key_cert_sign());
            match public_key::fault(parsed.public_key()) {
                _ if !authority || !signs => CertificateReason::UnknownIssuer,
                Some(_) => CertificateReason::UnsupportedAlgorithm,
                None => return Ok(()),
            }
        }
    };
    Err(describe(Error::certificate(reason), issuer))
}

/// Checks that a leaf is for this name (RFC 9525): by its subjectAltName alone, an IP address by an
/// `iPAddress` entry alone, and a wildcard for one label of letters, digits and hyphens.
///
/// # Errors
///
/// `Certificate`: `NameMismatch`, with the names it is for; `BadEncoding`.
pub fn check_name(leaf: &Certificate, name: &ServerName) -> Result<(), Error> {
    unless_passed(leaf, For::Name(name), || names(leaf, name))
}

fn names(leaf: &Certificate, name: &ServerName) -> Result<(), Error> {
    let der = CertificateDer::from(leaf.der());
    let mismatch = || {
        let error = Error::certificate(CertificateReason::NameMismatch);
        match leaf.details() {
            Ok(details) => error.with_certificate(details.expecting(name)),
            Err(_) => error,
        }
    };
    let end_entity = EndEntityCert::try_from(&der).map_err(|error| {
        describe(Error::certificate(CertificateReason::BadEncoding), leaf).with_source(error)
    })?;
    end_entity
        .verify_is_valid_for_subject_name(&name.to_pki())
        .map_err(|error| mismatch().with_source(error))?;
    match name.dns_name() {
        Some(dns) if !wildcard_may_stand_for(dns) && !is_named_in_full(&leaf.parsed()?, dns) => {
            Err(mismatch())
        }
        _ => Ok(()),
    }
}

/// Whether the first label is of letters, digits and hyphens.
fn wildcard_may_stand_for(dns: &str) -> bool {
    let first = dns.split('.').next().unwrap_or_default();
    first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_named_in_full(leaf: &X509Certificate<'_>, dns: &str) -> bool {
    let Ok(Some(names)) = leaf.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => {
            name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(dns)
        }
        _ => false,
    })
}

/// The error, with the leaf's details where it can be parsed.
fn describe(error: Error, leaf: &Certificate) -> Error {
    match leaf.details() {
        Ok(details) => error.with_certificate(details),
        Err(_) => error,
    }
}
