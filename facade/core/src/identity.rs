//! One's own certificate chain and private key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use crate::key;
use crate::pem_file::{self, Blocks};
use crate::{Certificate, Error, ErrorKind, IdentityReason};

/// How a private key is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyFormat {
    /// PKCS#1, RSA only (`RSA PRIVATE KEY`).
    Pkcs1,
    /// SEC1, elliptic curves only (`EC PRIVATE KEY`).
    Sec1,
    /// PKCS#8 (`PRIVATE KEY`).
    Pkcs8,
}

/// A certificate chain, leaf first, and the private key that belongs to its leaf.
///
/// PEM or DER; the key as PKCS#8, PKCS#1 or SEC1, not encrypted. In PEM, text between blocks, CRLF
/// line ends and a byte order mark are tolerated, and chain and key may share a file. A certificate
/// that stands twice is sent once. Cheap to clone; `Debug` never shows the key.
///
/// Whether key and certificate belong together is checked when a context is built.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// An identity from the bytes of a chain and of a key, each PEM or DER.
    ///
    /// # Errors
    ///
    /// `Identity`: `NoCertificate` or `NoKey`, naming what was found instead; `KeyEncrypted`;
    /// `Malformed`.
    pub fn from_bytes(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner { chain: read_chain(chain)?, key: read_key(key)? })))
    }

    /// An identity from the files of a chain and of a key, each PEM or DER.
    ///
    /// # Errors
    ///
    /// As [`Identity::from_bytes`], and `File` with the system's own [`std::io::ErrorKind`]; always
    /// with the path.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        Ok(Self(Arc::new(Inner {
            chain: from_file(chain, read_chain)?,
            key: from_file(key, read_key)?,
        })))
    }

    /// The chain, leaf first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// The leaf certificate.
    pub fn certificate(&self) -> Certificate {
        Certificate::from(self.0.chain[0].clone())
    }

    /// The private key. Handle it as the secret that it is.
    pub fn private_key(&self) -> &PrivateKeyDer<'static> {
        &self.0.key
    }

    /// The private key as PKCS#8 version 1 (RFC 5208), whatever it was read as: for libraries that
    /// take no other.
    ///
    /// # Errors
    ///
    /// `Identity` with reason `Malformed` when it cannot be parsed.
    pub fn pkcs8_key(&self) -> Result<PrivatePkcs8KeyDer<'static>, Error> {
        let key = key::to_pkcs8(&self.0.key).map_err(|error| {
            malformed("the private key cannot be parsed".into()).with_source(error)
        })?;
        Ok(key.into())
    }

    /// The error for a private key that is not the leaf's. For backends: their libraries know which
    /// keys are equal, however they are written.
    pub fn key_mismatch(&self) -> Error {
        let leaf = self.certificate();
        let names = leaf.names().unwrap_or_default().join(", ");
        let whose = if names.is_empty() { leaf.subject().unwrap_or_default() } else { names };
        Error::identity(IdentityReason::KeyMismatch, whose)
    }

    /// How the private key is encoded.
    pub fn key_format(&self) -> KeyFormat {
        match self.0.key {
            PrivateKeyDer::Pkcs1(_) => KeyFormat::Pkcs1,
            PrivateKeyDer::Sec1(_) => KeyFormat::Sec1,
            _ => KeyFormat::Pkcs8,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate())
            .field("chain_length", &self.0.chain.len())
            .finish_non_exhaustive()
    }
}

fn from_file<T>(path: &Path, read: impl FnOnce(&[u8]) -> Result<T, Error>) -> Result<T, Error> {
    pem_file::read(path)
        .map_err(|error| Error::io(ErrorKind::Identity(IdentityReason::File), error))
        .and_then(|bytes| read(&bytes))
        .map_err(|error| error.with_path(path))
}

fn read_chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut chain = match pem_file::blocks(bytes).map_err(malformed)? {
        Blocks::Pem(blocks) => {
            let chain: Vec<_> = blocks
                .iter()
                .filter(|block| block.tag() == "CERTIFICATE")
                .map(|block| block.contents().to_vec())
                .collect();
            if chain.is_empty() {
                let found = pem_file::labels(&blocks);
                return Err(Error::identity(IdentityReason::NoCertificate, found));
            }
            chain
        }
        Blocks::Other if bytes.first() == Some(&DER_SEQUENCE) => vec![bytes.to_vec()],
        Blocks::Other => {
            let what = pem_file::describe_other(bytes);
            return Err(Error::identity(IdentityReason::NoCertificate, what));
        }
    };
    // A leaf that stands again among the intermediates would be sent twice (native-tls#272).
    let mut seen = std::collections::HashSet::new();
    chain.retain(|der| seen.insert(der.clone()));
    chain.into_iter().map(usable).collect()
}

fn usable(der: Vec<u8>) -> Result<CertificateDer<'static>, Error> {
    let certificate = Certificate::from_peer(der);
    match certificate.parsed() {
        Ok(_) => Ok(certificate.into()),
        Err(error) => Err(error
            .with_kind(ErrorKind::Identity(IdentityReason::Malformed))
            .with_detail("a certificate is not well-formed DER")),
    }
}

fn read_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    let blocks = match pem_file::blocks(bytes).map_err(malformed)? {
        Blocks::Pem(blocks) => blocks,
        Blocks::Other if bytes.first() == Some(&DER_SEQUENCE) => return der_key(bytes),
        Blocks::Other => {
            let what = pem_file::describe_other(bytes);
            return Err(Error::identity(IdentityReason::NoKey, what));
        }
    };
    for block in &blocks {
        let der = block.contents().to_vec();
        let encrypted = block.tag() == "ENCRYPTED PRIVATE KEY"
            // RFC 1421, section 4.6.1.1: how OpenSSL encrypts keys in their older formats.
            || block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"));
        return match block.tag() {
            _ if encrypted => Err(Error::new(ErrorKind::Identity(IdentityReason::KeyEncrypted))),
            "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der).into()),
            "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der).into()),
            "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der).into()),
            _ => continue,
        };
    }
    Err(Error::identity(IdentityReason::NoKey, pem_file::labels(&blocks)))
}

fn der_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    match PrivateKeyDer::try_from(bytes) {
        Ok(key) => Ok(key.clone_key()),
        Err(why) => Err(Error::identity(IdentityReason::Malformed, why)),
    }
}

/// The first byte of every DER certificate and key.
const DER_SEQUENCE: u8 = 0x30;

fn malformed(detail: String) -> Error {
    Error::identity(IdentityReason::Malformed, detail)
}
