//! Certificate chain and private key in the library's types.

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::SslContextBuilder;
use openssl::x509::X509;
use polytls_core::{Error, Identity, IdentityReason};

/// Has the context present this identity.
///
/// # Errors
///
/// `Identity`: `KeyMismatch`; `Malformed` for what the library cannot read or thinks too weak.
pub(crate) fn present(context: &mut SslContextBuilder, identity: &Identity) -> Result<(), Error> {
    let key = PKey::private_key_from_pkcs8(identity.pkcs8_key()?.secret_pkcs8_der())
        .map_err(|error| malformed("a private key that the library cannot read", error))?;
    let mut chain = Vec::new();
    for der in identity.chain() {
        let certificate = X509::from_der(der)
            .map_err(|error| malformed("a certificate that the library cannot read", error))?;
        chain.push(certificate);
    }
    let mut chain = chain.into_iter();
    let leaf = chain.next().ok_or_else(|| Error::internal("an identity without a certificate"))?;
    let public = leaf.public_key().map_err(|error| {
        malformed("a public key of a kind that the library does not know", error)
    })?;
    if !public.public_eq(&key) {
        return Err(identity.key_mismatch());
    }
    let weak = "a key or signature that is too weak: RSA needs 2048 bits, a signature SHA-256";
    context.set_certificate(&leaf).map_err(|error| malformed(weak, error))?;
    context.set_private_key(&key).map_err(|error| malformed(weak, error))?;
    for issuer in chain {
        context.add_extra_chain_cert(issuer).map_err(|error| malformed(weak, error))?;
    }
    Ok(())
}

fn malformed(detail: &str, error: ErrorStack) -> Error {
    Error::identity(IdentityReason::Malformed, detail).with_source(error)
}
