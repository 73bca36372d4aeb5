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
//! | an issuer's name constraint for what is no domain or network | as far as it can be compared | refused | refused |
//! | an RSA key of less than 2048 or more than 8192 bits | by its security level | refused, as a bad signature | refused |
//! | an issuer's key that is not RSA, on P-256, P-384 or P-521, or Ed25519 | by its security level | refused | refused |
//! | an extension that stands twice, names that cannot be read | refused, as of an unknown issuer | refused | refused, as badly encoded |
//! | a chain of more than 64 KiB | accepted up to 100 KiB | refused | refused, as a breach of the protocol |
//! | `*.example.com` where an issuer's constraints exclude `www.example.com` | accepted | refused | refused (openssl/openssl#30706) |
//! | a DNS name that is none, where an issuer's constraints are about DNS names | accepted | refused | refused |
//!
//! What is about issuers needs the chain that was verified, so a backend asks for it where its library
//! shows that chain.

use rustls_pki_types::{CertificateDer, DnsName};
use webpki::EndEntityCert;
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints, ParsedExtension};
use x509_parser::x509::X509Version;

use crate::checked::{self, For, unless_passed};
use crate::{Certificate, CertificateReason, Error, ErrorKind, ServerName, anchor, public_key};

/// Checks what a leaf may be used for: it is of version 3, no authority, and its key may sign and is
/// not weak.
///
/// # Errors
///
/// `Certificate`: `UnsupportedVersion`, `CaUsedAsEndEntity`, `WrongUsage`, `UnsupportedAlgorithm`,
/// `BadEncoding`; as [`check_length`].
pub fn check_usage(leaf: &Certificate) -> Result<(), Error> {
    unless_passed(leaf, For::Leaf, || usage(leaf))
}

fn usage(leaf: &Certificate) -> Result<(), Error> {
    check_length(std::slice::from_ref(leaf))?;
    let parsed = leaf.parsed()?;
    let refuse = |reason| Err(describe(Error::certificate(reason), leaf));
    // Only version 3 can say what a certificate is for (RFC 5280, section 4.1.2.1).
    if parsed.version() != X509Version::V3 {
        return refuse(CertificateReason::UnsupportedVersion);
    }
    // RFC 5280, section 4.2: no extension stands twice.
    if parsed.extensions_map().is_err() || !has_readable_names(&parsed) {
        return refuse(CertificateReason::BadEncoding);
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
    if public_key::is_rsa_of_other_size(parsed.public_key()) {
        return refuse(CertificateReason::UnsupportedAlgorithm);
    }
    if has_plain_names(&parsed) {
        // Since it is parsed already.
        checked::passed(leaf, For::AnyIssuer);
    }
    Ok(())
}

/// Whether the names can be told apart. What stands in one does not matter if nobody looks for it.
fn has_readable_names(leaf: &X509Certificate<'_>) -> bool {
    let names = match leaf.subject_alternative_name() {
        Ok(names) => names.map_or(&[][..], |names| names.value.general_names.as_slice()),
        Err(_) => return false,
    };
    names.iter().all(|name| match name {
        // Structures both (RFC 5280, section 4.2.1.6), which the parser does not look into.
        GeneralName::X400Address(name) | GeneralName::EDIPartyName(name) => {
            name.header.is_constructed()
        }
        // A mail address, a DNS name or a URI has bad characters, no more.
        GeneralName::Invalid(tag, _) => matches!(tag.0, 1 | 2 | 6),
        _ => true,
    })
}

/// Checks that the certificates that a peer sent are not longer than any backend takes.
///
/// # Errors
///
/// `Protocol`, for more than 64 KiB.
pub fn check_length(chain: &[Certificate]) -> Result<(), Error> {
    match chain.iter().map(|certificate| certificate.der().len()).sum::<usize>() {
        0..=LONGEST_CHAIN => Ok(()),
        _ => Err(Error::new(ErrorKind::Protocol).with_detail("a chain of more than 64 KiB")),
    }
}

/// The most bytes of certificates that a peer may send: what fits into a handshake message of rustls;
/// OpenSSL takes a little more.
pub const LONGEST_CHAIN: usize = 0xffff;

/// Checks that a certificate may issue others: it has the CA flag, certificate signing where it
/// states a key usage (RFC 5280, section 6.1.4 (k) and (n)), a key as an anchor's must be, and name
/// constraints that say something.
///
/// # Errors
///
/// `Certificate`: `UnknownIssuer`, since no authority issued what stands below;
/// `UnsupportedAlgorithm`; `NameConstraints`, for a domain that is none; `BadEncoding`.
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
            let has_key = parsed.public_key().parsed().is_ok();
            match public_key::fault(parsed.public_key()) {
                _ if !authority || !signs || !has_key => CertificateReason::UnknownIssuer,
                Some(_) => CertificateReason::UnsupportedAlgorithm,
                None => match constraints_fault(&parsed) {
                    Some(reason) => reason,
                    None => return Ok(()),
                },
            }
        }
    };
    Err(describe(Error::certificate(reason), issuer))
}

