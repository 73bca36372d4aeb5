use std::sync::{Arc, LazyLock};

use pkcs8::PrivateKeyInfo;
use pkcs8::der::{Decode as _, Encode as _};
use rcgen::{KeyPair, PublicKeyData as _};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};

use x509_cert::der::asn1::BitString;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::pem_text;

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on the curve P-256.
    #[default]
    P256,
    /// ECDSA on the curve P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 2,048 bits. Generating takes long: one key serves the whole process.
    Rsa2048,
}

/// A key that no authority should have today; only an authority's certificate may have one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// RSA with 1,024 bits.
    Rsa1024,
    /// DSA with 2,048 bits: not every library knows it. The same key always, since making one takes
    /// minutes.
    Dsa,
    /// Bytes that are no RSA key, though the certificate says so.
    Malformed,
}

impl Unusable {
    pub(super) fn public_der(self) -> Vec<u8> {
        match self {
            Self::Rsa1024 => weak_rsa().to_public_key().to_public_key_der().unwrap().into_vec(),
            Self::Dsa => dsa_key().verifying_key().to_public_key_der().unwrap().into_vec(),
            Self::Malformed => {
                let der = weak_rsa().to_public_key().to_public_key_der().unwrap();
                let mut info = SubjectPublicKeyInfoOwned::from_der(der.as_bytes()).unwrap();
                info.subject_public_key = BitString::from_bytes(b"no key").unwrap();
                x509_cert::der::Encode::to_der(&info).unwrap()
            }
        }
    }
}

/// Throw-away key, by `openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:2048` and
/// `openssl genpkey -paramfile`.
const DSA_PEM: &str = include_str!("dsa.pem");

pub(super) fn dsa_key() -> dsa::SigningKey {
    dsa::SigningKey::from_pkcs8_pem(DSA_PEM).unwrap()
}

/// The process's one RSA key of 1,024 bits.
pub(super) fn weak_rsa() -> &'static rsa::RsaPrivateKey {
    static WEAK: LazyLock<rsa::RsaPrivateKey> =
        LazyLock::new(|| rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap());
    &WEAK
}

/// A private key.
#[derive(Clone, Debug)]
pub struct Key {
    pair: Arc<KeyPair>,
}

/// Throw-away key, encrypted by `openssl pkcs8 -topk8 -v2 aes-256-cbc`.
pub const ENCRYPTED_PKCS8_PEM: &str = include_str!("encrypted-pkcs8.pem");

/// Throw-away key, encrypted by `openssl rsa -aes128 -traditional` (RFC 1421, section 4.6.1.1).
pub const ENCRYPTED_PKCS1_PEM: &str = include_str!("encrypted-pkcs1.pem");

impl Key {
    /// A new key; for RSA, the process's one.
    pub fn generate(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::P256 => Self::with(&rcgen::PKCS_ECDSA_P256_SHA256),
            Algorithm::P384 => Self::with(&rcgen::PKCS_ECDSA_P384_SHA384),
            Algorithm::Ed25519 => Self::with(&rcgen::PKCS_ED25519),
            Algorithm::Rsa2048 => {
                static RSA: LazyLock<Key> = LazyLock::new(generate_rsa);
                RSA.clone()
            }
        }
    }

    fn with(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        Self { pair: Arc::new(KeyPair::generate_for(algorithm).unwrap()) }
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(super) fn public_der(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    pub(super) fn rsa(&self) -> rsa::RsaPrivateKey {
        rsa::RsaPrivateKey::from_pkcs8_der(self.pkcs8()).unwrap()
    }

    /// PKCS#8 in DER.
    pub fn pkcs8(&self) -> &[u8] {
        self.pair.serialized_der()
    }

    /// PKCS#8 in PEM (`PRIVATE KEY`).
    pub fn pkcs8_pem(&self) -> String {
        pem_text("PRIVATE KEY", self.pkcs8())
    }

    /// SEC1 in DER; for elliptic curves.
    pub fn sec1(&self) -> Vec<u8> {
        let info = PrivateKeyInfo::from_der(self.pkcs8()).unwrap();
        let mut key = sec1::EcPrivateKey::from_der(info.private_key).unwrap();
        // PKCS#8 names the curve outside the key; on its own, the key has to name it.
        let curve = info.algorithm.parameters_oid().unwrap();
        key.parameters = Some(sec1::EcParameters::NamedCurve(curve));
        key.to_der().unwrap()
    }

    /// SEC1 in PEM (`EC PRIVATE KEY`); for elliptic curves.
    pub fn sec1_pem(&self) -> String {
        pem_text("EC PRIVATE KEY", &self.sec1())
    }

    /// PKCS#1 in DER; for RSA.
    pub fn pkcs1(&self) -> Vec<u8> {
        // RFC 8017, appendix A.1.2: what PKCS#8 wraps.
        PrivateKeyInfo::from_der(self.pkcs8()).unwrap().private_key.to_vec()
    }

    /// PKCS#1 in PEM (`RSA PRIVATE KEY`); for RSA.
    pub fn pkcs1_pem(&self) -> String {
        pem_text("RSA PRIVATE KEY", &self.pkcs1())
    }
}

fn generate_rsa() -> Key {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let der = key.to_pkcs8_der().unwrap();
    let pair = KeyPair::try_from(der.as_bytes()).unwrap();
    Key { pair: Arc::new(pair) }
}
