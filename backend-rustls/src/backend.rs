//! What the backend can do, and what its client and server contexts share: a provider of
//! cryptography.

use std::fmt;
use std::sync::Arc;

use polytls_core::{
    Acceptor, Backend, Capabilities, ClientConfig, Connector, Error, ProtocolVersion, ServerConfig,
};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

use crate::{client, server};

/// rustls with one provider of cryptography.
pub struct Rustls {
    name: &'static str,
    provider: fn() -> CryptoProvider,
    ticketer: fn() -> Result<Arc<dyn ProducesTickets>, rustls::Error>,
}

/// rustls with its default provider here: aws-lc-rs where it is compiled in, *ring* otherwise.
pub fn backend() -> &'static dyn Backend {
    &DEFAULT
}

/// rustls with aws-lc-rs; its name is `rustls`.
#[cfg(feature = "aws-lc-rs")]
pub fn aws_lc_rs() -> &'static dyn Backend {
    &AWS_LC_RS
}

/// rustls with *ring*; its name is `rustls-ring`, whatever else is compiled in.
#[cfg(feature = "ring")]
pub fn ring() -> &'static dyn Backend {
    &RING
}

#[cfg(feature = "aws-lc-rs")]
pub(crate) static AWS_LC_RS: Rustls = Rustls {
    name: "rustls",
    provider: rustls::crypto::aws_lc_rs::default_provider,
    ticketer: rustls::crypto::aws_lc_rs::Ticketer::new,
};

#[cfg(feature = "ring")]
pub(crate) static RING: Rustls = Rustls {
    name: "rustls-ring",
    provider: rustls::crypto::ring::default_provider,
    ticketer: rustls::crypto::ring::Ticketer::new,
};

#[cfg(feature = "aws-lc-rs")]
pub(crate) use self::AWS_LC_RS as DEFAULT;
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use self::RING as DEFAULT;

impl Rustls {
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new((self.provider)())
    }

    pub(crate) fn ticketer(&self) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        (self.ticketer)()
    }
}

impl Backend for Rustls {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn connector(&'static self, config: &ClientConfig) -> Result<Arc<dyn Connector>, Error> {
        Ok(Arc::new(client::Context::new(self, config)?))
    }

    fn acceptor(&'static self, config: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error> {
        Ok(Arc::new(server::Context::new(self, config)?))
    }
}

impl fmt::Debug for Rustls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rustls({})", self.name)
    }
}

/// The versions from `min` to `max`.
pub(crate) fn versions(
    min: ProtocolVersion,
    max: ProtocolVersion,
) -> Vec<&'static SupportedProtocolVersion> {
    rustls::ALL_VERSIONS
        .iter()
        .copied()
        .filter(|version| {
            let number = u16::from(version.version);
            (min.number()..=max.number()).contains(&number)
        })
        .collect()
}
