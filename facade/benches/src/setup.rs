//! What is compared with what.

use std::str::FromStr;

/// A TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// rustls, with aws-lc-rs.
    Rustls,
    /// OpenSSL.
    Openssl,
    /// native-tls.
    Native,
}

impl Library {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rustls, Self::Openssl, Self::Native];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::Openssl => "openssl",
            Self::Native => "native",
        }
    }

    /// The version for rows where the version does not matter: the newest that it can serve.
    pub fn version(self) -> Version {
        match self {
            Self::Native => Version::Tls12,
            _ => Version::Tls13,
        }
    }

    /// The backend that stands on it.
    pub fn backend(self) -> &'static dyn polytls::Backend {
        match self {
            Self::Rustls => polytls::backend::rustls(),
            Self::Openssl => polytls::backend::openssl(),
            Self::Native => polytls::backend::native(),
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `polytls`.
    Facade,
    /// The library itself.
    Plain,
}

impl Side {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Facade, Self::Plain];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Facade => "facade",
            Self::Plain => "plain",
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tls13, Self::Tls12];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// How I/O is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Blocking.
    Blocking,
    /// By tokio.
    Tokio,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tokio, Self::Blocking];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Tokio => "tokio",
        }
    }
}

/// The kind of the server's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    P256,
    /// RSA with 2,048 bits.
    Rsa2048,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::P256, Self::Rsa2048];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::Rsa2048 => "RSA-2048",
        }
    }
}

/// How two ends are set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The library.
    pub library: Library,
    /// The only version that is offered.
    pub version: Version,
    /// The server's key.
    pub key: Key,
    /// Whether the client keeps sessions, where it does so by default.
    pub resumption: bool,
}

impl Setup {
    /// Both ends by this library, with the newest version that it can serve.
    pub fn of(library: Library) -> Self {
        Self { library, version: library.version(), key: Key::P256, resumption: false }
    }

    /// TLS 1.3, whoever serves it.
    pub fn newest(library: Library) -> Self {
        Self { version: Version::Tls13, ..Self::of(library) }
    }

    /// The library that serves: native-tls on Linux serves no TLS 1.3, so OpenSSL does, on both
    /// sides of the comparison.
    pub fn server_library(self) -> Library {
        match (self.library, self.version) {
            (Library::Native, Version::Tls13) => Library::Openssl,
            (library, _) => library,
        }
    }
}

macro_rules! by_name {
    ($($kind:ident: $all:expr),*) => {$(
        impl FromStr for $kind {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                let found = $all.into_iter().find(|it| it.name() == name);
                found.ok_or_else(|| format!("{name:?} is no {}", stringify!($kind)))
            }
        }
    )*};
}
by_name!(Library: Library::ALL, Side: Side::BOTH, Version: Version::ALL, Mode: Mode::ALL);
