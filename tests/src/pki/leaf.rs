use std::net::IpAddr;

use polytls::{Certificate, Identity};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};

use super::{ADDRESS, Algorithm, Authority, Dates, Key, NAME, Unusable, broken, pem_text};

/// What the certificate of a server or client will be.
#[derive(Clone, Debug)]
pub struct Leaf {
    common_name: String,
    names: Vec<SanType>,
    algorithm: Algorithm,
    dates: Dates,
    is_ca: IsCa,
    key_usages: Vec<KeyUsagePurpose>,
    extended_key_usages: Vec<ExtendedKeyUsagePurpose>,
    extensions: Vec<CustomExtension>,
    version_1: bool,
    sha1: bool,
    bad_signature: bool,
}

/// A chain and the private key of its leaf.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificates in DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key.
    pub key: Key,
}

impl Leaf {
    /// A server for [`NAME`] and [`ADDRESS`], without fault.
    pub fn server() -> Self {
        Self::unnamed().dns(NAME).ip(ADDRESS)
    }

    /// A server for this DNS name alone.
    pub fn for_name(name: &str) -> Self {
        Self::unnamed().dns(name)
    }

    /// A server without any subject alternative name.
    pub fn unnamed() -> Self {
        Self {
            common_name: "suite server".into(),
            names: Vec::new(),
            algorithm: Algorithm::P256,
            dates: Dates::InDate,
            is_ca: IsCa::ExplicitNoCa,
            key_usages: vec![KeyUsagePurpose::DigitalSignature],
            extended_key_usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            extensions: Vec::new(),
            version_1: false,
            sha1: false,
            bad_signature: false,
        }
    }

    /// A client of this common name, without fault.
    pub fn client(common_name: &str) -> Self {
        Self::unnamed().common_name(common_name).for_clients_only()
    }

    /// With a DNS name, as it is written; also one that is a wildcard.
    #[must_use]
    pub fn dns(mut self, name: &str) -> Self {
        self.names.push(SanType::DnsName(name.try_into().unwrap()));
        self
    }

    /// With an IP address.
    #[must_use]
    pub fn ip(mut self, address: IpAddr) -> Self {
        self.names.push(SanType::IpAddress(address));
        self
    }

    /// With a URI.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.names.push(SanType::URI(uri.try_into().unwrap()));
        self
    }

    /// With a mail address.
    #[must_use]
    pub fn mail(mut self, address: &str) -> Self {
        self.names.push(SanType::Rfc822Name(address.try_into().unwrap()));
        self
    }

    /// With another common name.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = name.into();
        self
    }

    /// With another kind of key.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
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

    /// An extended key usage for clients, not for servers.
    #[must_use]
    pub fn for_clients_only(mut self) -> Self {
        self.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    /// An extended key usage for servers, not for clients.
    #[must_use]
    pub fn for_servers_only(mut self) -> Self {
        self.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// No key usage and no extended key usage, which allows everything.
    #[must_use]
    pub fn without_usages(mut self) -> Self {
        self.key_usages.clear();
        self.extended_key_usages.clear();
        self
    }

    /// A key usage that does not include signing.
    #[must_use]
    pub fn without_signing(mut self) -> Self {
        self.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        self
    }

    /// An authority's certificate, as `openssl req -x509` makes them: CA:TRUE.
    #[must_use]
    pub fn with_ca_flag(mut self) -> Self {
        self.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.key_usages.push(KeyUsagePurpose::KeyCertSign);
        self
    }

    /// With an extension, beside those that it has anyway, and its content.
    #[must_use]
    pub fn extension(mut self, oid: &[u64], content: &[u8]) -> Self {
        self.extensions.push(CustomExtension::from_oid_content(oid, content.to_vec()));
        self
    }

    /// With an address of five bytes beside the names that it has.
    #[must_use]
    pub fn malformed_address(mut self) -> Self {
        let names = std::mem::take(&mut self.names);
        self.extensions.push(broken::names_and_malformed_address(&names));
        self
    }

    /// X.509 version 1, without extensions.
    #[must_use]
    pub fn version_1(mut self) -> Self {
        self.version_1 = true;
        self
    }

    /// Signed with SHA-1; the issuer must have an RSA key.
    #[must_use]
    pub fn signed_with_sha1(mut self) -> Self {
        self.sha1 = true;
        self
    }

    /// With one bit of the issuer's signature changed.
    #[must_use]
    pub fn with_bad_signature(mut self) -> Self {
        self.bad_signature = true;
        self
    }

    /// Made, signed by an authority.
    pub fn issued_by(self, issuer: &Authority) -> Credential {
        let key = Key::generate(self.algorithm);
        self.with_key_issued_by(key, issuer)
    }

    /// Made for this key, signed by an authority.
    pub fn with_key_issued_by(self, key: Key, issuer: &Authority) -> Credential {
        let public = SubjectPublicKeyInfo::from_der(&key.public_der()).unwrap();
        let certificate = self.params().signed_by(&public, &issuer.issuer()).unwrap();
        let mut chain = vec![self.spoil(certificate.der(), issuer.key(), issuer.unusable)];
        chain.extend(issuer.chain.iter().cloned());
        Credential { chain, key }
    }

    /// Made, signed by itself.
    pub fn self_signed(self) -> Credential {
        let key = Key::generate(self.algorithm);
        let certificate = self.params().self_signed(key.pair()).unwrap();
        Credential { chain: vec![self.spoil(certificate.der(), &key, None)], key }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name.clone());
        params.subject_alt_names.clone_from(&self.names);
        (params.not_before, params.not_after) = self.dates.range();
        params.is_ca = self.is_ca;
        params.key_usages.clone_from(&self.key_usages);
        params.extended_key_usages.clone_from(&self.extended_key_usages);
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions.clone_from(&self.extensions);
        params
    }

    fn spoil(&self, der: &[u8], issuer: &Key, unusable: Option<Unusable>) -> Vec<u8> {
        match der.to_vec() {
            der if self.version_1 => broken::version_1(&der, issuer),
            der if self.sha1 => broken::signed_with_sha1(&der, issuer),
            der if unusable == Some(Unusable::Rsa1024) => broken::signed_by_weak_rsa(&der),
            der if unusable == Some(Unusable::Dsa) => broken::signed_by_dsa(&der),
            der if self.bad_signature => broken::bad_signature(&der),
            der => der,
        }
    }
}

impl Credential {
    /// The leaf in DER.
    pub fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    /// The leaf.
    pub fn certificate(&self) -> Certificate {
        Certificate::from_peer(self.leaf())
    }

    /// The leaf in PEM.
    pub fn leaf_pem(&self) -> String {
        pem_text("CERTIFICATE", self.leaf())
    }

    /// The chain in PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem_text("CERTIFICATE", der)).collect()
    }

    /// The key in PEM, as PKCS#8.
    pub fn key_pem(&self) -> String {
        self.key.pkcs8_pem()
    }

    /// This credential without the certificates between the leaf and the root.
    #[must_use]
    pub fn without_intermediates(mut self) -> Self {
        self.chain.truncate(1);
        self
    }

    /// This credential with one more certificate at the end of its chain.
    #[must_use]
    pub fn and(mut self, der: &[u8]) -> Self {
        self.chain.push(der.to_vec());
        self
    }

    /// What a context takes.
    pub fn identity(&self) -> Identity {
        Identity::from_bytes(self.chain_pem().as_bytes(), self.key_pem().as_bytes()).unwrap()
    }
}
