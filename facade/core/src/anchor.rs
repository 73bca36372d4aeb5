//! Trust anchors: one reading of what may be one, for every backend.

use std::fmt;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_CERT_TYPE;
use x509_parser::x509::X509Version;

use crate::certificate::now;
use crate::{Certificate, Error, TrustReason, leaf, name_text, public_key};

/// What a trusted certificate vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnchorKind {
    /// A self-issued authority.
    Root,
    /// An authority that another one issued: needs the capability `PartialChain`.
    Intermediate,
    /// A self-signed certificate without the CA flag: it vouches for itself only.
    Itself,
}

/// One trusted certificate.
#[derive(Clone, Debug)]
pub struct Anchor {
    der: CertificateDer<'static>,
    kind: AnchorKind,
    not_after: i64,
    key_identifier: Option<Vec<u8>>,
}

impl Anchor {
    /// Judges whether a certificate may be a trust anchor now: it must be in date, and either an
    /// authority whose key usage, if stated, includes certificate signing (RFC 5280, section
    /// 4.2.1.3), or self-issued; without a critical extension that nobody knows; and with a key that
    /// every backend can verify signatures with and that is not weak: RSA of 2048 to 8192 bits, the
    /// curves P-256, P-384 and P-521, Ed25519; and no name constraint may be malformed.
    ///
    /// A self-issued certificate that does not say whether it is an authority, but that OpenSSL
    /// would take for one, is refused: not every backend could keep it from vouching for others. That
    /// is one of version 1; one whose key usage includes certificate signing; and one without a key
    /// usage that is of a Netscape type of authority.
    ///
    /// # Errors
    ///
    /// `Trust`: `Malformed` for what is not a certificate; `BadAnchor`, naming the subject and what
    /// is wrong with it.
    pub fn judge(der: CertificateDer<'static>) -> Result<Self, Error> {
        let certificate = Certificate::from(der.clone());
        let parsed = certificate.parsed().map_err(|error| {
            Error::trust(TrustReason::Malformed, "not well-formed DER").with_source(error)
        })?;
        let refuse = |why: &str| {
            let subject = name_text::distinguished(parsed.subject());
            Err(Error::trust(TrustReason::BadAnchor, format!("{subject} {why}")))
        };
        let validity = parsed.validity();
        if now() > validity.not_after.timestamp() {
            return refuse("has expired");
        }
        if now() < validity.not_before.timestamp() {
            return refuse("is not yet valid");
        }
        if parsed.extensions().iter().any(is_critical_and_unknown) {
            return refuse("has a critical extension that not every backend understands");
        }
        if let Some(fault) = public_key::fault(parsed.public_key()) {
            return refuse(fault);
        }
        if leaf::constraints_fault(&parsed).is_some() {
            return refuse("has a name constraint for what is no domain or network");
        }
        let self_issued = is_self_issued(&parsed);
        let stated = match parsed.basic_constraints() {
            Ok(constraints) => constraints.map(|constraints| constraints.value.ca),
            Err(_) => return refuse("has malformed basic constraints"),
        };
        let signs = match parsed.key_usage() {
            Ok(usage) => usage.map(|usage| usage.value.key_cert_sign()),
            Err(_) => return refuse("has a malformed key usage"),
        };
        let version_1 = parsed.version() != X509Version::V3;
        let kind = match (stated, self_issued) {
            (Some(true), _) if signs == Some(false) => {
                return refuse("has a key usage without certificate signing");
            }
            (Some(true), true) => AnchorKind::Root,
            (Some(true), false) => AnchorKind::Intermediate,
            (None, true) if version_1 || signs.unwrap_or(has_authority_type(&parsed)) => {
                return refuse("does not say whether it is an authority (CA:TRUE or CA:FALSE)");
            }
            (_, true) => AnchorKind::Itself,
            (_, false) => return refuse("is neither an authority (CA:TRUE) nor self-signed"),
        };
        let not_after = validity.not_after.timestamp();
        let key_identifier = own_key(&parsed).map(<[u8]>::to_vec);
        Ok(Self { der, kind, not_after, key_identifier })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The last second in which it is valid, since the Unix epoch: a context may live longer. For
    /// backends whose library keeps no dates of its anchors.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The name that it gives to its key, if any. For backends whose library does not keep it.
    pub fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }

    /// What it vouches for.
    pub fn kind(&self) -> AnchorKind {
        self.kind
    }
}

/// Whether an extension is critical and none that a path is judged by (RFC 5280, section 4.2): OpenSSL
/// refuses such an anchor, rustls does not look.
fn is_critical_and_unknown(extension: &X509Extension<'_>) -> bool {
    use ParsedExtension as E;
    let known = matches!(
        extension.parsed_extension(),
        E::BasicConstraints(_)
            | E::KeyUsage(_)
            | E::ExtendedKeyUsage(_)
            | E::SubjectAlternativeName(_)
            | E::NameConstraints(_)
            | E::CertificatePolicies(_)
            | E::PolicyMappings(_)
            | E::PolicyConstraints(_)
            | E::InhibitAnyPolicy(_)
            | E::CRLDistributionPoints(_)
            | E::NSCertType(_)
    );
    extension.critical && !known
}

