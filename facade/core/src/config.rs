//! What a context is asked to do, in words that no TLS library owns.

use std::sync::{Arc, OnceLock};

use crate::{
    Acceptor, Backend, Capabilities, Capability, Connector, Error, ErrorKind, Identity,
    ProtocolVersion, Roots, Trust,
};

/// How much of a server's certificate a client verifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// Chain, validity, usage and name.
    #[default]
    Full,
    /// Everything but the name: any certificate of a trusted authority will do, so whoever holds
    /// one can impersonate the server.
    SkipHostname,
    /// Nothing at all: anyone on the path can read and change everything.
    Nothing,
}

/// Whether sessions are resumed (RFC 8446, section 2.2; RFC 5077).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resumption {
    /// Where the backend can.
    #[default]
    Enabled,
    /// Each connection makes a full handshake.
    Disabled,
}

/// Whether a server asks its clients for a certificate.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// It does not ask.
    #[default]
    None,
    /// It asks, verifies what comes against this trust, and serves clients without one.
    Optional(Trust),
    /// It asks, and refuses clients without one that this trust verifies. In TLS 1.3 the refusal
    /// reaches the client after its handshake is done (RFC 8446, section 4.4.2.4): the first read
    /// or write that sees it fails with `ClientCertificateRequired`.
    Required(Trust),
}

impl ClientAuth {
    /// The authorities that clients' certificates are verified against.
    pub fn trust(&self) -> Option<&Trust> {
        match self {
            Self::None => None,
            Self::Optional(trust) | Self::Required(trust) => Some(trust),
        }
    }
}

/// The versions and application protocols that both kinds of context share.
#[derive(Clone, Debug)]
struct Offer {
    min_version: ProtocolVersion,
    max_version: ProtocolVersion,
    alpn: Vec<Vec<u8>>,
    resumption: Resumption,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            min_version: ProtocolVersion::default(),
            max_version: ProtocolVersion::Tls13,
            alpn: Vec::new(),
            resumption: Resumption::default(),
        }
    }
}

impl Offer {
    fn check(&self) -> Result<(), Error> {
        let refuse = |detail: String| Err(Error::new(ErrorKind::Config).with_detail(detail));
        if self.min_version > self.max_version {
            return refuse(format!(
                "the minimum version, {}, is above the maximum, {}",
                self.min_version, self.max_version
            ));
        }
        // RFC 7301, section 3.1: a name has 1 to 255 bytes, the list 65,535.
        if self.alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
            return refuse("an ALPN protocol name has 1 to 255 bytes".into());
        }
        if self.alpn.iter().map(|name| name.len() + 1).sum::<usize>() > 0xffff - 2 {
            return refuse("the list of ALPN protocol names is longer than 65,533 bytes".into());
        }
        Ok(())
    }

    fn needs(&self, tls12: Capability, tls13: Capability, alpn: Capability) -> Capabilities {
        let mut needed = Capabilities::NONE;
        // Only a minimum or maximum that leaves one version asks for that version.
        if self.max_version == ProtocolVersion::Tls12 {
            needed = needed.with(tls12);
        }
        if self.min_version == ProtocolVersion::Tls13 {
            needed = needed.with(tls13);
        }
        if !self.alpn.is_empty() {
            needed = needed.with(alpn);
        }
        needed
    }
}

macro_rules! offer_accessors {
    () => {
        /// The lowest protocol version to accept; TLS 1.2 unless set.
        pub fn min_version(&self) -> ProtocolVersion {
            self.offer.min_version
        }

        /// The highest protocol version to accept; TLS 1.3 unless set.
        pub fn max_version(&self) -> ProtocolVersion {
            self.offer.max_version
        }

        /// The application protocols, most wanted first; none unless set.
        pub fn alpn(&self) -> &[Vec<u8>] {
            &self.offer.alpn
        }

        /// Whether sessions are resumed; enabled unless set.
        pub fn resumption(&self) -> Resumption {
            self.offer.resumption
        }

        /// This configuration with a lowest protocol version.
        #[must_use]
        pub fn with_min_version(mut self, version: ProtocolVersion) -> Self {
            self.offer.min_version = version;
            self
        }

        /// This configuration with a highest protocol version.
        #[must_use]
        pub fn with_max_version(mut self, version: ProtocolVersion) -> Self {
            self.offer.max_version = version;
            self
        }

        /// This configuration with application protocols, most wanted first.
        #[must_use]
        pub fn with_alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
            self.offer.alpn = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
            self
        }

        /// This configuration with sessions resumed or not.
        #[must_use]
        pub fn with_resumption(mut self, resumption: Resumption) -> Self {
            self.offer.resumption = resumption;
            self
        }
    };
}

/// What a client context is asked to do.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    offer: Offer,
    trust: Trust,
    verification: Verification,
    identity: Option<Identity>,
    roots: OnceLock<Arc<Roots>>,
}

