//! Which authorities a context trusts, and the one loader of the system's store.

use std::path::Path;

use rustls_pki_types::CertificateDer;

use crate::pem_file::{self, Blocks};
use crate::{Anchor, AnchorKind, Certificate, Error, ErrorKind, Roots, Skipped, TrustReason};

/// Which authorities a context trusts.
///
/// The environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` *replace* the system's store, the
/// same on every backend; a file or directory they name that cannot be read is an error.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The system's store. What in it cannot be a trust anchor is skipped and counted.
    #[default]
    System,
    /// The system's store and these.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// Only these. Each must be usable; a bad one is refused by name.
    Only(Vec<CertificateDer<'static>>),
}

impl Trust {
    /// Only the certificates in these bytes, PEM or DER.
    ///
    /// # Errors
    ///
    /// `Trust`: `Malformed`; `NoRoots`, naming what was found instead.
    pub fn only_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::Only(read_certificates(bytes)?))
    }

    /// Only the certificates in this file, PEM or DER.
    ///
    /// # Errors
    ///
    /// As [`Trust::only_bytes`], and `File` with the system's own [`std::io::ErrorKind`]; always
    /// with the path.
    pub fn only_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self::Only(read_file(path.as_ref())?))
    }

    /// The system's store and the certificates in these bytes, PEM or DER.
    ///
    /// # Errors
    ///
    /// As [`Trust::only_bytes`].
    pub fn system_and_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::SystemAnd(read_certificates(bytes)?))
    }

    /// The system's store and the certificates in this file, PEM or DER.
    ///
    /// # Errors
    ///
    /// As [`Trust::only_file`].
    pub fn system_and_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self::SystemAnd(read_file(path.as_ref())?))
    }

    /// Whether the system's store is a part of it.
    pub fn includes_system(&self) -> bool {
        !matches!(self, Self::Only(_))
    }

    /// Whether environment variables replace the system's store.
    ///
    /// For backends that leave the store to their platform: then they must not.
    pub fn environment_replaces_system() -> bool {
        // An empty list of directories is none; an empty name of a file cannot be read.
        let [file, directories] = VARIABLES.map(std::env::var_os);
        file.is_some() || directories.is_some_and(|list| !list.is_empty())
    }

    /// The certificates named one by one, apart from the system's store.
    pub fn given(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::System => &[],
            Self::SystemAnd(given) | Self::Only(given) => given,
        }
    }

    /// Has a library read one of the anchors; `None` for one of the system's store that it cannot
    /// read, since the rest of a store must not suffer for it. For backends.
    ///
    /// # Errors
    ///
    /// `Trust` with reason `BadAnchor`, naming the subject, for one that was given by name.
    pub fn read_anchor<T, E>(
        &self,
        der: &CertificateDer<'static>,
        read: impl FnOnce(&CertificateDer<'static>) -> Result<T, E>,
    ) -> Result<Option<T>, Error>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match read(der) {
            Ok(anchor) => Ok(Some(anchor)),
            Err(error) if self.given().contains(der) => {
                let subject = Certificate::from(der.clone()).subject()?;
                let detail = format!("{subject} cannot be read by the backend's library");
                Err(Error::trust(TrustReason::BadAnchor, detail).with_source(error))
            }
            Err(_) => Ok(None),
        }
    }

    /// Reads and judges the anchors.
    ///
    /// # Errors
    ///
    /// `Trust`: `NoRoots` naming the places tried; `BadAnchor` or `Malformed` for one of the
    /// certificates given; `File` for a place that an environment variable names.
    pub fn load(&self) -> Result<Roots, Error> {
        let mut roots = Roots::default();
        if self.includes_system() {
            load_system(&mut roots)?;
        }
        for der in self.given() {
            roots.anchors.push(Anchor::judge(der.clone())?);
        }
        if roots.anchors.is_empty() {
            return Err(self.no_roots(&roots));
        }
        #[cfg(feature = "tracing")]
        tracing::debug!(
            anchors = roots.anchors.len(),
            skipped = roots.skipped.len(),
            system = self.includes_system(),
            "trust anchors loaded"
        );
        Ok(roots)
    }

    fn no_roots(&self, roots: &Roots) -> Error {
        if !self.includes_system() {
            return Error::trust(TrustReason::NoRoots, "the list of trusted certificates is empty");
        }
        let mut detail = format!("looked in {}", places().join(", "));
        if let Some(first) = roots.skipped.first() {
            detail.push_str(&format!(
                "; {} unusable, the first: {}",
                roots.skipped.len(),
                first.reason
            ));
        }
        if !Trust::environment_replaces_system() {
            detail.push_str("; install the system's certificates (Debian: ca-certificates)");
        }
        Error::trust(TrustReason::NoRoots, detail)
    }
}

/// The variables that replace the system's store.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Where the system's store was looked for, in words.
fn places() -> Vec<String> {
    let variables: Vec<_> = VARIABLES
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var_os(name)?.to_string_lossy())))
        .collect();
    if variables.is_empty() {
        vec!["the system's certificate store".into(), "SSL_CERT_FILE".into(), "SSL_CERT_DIR".into()]
    } else {
        variables
    }
}

fn load_system(roots: &mut Roots) -> Result<(), Error> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        let unreadable = matches!(error.kind, rustls_native_certs::ErrorKind::Io { .. });
        let reason = match error.kind {
            rustls_native_certs::ErrorKind::Io { inner, path } => {
                Error::io(ErrorKind::Trust(TrustReason::File), inner).with_path(path)
            }
            other => Error::trust(TrustReason::Malformed, error.context)
                .with_source(format!("{other:?}")),
        };
        // A place that was named must be readable; a default one need not exist.
        if unreadable && Trust::environment_replaces_system() {
            return Err(reason);
        }
        roots.skipped.push(Skipped { reason });
    }
    for der in found.certs {
        match Anchor::judge(der) {
            Ok(anchor) if anchor.kind() == AnchorKind::Intermediate => {
                let why = "issued by another authority: the system's store names roots only";
                roots.skipped.push(Skipped { reason: Error::trust(TrustReason::BadAnchor, why) });
            }
            Ok(anchor) => roots.anchors.push(anchor),
            Err(reason) => {
                #[cfg(feature = "tracing")]
                tracing::debug!(%reason, "certificate of the system's store skipped");
                roots.skipped.push(Skipped { reason });
            }
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    pem_file::read(path)
        .map_err(|error| Error::io(ErrorKind::Trust(TrustReason::File), error))
        .and_then(|bytes| read_certificates(&bytes))
        .map_err(|error| error.with_path(path))
}

fn read_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let blocks = match pem_file::blocks(bytes) {
        Ok(Blocks::Pem(blocks)) => blocks,
        Ok(Blocks::Other) if bytes.first() == Some(&0x30) => {
            return Ok(vec![CertificateDer::from(bytes.to_vec())]);
        }
        Ok(Blocks::Other) => {
            return Err(Error::trust(TrustReason::NoRoots, pem_file::describe_other(bytes)));
        }
        Err(detail) => return Err(Error::trust(TrustReason::Malformed, detail)),
    };
    let certificates: Vec<_> = blocks
        .iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(|block| CertificateDer::from(block.contents().to_vec()))
        .collect();
    if certificates.is_empty() {
        return Err(Error::trust(TrustReason::NoRoots, pem_file::labels(&blocks)));
    }
    Ok(certificates)
}