/// What is wrong with the name constraints. A library that does not see it would permit or exclude
/// other names than are meant.
pub(crate) fn constraints_fault(issuer: &X509Certificate<'_>) -> Option<CertificateReason> {
    let constraints = match issuer.name_constraints() {
        Ok(constraints) => constraints?.value,
        Err(_) => return Some(CertificateReason::BadEncoding),
    };
    let NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded } =
        constraints;
    permitted.iter().chain(excluded).flatten().find_map(|subtree| match subtree.base {
        GeneralName::DNSName(domain) if !is_domain(domain) => {
            Some(CertificateReason::NameConstraints)
        }
        GeneralName::IPAddress(network) if !is_network(network) => {
            Some(CertificateReason::BadEncoding)
        }
        _ => None,
    })
}

/// Whether a constraint for DNS names names a domain, or with nothing all of them.
fn is_domain(domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    domain.is_empty() || is_dns_name(domain) && !domain.starts_with('*')
}

/// Whether a constraint for addresses is an address and a mask without gaps, of the same length.
fn is_network(network: &[u8]) -> bool {
    let (_, mask) = network.split_at(network.len() / 2);
    let ones = mask.iter().take_while(|byte| **byte == 0xff).count();
    let rest = mask.get(ones..).unwrap_or_default();
    let is_last = |byte: u8| byte.leading_ones() + byte.trailing_zeros() >= 8;
    let ends = rest.first().is_none_or(|byte| is_last(*byte));
    matches!(network.len(), 8 | 32) && ends && rest.iter().skip(1).all(|byte| *byte == 0)
}

/// Whether a certificate says that another key signed it than those of whoever bears its issuer's name
/// (RFC 5280, section 4.2.1.1). For backends whose library tries those keys all the same, and finds a
/// bad signature where others find no issuer.
///
/// The keys are told by their subject key identifiers; one without may be any.
pub fn is_by_another_key(certificate: &Certificate, keys: &[Option<Vec<u8>>]) -> bool {
    let Ok(parsed) = certificate.parsed() else { return false };
    let signer =
        parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(issuer) => {
                Some(issuer.key_identifier.as_ref()?.0)
            }
            _ => None,
        });
    let is_another = |key: &Option<Vec<u8>>| matches!((key, signer), (Some(a), Some(b)) if a != b);
    !keys.is_empty() && keys.iter().all(is_another)
}

/// The name that a certificate gives to its key, for [`is_by_another_key`].
pub fn key_identifier(certificate: &Certificate) -> Option<Vec<u8>> {
    anchor::own_key(&certificate.parsed().ok()?).map(<[u8]>::to_vec)
}

/// Checks a leaf's DNS names against the name constraints of its issuers, in what the libraries do not
/// agree on: a wildcard must not stand for a name in an excluded subtree, and where DNS names are
/// constrained each must be one. The rest of RFC 5280, section 4.2.1.10, is the library's.
///
/// The issuers are those of the verified chain, the anchor with them, and asked for only when a name
/// is a wildcard or malformed.
///
/// # Errors
///
/// `Certificate`: `NameConstraints`; `BadEncoding`.
pub fn check_constraints(
    leaf: &Certificate,
    issuers: impl IntoIterator<Item = Certificate>,
) -> Result<(), Error> {
    if checked::has_passed(leaf, For::AnyIssuer) {
        return Ok(());
    }
    let parsed = leaf.parsed()?;
    if has_plain_names(&parsed) {
        return Ok(());
    }
    let names = dns_names(&parsed);
    for issuer in issuers {
        if unless_passed(&issuer, For::AnyName, || leaves_names_alone(&issuer)).is_ok() {
            continue;
        }
        if let Some(reason) = fault_under(&issuer.parsed()?, &names) {
            return Err(describe(Error::certificate(reason), leaf));
        }
    }
    Ok(())
}

/// Whether the libraries read a leaf's DNS names alike.
fn has_plain_names(leaf: &X509Certificate<'_>) -> bool {
    dns_names(leaf).iter().all(|name| is_dns_name(name) && !name.starts_with('*'))
}

