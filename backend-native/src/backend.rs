//! What the backend can do, and what its client and server contexts share.

use std::sync::Arc;

use native_tls::Protocol;
use polytls_core::{
    Acceptor, Backend, Capabilities, Capability, ClientConfig, Connector, Error, ProtocolVersion,
    ServerConfig,
};

use crate::{ON_OPENSSL, client, server};

/// The backend, for contexts that name it.
pub fn backend() -> &'static dyn Backend {
    &Native
}

#[derive(Debug)]
struct Native;

impl Backend for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn capabilities(&self) -> Capabilities {
        // What native-tls has no way to ask for, on any platform.
        let common = Capabilities::ALL
            .without(Capability::ClientAuth)
            .without(Capability::PartialChain)
            .without(Capability::PeerChain)
            .without(Capability::ClientResumption)
            .without(Capability::Exporter)
            .without(Capability::CertificateDetailsTls13)
            // It starts from rust-openssl's `mozilla_intermediate`, which switches TLS 1.3 off.
            .without(Capability::ServerTls13);
        if ON_OPENSSL {
            return if openssl_has_tls13() {
                common
            } else {
                common.without(Capability::ClientTls13)
            };
        }
        // Secure Transport has no TLS 1.3, nor a server's ALPN; what Schannel makes of these
        // depends on the release of Windows.
        common
            .without(Capability::ClientTls13)
            .without(Capability::ServerAlpn)
            .without(Capability::ServerResumption)
    }

    fn connector(&'static self, config: &ClientConfig) -> Result<Arc<dyn Connector>, Error> {
        Ok(Arc::new(client::Context::new(config)?))
    }

    fn acceptor(&'static self, config: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error> {
        Ok(Arc::new(server::Context::new(config)?))
    }
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn openssl_has_tls13() -> bool {
    // The version number of OpenSSL 1.1.1; LibreSSL's begin with a 2.
    openssl::version::number() >= 0x1010_1000
}

#[cfg(any(target_os = "windows", target_vendor = "apple"))]
fn openssl_has_tls13() -> bool {
    false
}

/// A version in native-tls' words.
///
/// A maximum that `tls13` says is out of reach is lowered, since Secure Transport refuses to be
/// told of it; a minimum of that kind never comes here.
pub(crate) fn protocol(version: ProtocolVersion, tls13: Capability) -> Protocol {
    match version {
        ProtocolVersion::Tls13 if backend().capabilities().has(tls13) => Protocol::Tlsv13,
        _ => Protocol::Tlsv12,
    }
}

/// Protocol names as text, which is all that native-tls takes.
///
/// # Errors
///
/// `Unsupported` for a name that is not UTF-8.
pub(crate) fn alpn(names: &[Vec<u8>], capability: Capability) -> Result<Vec<&str>, Error> {
    let texts = names.iter().map(|name| std::str::from_utf8(name));
    texts.collect::<Result<_, _>>().map_err(|error| {
        Error::unsupported(capability)
            .with_detail("native-tls takes ALPN protocol names in UTF-8 only")
            .with_source(error)
    })
}
