//! Certificate chain and private key in the library's types.

use std::sync::Arc;

use polytls_core::{Error, Identity, IdentityReason};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

/// Loads the key with this provider and checks that it belongs to the leaf.
///
/// Not by rustls' own check, which fails for certificates that webpki does not read: whether those
/// will do is for the peer to say.
pub(crate) fn load(
    identity: &Identity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = provider.key_provider.load_private_key(identity.private_key().clone_key()).map_err(
        |error| {
            Error::identity(IdentityReason::Malformed, "rustls cannot use this kind of key")
                .with_source(error)
        },
    )?;
    let certified = identity.certificate().public_key()?;
    // A provider need not tell the public key: then nothing can be compared.
    if key.public_key().is_some_and(|own| own.as_ref() != certified.as_slice()) {
        return Err(identity.key_mismatch());
    }
    Ok(Arc::new(CertifiedKey::new(identity.chain().to_vec(), key)))
}
