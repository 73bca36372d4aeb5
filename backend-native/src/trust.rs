//! Whom a client context trusts.
//!
//! On OpenSSL the anchors are core's, the same as for every backend. On Windows and macOS the
//! platform's own store stays in charge, for that is what one chooses this backend for.

use native_tls::{Certificate, TlsConnectorBuilder};
use polytls_core::pki_types::CertificateDer;
use polytls_core::{Anchor, ClientConfig, Error, Trust, Verification};

use crate::ON_OPENSSL;

/// Tells the library whom to trust.
///
/// # Errors
///
/// As [`Trust::load`].
pub(crate) fn apply(config: &ClientConfig, builder: &mut TlsConnectorBuilder) -> Result<(), Error> {
    if config.verification() == Verification::Nothing {
        builder.disable_built_in_roots(true);
        return Ok(());
    }
    let trust = config.trust();
    if !ON_OPENSSL && trust.includes_system() && !Trust::environment_replaces_system() {
        for der in trust.given() {
            let anchor = Anchor::judge(der.clone())?;
            if let Some(certificate) = trust.read_anchor(anchor.der(), read)? {
                builder.add_root_certificate(certificate);
            }
        }
        return Ok(());
    }
    builder.disable_built_in_roots(true);
    for anchor in config.roots()?.anchors() {
        if let Some(certificate) = trust.read_anchor(anchor.der(), read)? {
            builder.add_root_certificate(certificate);
        }
    }
    Ok(())
}

fn read(der: &CertificateDer<'static>) -> native_tls::Result<Certificate> {
    Certificate::from_der(der)
}
