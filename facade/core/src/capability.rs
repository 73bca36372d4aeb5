//! What a backend can do, so that one can ask before one tries.

use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// One thing that not every backend can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant,)+
        }

        impl Capability {
            /// Every capability, in the order of the capability table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the capability table, for example `server-tls13`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

capabilities! {
    /// Clients speak TLS 1.2.
    ClientTls12 = "client-tls12",
    /// Clients speak TLS 1.3.
    ClientTls13 = "client-tls13",
    /// Servers speak TLS 1.2.
    ServerTls12 = "server-tls12",
    /// Servers speak TLS 1.3.
    ServerTls13 = "server-tls13",
    /// Clients offer application protocols.
    ClientAlpn = "client-alpn",
    /// Servers choose an application protocol.
    ServerAlpn = "server-alpn",
    /// Clients present a certificate.
    ClientIdentity = "client-identity",
    /// Servers ask clients for a certificate.
    ClientAuth = "client-auth",
    /// The chain is checked although the host name is not.
    SkipHostname = "skip-hostname",
    /// A trust anchor may be a certificate that another authority issued.
    PartialChain = "partial-chain",
    /// The peer's whole chain can be read, not only its leaf.
    PeerChain = "peer-chain",
    /// Clients resume sessions.
    ClientResumption = "client-resumption",
    /// Servers resume sessions.
    ServerResumption = "server-resumption",
    /// Keying material can be exported (RFC 5705).
    Exporter = "exporter",
    /// A refused certificate's details are known in TLS 1.2.
    CertificateDetailsTls12 = "certificate-details-tls12",
    /// A refused certificate's details are known in TLS 1.3.
    CertificateDetailsTls13 = "certificate-details-tls13",
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of [`Capability`] values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Everything there is.
    pub const ALL: Self = {
        let mut all = Self::NONE;
        let mut i = 0;
        while i < Capability::ALL.len() {
            all = all.with(Capability::ALL[i]);
            i += 1;
        }
        all
    };

    /// This set and `capability`.
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u32)
    }

    /// This set without `capability`.
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u32))
    }

    /// Whether `capability` is in this set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// The members, in the order of the capability table.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |&capability| self.has(capability))
    }

    /// The first member of `needed` that is missing here.
    pub fn first_missing(self, needed: Self) -> Option<Capability> {
        needed.iter().find(|&capability| !self.has(capability))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
