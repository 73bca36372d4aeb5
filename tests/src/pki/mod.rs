//! Certificates made in the run, dated relative to its start.
//!
//! | file | holds |
//! |---|---|
//! | `authority` | [`Authority`]: roots and intermediates, each with at most one thing wrong |
//! | `leaf` | [`Leaf`], the description of an end entity's certificate, and [`Credential`], the chain and key made of it |
//! | `keys` | [`Key`]: private keys of every algorithm and in every encoding |
//! | `broken` | certificates that no maker of certificates makes |
//!
//! A negative certificate has exactly one fault, since the libraries look in different orders.

mod authority;
mod broken;
mod keys;
mod leaf;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use time::{Duration, OffsetDateTime};

pub use authority::{Authority, AuthoritySpec};
pub use keys::{Algorithm, ENCRYPTED_PKCS1_PEM, ENCRYPTED_PKCS8_PEM, Key, Unusable};
pub use leaf::{Credential, Leaf};

/// The name that the suite's servers have unless a case is about names.
pub const NAME: &str = "server.polytls.test";

/// An address that the suite's servers have beside [`NAME`].
pub const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A root, a server under an intermediate of it, a client, and a root that nobody trusts.
#[derive(Debug)]
pub struct Standard {
    /// The root that clients and servers trust.
    pub root: Arc<Authority>,
    /// Issued by the root.
    pub intermediate: Arc<Authority>,
    /// For [`NAME`] and [`ADDRESS`], issued by the intermediate.
    pub server: Credential,
    /// A client's, issued by the intermediate.
    pub client: Credential,
    /// A root that stands in no trust store.
    pub stranger: Arc<Authority>,
}

/// The certificates of cases that are not about certificates; made once per process.
pub fn standard() -> &'static Standard {
    static STANDARD: LazyLock<Standard> = LazyLock::new(|| {
        let root = Authority::named("Suite Root").root();
        let intermediate = Authority::named("Suite Intermediate").issued_by(&root);
        Standard {
            server: Leaf::server().issued_by(&intermediate),
            client: Leaf::client("suite client").issued_by(&intermediate),
            stranger: Authority::named("Stranger Root").root(),
            root,
            intermediate,
        }
    });
    &STANDARD
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug)]
enum Dates {
    InDate,
    Expired,
    NotYetValid,
}

impl Dates {
    fn range(self) -> (OffsetDateTime, OffsetDateTime) {
        static START: LazyLock<OffsetDateTime> = LazyLock::new(OffsetDateTime::now_utc);
        let day = |n| *START + Duration::days(n);
        match self {
            Self::InDate => (day(-60), day(60)),
            Self::Expired => (day(-30), day(-2)),
            Self::NotYetValid => (day(2), day(30)),
        }
    }
}

fn pem_text(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}