/// Whether it is of a Netscape type of authority, or of one that only OpenSSL can read.
fn has_authority_type(parsed: &X509Certificate<'_>) -> bool {
    let mut extensions = parsed.extensions().iter();
    let kind = extensions.find(|extension| extension.oid == OID_X509_EXT_CERT_TYPE);
    kind.is_some_and(|kind| match kind.parsed_extension() {
        ParsedExtension::NSCertType(kind) => {
            kind.ssl_ca() || kind.smime_ca() || kind.object_signing_ca()
        }
        _ => true,
    })
}

/// Whether a certificate names itself as its issuer, by its name and, as OpenSSL reads it, by whatever
/// else its authority key identifier tells (RFC 5280, section 4.2.1.1). A key that was changed has
/// certificates of the same name that another key signed.
fn is_self_issued(parsed: &X509Certificate<'_>) -> bool {
    if parsed.subject().as_raw() != parsed.issuer().as_raw() {
        return false;
    }
    let own_key = own_key(parsed);
    parsed.extensions().iter().all(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(issuer) = extension.parsed_extension() else {
            return true;
        };
        let other_key = matches!((&issuer.key_identifier, own_key), (Some(a), Some(b)) if a.0 != b);
        let other_serial =
            issuer.authority_cert_serial.is_some_and(|serial| serial != parsed.raw_serial());
        let mut names = issuer.authority_cert_issuer.iter().flatten();
        let other_name = names.find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name.as_raw() != parsed.issuer().as_raw()),
            _ => None,
        });
        !other_key && !other_serial && !other_name.unwrap_or(false)
    })
}

/// The name that a certificate gives to its key.
pub(crate) fn own_key<'a>(parsed: &X509Certificate<'a>) -> Option<&'a [u8]> {
    parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(own) => Some(own.0),
        _ => None,
    })
}

/// A set of trust anchors, ready for a backend.
#[derive(Clone, Default)]
pub struct Roots {
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Roots {
    /// The anchors; never empty for a context that verifies.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The authorities among them.
    pub fn authorities(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.anchors.iter().filter(|anchor| anchor.kind != AnchorKind::Itself).map(Anchor::der)
    }

    /// The certificates among them that vouch for themselves only.
    pub fn themselves(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.anchors.iter().filter(|anchor| anchor.kind == AnchorKind::Itself).map(Anchor::der)
    }

    /// Whether one of them is an authority that another one issued.
    pub(crate) fn has_intermediate(&self) -> bool {
        self.anchors.iter().any(|anchor| anchor.kind == AnchorKind::Intermediate)
    }

    /// What of the system's store was left out, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("anchors", &self.anchors.len())
            .field("skipped", &self.skipped.len())
            .finish()
    }
}

/// A certificate or file of the system's store that was left out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Why.
    pub reason: Error,
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair, KeyUsagePurpose};

    use super::*;
    use crate::ErrorKind;

    const NS_CERT_TYPE: &[u64] = &[2, 16, 840, 1, 113730, 1, 1];

    /// What a self-signed certificate of this Netscape type (a BIT STRING) is judged to be.
    fn judged(kind: &[u8], usages: &[KeyUsagePurpose]) -> Result<AnchorKind, ErrorKind> {
        let mut params = CertificateParams::default();
        params.key_usages = usages.to_vec();
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(NS_CERT_TYPE, kind.to_vec())];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let anchor = Anchor::judge(certificate.der().clone().into_owned());
        anchor.map(|anchor| anchor.kind()).map_err(|error| error.kind())
    }

    /// Bits 5 to 7 name authorities; OpenSSL reads the first byte, however many there are.
    #[test]
    fn netscape_called_other_things_authorities() {
        let refused = Err(ErrorKind::Trust(TrustReason::BadAnchor));
        for authority in [0x04, 0x02, 0x01, 0x44] {
            assert_eq!(judged(&[3, 2, 0, authority], &[]), refused, "{authority:#x}");
        }
        assert_eq!(judged(&[3, 3, 7, 4, 0x80], &[]), refused);
        assert_eq!(judged(&[3, 2, 6, 0x40], &[]), Ok(AnchorKind::Itself));
        // A key usage takes precedence.
        let signs_no_certificates = [KeyUsagePurpose::DigitalSignature];
        assert_eq!(judged(&[3, 2, 2, 0x04], &signs_no_certificates), Ok(AnchorKind::Itself));
    }
}
