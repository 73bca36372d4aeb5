//! What the backend can do, and what its client and server contexts share.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion,
};
use polytls_core::{
    Acceptor, Backend, Capabilities, ClientConfig, Connector, Error, ProtocolVersion, Resumption,
    ServerConfig,
};

use crate::{client, server};

/// The backend, for contexts that name it.
pub fn backend() -> &'static dyn Backend {
    &OpenSsl
}

#[derive(Debug)]
struct OpenSsl;

impl Backend for OpenSsl {
    fn name(&self) -> &'static str {
        "openssl"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn connector(&'static self, config: &ClientConfig) -> Result<Arc<dyn Connector>, Error> {
        Ok(Arc::new(client::Context::new(config)?))
    }

    fn acceptor(&'static self, config: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error> {
        Ok(Arc::new(server::Context::new(config)?))
    }
}

/// Forward secrecy and authenticated encryption only: what of Mozilla's intermediate list needs no
/// finite-field parameters. In TLS 1.3 every cipher suite is such.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// 112 bits of security (SSL_CTX_set_security_level(3)): RSA from 2,048 bits, no SHA-1. The
/// library's own default depends on its version and on the distribution.
const SECURITY_LEVEL: u32 = 2;

/// What is the same for both sides of a configuration.
pub(crate) struct Offer {
    pub(crate) method: SslMethod,
    pub(crate) min_version: ProtocolVersion,
    pub(crate) max_version: ProtocolVersion,
    pub(crate) resumption: Resumption,
}

impl Offer {
    /// A context with these versions, secure defaults, and nothing else.
    pub(crate) fn context(self) -> Result<SslContextBuilder, ErrorStack> {
        let mut context = SslContextBuilder::new(self.method)?;
        context.set_min_proto_version(Some(library_version(self.min_version)))?;
        context.set_max_proto_version(Some(library_version(self.max_version)))?;
        context.set_security_level(SECURITY_LEVEL);
        context.set_cipher_list(CIPHERS)?;
        context.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION);
        context.set_mode(
            // An idle connection keeps no 32 KiB of record buffers.
            SslMode::RELEASE_BUFFERS
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER
                // What is sent is the identity's chain, not one that was found in the trust store.
                | SslMode::NO_AUTO_CHAIN,
        );
        // The wire is memory: reading ahead would only copy twice.
        context.set_read_ahead(false);
        if self.resumption == Resumption::Disabled {
            context.set_session_cache_mode(SslSessionCacheMode::OFF);
            context.set_options(SslOptions::NO_TICKET);
        }
        Ok(context)
    }
}

fn library_version(version: ProtocolVersion) -> SslVersion {
    match version {
        ProtocolVersion::Tls12 => SslVersion::TLS1_2,
        _ => SslVersion::TLS1_3,
    }
}
