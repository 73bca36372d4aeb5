//! A chain and key of one's own, as rustls holds them.

use std::sync::Arc;

use polytls_core::{Error, Identity, IdentityReason};
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

/// Loads the key with this provider and checks that it belongs to the leaf.
pub(crate) fn load(
    identity: &Identity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = provider
        .key_provider
        .load_private_key(identity.private_key().clone_key())
        .map_err(|error| refuse(IdentityReason::Malformed, "rustls cannot use the key", error))?;
    let certified = CertifiedKey::new(identity.chain().to_vec(), key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(error @ rustls::Error::InconsistentKeys(_)) => {
            Err(Error::identity(IdentityReason::KeyMismatch, subject(identity)).with_source(error))
        }
        Err(error) => {
            Err(refuse(IdentityReason::Malformed, "rustls cannot use the certificate", error))
        }
    }
}

fn refuse(reason: IdentityReason, why: &str, error: rustls::Error) -> Error {
    Error::identity(reason, why).with_source(error)
}

fn subject(identity: &Identity) -> String {
    identity.certificate().subject().unwrap_or_default()
}