impl ClientConfig {
    offer_accessors!();

    /// Which authorities are trusted; the system's unless set.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// How much is verified; everything unless set.
    pub fn verification(&self) -> Verification {
        self.verification
    }

    /// The certificate to present when the server asks for one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// This configuration with other trust.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self.roots = OnceLock::new();
        self
    }

    /// This configuration with less verification.
    #[must_use]
    pub fn with_verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    /// This configuration with a certificate to present.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The anchors of [`ClientConfig::trust`], read and judged once.
    ///
    /// For backends. One that leaves the system's store to its platform does not call it for
    /// [`Trust::System`]; nobody calls it for [`Verification::Nothing`].
    ///
    /// # Errors
    ///
    /// As [`Trust::load`].
    pub fn roots(&self) -> Result<&Arc<Roots>, Error> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots);
        }
        let roots = Arc::new(self.trust.load()?);
        Ok(self.roots.get_or_init(|| roots))
    }

    /// What a backend must be able to do for this configuration.
    pub fn needs(&self) -> Capabilities {
        use Capability as C;
        let mut needed = self.offer.needs(C::ClientTls12, C::ClientTls13, C::ClientAlpn);
        if self.identity.is_some() {
            needed = needed.with(C::ClientIdentity);
        }
        if self.verification == Verification::SkipHostname {
            needed = needed.with(C::SkipHostname);
        }
        // The system's store alone names roots only, and need not be read here.
        if self.verification != Verification::Nothing
            && !self.trust.given().is_empty()
            && self.roots().is_ok_and(|roots| roots.has_intermediate())
        {
            needed = needed.with(C::PartialChain);
        }
        needed
    }

    /// Builds a client context with `backend`, after checking that the options agree with each
    /// other and that the backend can do what they ask.
    ///
    /// # Errors
    ///
    /// `Config`, `Unsupported`, `Trust`, `Identity`.
    pub fn connector(&self, backend: &'static dyn Backend) -> Result<Arc<dyn Connector>, Error> {
        self.offer.check()?;
        refuse_missing(backend, self.needs())?;
        backend.connector(self).map_err(|error| error.with_backend(backend.name()))
    }
}

/// What a server context is asked to do.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    offer: Offer,
    identity: Identity,
    client_auth: ClientAuth,
    client_roots: OnceLock<Arc<Roots>>,
}

impl ServerConfig {
    /// A configuration that presents this identity.
    pub fn new(identity: Identity) -> Self {
        Self {
            offer: Offer::default(),
            identity,
            client_auth: ClientAuth::None,
            client_roots: OnceLock::new(),
        }
    }

    offer_accessors!();

    /// The certificate to present.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether clients are asked for a certificate; not unless set.
    pub fn client_auth(&self) -> &ClientAuth {
        &self.client_auth
    }

    /// This configuration, asking clients for a certificate.
    #[must_use]
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self.client_roots = OnceLock::new();
        self
    }

    /// The anchors that clients' certificates are verified against, read and judged once; `None`
    /// when clients are not asked. For backends.
    ///
    /// # Errors
    ///
    /// As [`Trust::load`].
    pub fn client_roots(&self) -> Result<Option<&Arc<Roots>>, Error> {
        let Some(trust) = self.client_auth.trust() else { return Ok(None) };
        if let Some(roots) = self.client_roots.get() {
            return Ok(Some(roots));
        }
        let roots = Arc::new(trust.load()?);
        Ok(Some(self.client_roots.get_or_init(|| roots)))
    }

    /// What a backend must be able to do for this configuration.
    pub fn needs(&self) -> Capabilities {
        use Capability as C;
        let mut needed = self.offer.needs(C::ServerTls12, C::ServerTls13, C::ServerAlpn);
        if let Some(trust) = self.client_auth.trust() {
            needed = needed.with(C::ClientAuth);
            let roots = || self.client_roots().ok().flatten();
            if !trust.given().is_empty() && roots().is_some_and(|roots| roots.has_intermediate()) {
                needed = needed.with(C::PartialChain);
            }
        }
        needed
    }

    /// Builds a server context with `backend`, after checking that the options agree with each
    /// other and that the backend can do what they ask.
    ///
    /// # Errors
    ///
    /// `Config`, `Unsupported`, `Trust`, `Identity`.
    pub fn acceptor(&self, backend: &'static dyn Backend) -> Result<Arc<dyn Acceptor>, Error> {
        self.offer.check()?;
        refuse_missing(backend, self.needs())?;
        backend.acceptor(self).map_err(|error| error.with_backend(backend.name()))
    }
}

fn refuse_missing(backend: &'static dyn Backend, needed: Capabilities) -> Result<(), Error> {
    match backend.capabilities().first_missing(needed) {
        Some(missing) => Err(Error::unsupported(missing).with_backend(backend.name())),
        None => Ok(()),
    }
}
