//! The certificates of a run: an authority and its servers for each kind of key, in files, because
//! child processes need them too.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::setup::Key;

/// The name that every client expects.
pub const HOST: &str = "localhost";

/// How many servers more there are with keys on P-256: so many that nobody remembers the first one by
/// the time that it comes again.
pub const STRANGERS: usize = 40;

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Makes everything anew.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn create(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let pki = Self { dir: dir.into() };
        // As many certificates as a default context really reads, and ours.
        let system = rustls_native_certs::load_native_certs().certs;
        let mut bundle: String = system.iter().map(|der| pem_of(der)).collect();
        for key in [Key::P256, Key::Rsa2048] {
            let authority_key = generate(key)?;
            let mut authority = CertificateParams::default();
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            authority.distinguished_name.push(rcgen::DnType::CommonName, key.name());
            let authority_pem = authority.self_signed(&authority_key)?.pem();
            bundle.push_str(&authority_pem);
            let issuer = Issuer::new(authority, authority_key);

            fs::write(pki.file(key, "ca"), authority_pem)?;
            // More than one only where making a key takes no time.
            let strangers = if key == Key::P256 { STRANGERS } else { 0 };
            for number in 0..=strangers {
                let leaf_key = generate(key)?;
                let mut leaf = CertificateParams::new([HOST.into()])?;
                leaf.key_usages =
                    vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
                let chain = leaf.signed_by(&leaf_key, &issuer)?.pem();
                fs::write(pki.file_of(key, number, "chain"), chain)?;
                fs::write(pki.file_of(key, number, "key"), leaf_key.serialize_pem())?;
            }
        }
        fs::write(pki.bundle(), bundle)?;
        Ok(pki)
    }

    /// What another process made.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The system's trusted certificates and ours.
    pub fn bundle(&self) -> PathBuf {
        self.dir.join("bundle.pem")
    }

    /// The authority's certificate, in PEM.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn authority(&self, key: Key) -> std::io::Result<Vec<u8>> {
        fs::read(self.file(key, "ca"))
    }

    /// The certificate of a server, in PEM: number 0, or one of the [`STRANGERS`].
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn chain(&self, key: Key, number: usize) -> std::io::Result<Vec<u8>> {
        fs::read(self.file_of(key, number, "chain"))
    }

    /// The key of a server, in PEM.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn key(&self, key: Key, number: usize) -> std::io::Result<Vec<u8>> {
        fs::read(self.file_of(key, number, "key"))
    }

    /// A file of a server: `chain` or `key`.
    pub fn file_of(&self, key: Key, number: usize, what: &str) -> PathBuf {
        self.file(key, &format!("{number}-{what}"))
    }

    fn file(&self, key: Key, what: &str) -> PathBuf {
        self.dir.join(format!("{}-{what}.pem", key.name()))
    }
}

fn generate(key: Key) -> Result<KeyPair, Box<dyn Error>> {
    Ok(match key {
        Key::P256 => KeyPair::generate()?,
        // rcgen's cryptography signs with RSA but makes no keys.
        Key::Rsa2048 => {
            let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048)?)?;
            KeyPair::from_pem(&String::from_utf8(key.private_key_to_pem_pkcs8()?)?)?
        }
    })
}

fn pem_of(der: &[u8]) -> String {
    openssl::x509::X509::from_der(der)
        .and_then(|certificate| certificate.to_pem())
        .ok()
        .and_then(|pem| String::from_utf8(pem).ok())
        .unwrap_or_default()
}