/// Whether an issuer has no constraints.
fn leaves_names_alone(issuer: &Certificate) -> Result<(), Error> {
    match issuer.parsed()?.name_constraints() {
        Ok(None) => Ok(()),
        _ => Err(Error::certificate(CertificateReason::NameConstraints)),
    }
}

/// What is wrong with these names below this issuer.
fn fault_under(issuer: &X509Certificate<'_>, names: &[&str]) -> Option<CertificateReason> {
    let constraints = issuer.name_constraints().ok().flatten()?.value;
    let NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded } =
        constraints;
    let (permitted, excluded) = (domains(permitted), domains(excluded));
    let reaches = |name: &&&str| excluded.iter().any(|domain| wildcard_reaches(name, domain));
    if permitted.is_empty() && excluded.is_empty() {
        None
    } else if !names.iter().all(|name| is_dns_name(name)) {
        Some(CertificateReason::BadEncoding)
    } else {
        names.iter().find(reaches).map(|_| CertificateReason::NameConstraints)
    }
}

/// The DNS names of a leaf; what cannot be one is empty.
fn dns_names<'a>(leaf: &X509Certificate<'a>) -> Vec<&'a str> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            GeneralName::Invalid(DNS_NAME, _) => Some(""),
            _ => None,
        })
        .collect()
}

/// The tag of a dNSName (RFC 5280, section 4.2.1.6).
const DNS_NAME: Tag = Tag(2);

fn domains<'a>(subtrees: &Option<Vec<GeneralSubtree<'a>>>) -> Vec<&'a str> {
    let subtrees = subtrees.iter().flatten();
    subtrees
        .filter_map(|subtree| match subtree.base {
            GeneralName::DNSName(domain) => Some(domain),
            _ => None,
        })
        .collect()
}

/// Whether a name in a certificate is one, or a wildcard for the names in a domain of two labels or
/// more.
fn is_dns_name(name: &str) -> bool {
    let (domain, least) = name.strip_prefix("*.").map_or((name, 0), |domain| (domain, 1));
    let labels = domain.matches('.').count();
    labels >= least && !domain.ends_with('.') && DnsName::try_from(domain).is_ok()
}

/// Whether a wildcard may stand for the first label of an excluded domain.
fn wildcard_reaches(name: &str, domain: &str) -> bool {
    let below = domain.strip_prefix('.').unwrap_or(domain).split_once('.');
    match (name.strip_prefix("*."), below) {
        (Some(name), Some((_, below))) => name.eq_ignore_ascii_case(below),
        _ => false,
    }
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
    dns_names(leaf)
        .iter()
        .any(|name| name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(dns))
}

/// The error, with the leaf's details where it can be parsed.
fn describe(error: Error, leaf: &Certificate) -> Error {
    match leaf.details() {
        Ok(details) => error.with_certificate(details),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_name_is_one_or_a_wildcard_in_a_domain() {
        for name in ["a.example", "*.example.com", "foo_bar.example", "xn--a.example"] {
            assert!(is_dns_name(name), "{name}");
        }
        for name in
            ["", ".example.com", "a..b", "a.example.", "*", "*.com", "a b", "*a.example.com"]
        {
            assert!(!is_dns_name(name), "{name}");
        }
    }

    #[test]
    fn a_constraint_is_a_domain_or_a_network() {
        for domain in ["", "example.com", ".example.com", "test"] {
            assert!(is_domain(domain), "{domain}");
        }
        for domain in ["*.example.com", "example.com.", "..", "a b"] {
            assert!(!is_domain(domain), "{domain}");
        }
        for mask in [[0, 0, 0, 0], [255, 255, 255, 255], [255, 128, 0, 0]] {
            assert!(is_network(&[[192, 0, 2, 0], mask].concat()), "{mask:?}");
        }
        for mask in [[0, 0, 0, 1], [255, 0, 255, 0], [255, 160, 0, 0], [128, 128, 0, 0]] {
            assert!(!is_network(&[[192, 0, 2, 0], mask].concat()), "{mask:?}");
        }
        assert!(!is_network(&[192, 0, 2, 0]) && !is_network(&[]));
    }

    #[test]
    fn a_wildcard_reaches_one_label_far() {
        assert!(wildcard_reaches("*.Example.com", "www.example.com"));
        assert!(wildcard_reaches("*.example.com", ".www.example.com"));
        for (name, domain) in [
            ("*.example.com", "a.www.example.com"),
            ("*.example.com", "example.org"),
            ("*.example.com", ""),
            ("www.example.com", "www.example.com"),
        ] {
            assert!(!wildcard_reaches(name, domain), "{name} {domain}");
        }
    }
}
