use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyUsagePurpose, NameConstraints,
    SanType, SubjectPublicKeyInfo,
};

use x509_cert::der::asn1::Ia5String;
use x509_cert::ext::pkix::name::GeneralName;

use super::{Algorithm, Dates, Key, Unusable, broken, pem_text};

/// A certificate that signs others, and its key.
#[derive(Debug)]
pub struct Authority {
    pub(super) params: CertificateParams,
    pub(super) key: Key,
    /// The key that stands in the certificate instead of `key`.
    pub(super) unusable: Option<Unusable>,
    der: Vec<u8>,
    /// This authority and those above it, without the root.
    pub(super) chain: Vec<Vec<u8>>,
}

/// What an [`Authority`] will be.
#[derive(Clone, Debug)]
pub struct AuthoritySpec {
    name: String,
    algorithm: Algorithm,
    dates: Dates,
    is_ca: IsCa,
    key_usages: Vec<KeyUsagePurpose>,
    extended_key_usages: Vec<ExtendedKeyUsagePurpose>,
    constraints: Option<NameConstraints>,
    names: Vec<SanType>,
    extension: Option<CustomExtension>,
    key: Option<Key>,
    unusable: Option<Unusable>,
}

impl Authority {
    /// An authority of this common name, without fault.
    pub fn named(name: &str) -> AuthoritySpec {
        AuthoritySpec {
            name: name.into(),
            algorithm: Algorithm::P256,
            dates: Dates::InDate,
            is_ca: IsCa::Ca(BasicConstraints::Unconstrained),
            key_usages: vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            extended_key_usages: Vec::new(),
            constraints: None,
            names: Vec::new(),
            extension: None,
            key: None,
            unusable: None,
        }
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM encoding.
    pub fn pem(&self) -> String {
        pem_text("CERTIFICATE", &self.der)
    }

    /// Its private key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its common name.
    pub fn name(&self) -> &str {
        match self.params.distinguished_name.get(&DnType::CommonName) {
            Some(rcgen::DnValue::Utf8String(name)) => name,
            _ => "",
        }
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &rcgen::KeyPair> {
        Issuer::from_params(&self.params, self.key.pair())
    }
}

impl AuthoritySpec {
    /// With another kind of key.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// With the key of another authority: the same authority, certified again.
    #[must_use]
    pub fn with_key_of(mut self, other: &Authority) -> Self {
        self.key = Some(other.key.clone());
        self
    }

    /// With another public key in its certificate than its own.
    #[must_use]
    pub fn unusable(mut self, key: Unusable) -> Self {
        self.unusable = Some(key);
        self
    }

    /// Its validity has ended.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.dates = Dates::Expired;
        self
    }

    /// Its validity has not begun.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Self {
        self.dates = Dates::NotYetValid;
        self
    }

    /// No authority by its own word: basic constraints with CA:FALSE.
    #[must_use]
    pub fn without_ca_flag(mut self) -> Self {
        self.is_ca = IsCa::ExplicitNoCa;
        self
    }

    /// A key usage that does not include certificate signing.
    #[must_use]
    pub fn without_certificate_signing(mut self) -> Self {
        self.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        self
    }

    /// No key usage extension at all, which allows everything.
    #[must_use]
    pub fn without_key_usage(mut self) -> Self {
        self.key_usages.clear();
        self
    }

    /// Only for clients: an extended key usage without server authentication.
    #[must_use]
    pub fn for_clients_only(mut self) -> Self {
        self.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    /// At most this many authorities below it.
    #[must_use]
    pub fn path_length(mut self, length: u8) -> Self {
        self.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        self
    }

    /// Only for DNS names in this domain.
    #[must_use]
    pub fn permitting(mut self, domain: &str) -> Self {
        self.constraints().permitted_subtrees.push(GeneralSubtree::DnsName(domain.into()));
        self
    }

    /// Not for DNS names in this domain.
    #[must_use]
    pub fn excluding(mut self, domain: &str) -> Self {
        self.constraints().excluded_subtrees.push(GeneralSubtree::DnsName(domain.into()));
        self
    }

    /// Only for the IPv4 addresses in this network, an address and its mask.
    #[must_use]
    pub fn permitting_network(mut self, address: [u8; 4], mask: [u8; 4]) -> Self {
        let network = GeneralSubtree::IpAddress(CidrSubnet::V4(address, mask));
        self.constraints().permitted_subtrees.push(network);
        self
    }

    /// Only for subjects that begin with this common name.
    #[must_use]
    pub fn permitting_common_name(mut self, name: &str) -> Self {
        let subject = format!("CN={name}").parse().unwrap();
        self.extension = Some(broken::permitted(GeneralName::DirectoryName(subject)));
        self
    }

    /// Only for URIs with this host.
    #[must_use]
    pub fn permitting_uri(mut self, host: &str) -> Self {
        let host = GeneralName::UniformResourceIdentifier(Ia5String::new(host).unwrap());
        self.extension = Some(broken::permitted(host));
        self
    }

    /// Only for mail addresses at this host.
    #[must_use]
    pub fn permitting_mail(mut self, host: &str) -> Self {
        let host = GeneralName::Rfc822Name(Ia5String::new(host).unwrap());
        self.extension = Some(broken::permitted(host));
        self
    }

    /// With a DNS name of its own.
    #[must_use]
    pub fn dns(mut self, name: &str) -> Self {
        self.names.push(SanType::DnsName(name.try_into().unwrap()));
        self
    }

    fn constraints(&mut self) -> &mut NameConstraints {
        self.constraints.get_or_insert_with(|| NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees: Vec::new(),
        })
    }

    /// Made, signed by itself.
    pub fn root(self) -> Arc<Authority> {
        let unusable = self.unusable;
        let (params, key) = self.params();
        let mut der = params.self_signed(key.pair()).unwrap().der().to_vec();
        if let Some(unusable) = unusable {
            der = broken::with_public_key(&der, unusable, &key);
        }
        Arc::new(Authority { params, key, unusable, der, chain: Vec::new() })
    }

    /// Made, signed by another authority.
    pub fn issued_by(self, issuer: &Authority) -> Arc<Authority> {
        let unusable = self.unusable;
        let (params, key) = self.params();
        let public = SubjectPublicKeyInfo::from_der(&key.public_der()).unwrap();
        let mut der = params.signed_by(&public, &issuer.issuer()).unwrap().der().to_vec();
        if let Some(unusable) = unusable {
            der = broken::with_public_key(&der, unusable, issuer.key());
        }
        let mut chain = vec![der.clone()];
        chain.extend(issuer.chain.iter().cloned());
        Arc::new(Authority { params, key, unusable, der, chain })
    }

    fn params(self) -> (CertificateParams, Key) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name);
        (params.not_before, params.not_after) = self.dates.range();
        params.is_ca = self.is_ca;
        params.key_usages = self.key_usages;
        params.extended_key_usages = self.extended_key_usages;
        params.name_constraints = self.constraints;
        params.subject_alt_names = self.names;
        params.custom_extensions = self.extension.into_iter().collect();
        params.use_authority_key_identifier_extension = true;
        let key = self.key.unwrap_or_else(|| Key::generate(self.algorithm));
        (params, key)
    }
}
