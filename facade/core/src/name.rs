//! The name or address that a server's certificate must be for.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types as pki;

use crate::{Error, ErrorKind};

/// A DNS name or IP address that TLS can verify (RFC 9525).
///
/// Parsing takes what people and URIs write: one trailing dot is dropped, the brackets and the
/// zone of an IPv6 literal are removed. An IP address matches only an `iPAddress` entry of a
/// certificate and is never sent as server name indication.
///
/// ```
/// # use polytls_core as polytls;
/// use polytls::ServerName;
///
/// assert_eq!("Example.com.".parse::<ServerName>()?.to_string(), "example.com");
/// assert_eq!("[fe80::1%eth0]".parse::<ServerName>()?.to_string(), "fe80::1");
/// assert!("".parse::<ServerName>().is_err());
/// # Ok::<(), polytls::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerName(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Dns(pki::DnsName<'static>),
    Ip(IpAddr),
}

impl ServerName {
    /// Parses a host as people and URIs write it.
    ///
    /// # Errors
    ///
    /// `ServerName`, saying what is wrong, for an empty name, one with other than ASCII
    /// characters (write it in its `xn--` form, RFC 5890), and one that is neither an address nor
    /// a DNS name.
    pub fn parse(host: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let shown: String = host.chars().take(80).collect();
            Err(Error::new(ErrorKind::ServerName).with_detail(format!("{shown:?} {why}")))
        };
        if host.is_empty() {
            return refuse("is empty");
        }
        if !host.is_ascii() {
            return refuse("has other than ASCII characters; write it in its xn-- form");
        }
        let (literal, bracketed) = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inside) => (inside, true),
            None => (host, false),
        };
        let without_zone = literal.split_once('%').map_or(literal, |(address, _zone)| address);
        match without_zone.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) if bracketed || without_zone != literal => {
                return refuse("is an IPv4 address with brackets or a zone");
            }
            Ok(address) => return Ok(Self(Name::Ip(address))),
            Err(_) if bracketed => return refuse("has brackets but no IPv6 address in them"),
            Err(_) => {}
        }
        let dns = host.strip_suffix('.').unwrap_or(host);
        // One dot only: some releases of the parser drop a second.
        match pki::DnsName::try_from(dns.to_ascii_lowercase()) {
            Ok(name) if !dns.ends_with('.') => Ok(Self(Name::Dns(name))),
            _ => refuse("is neither a DNS name nor an IP address"),
        }
    }

    /// The DNS name, in lower case and without a trailing dot: what is sent as server name
    /// indication.
    pub fn dns_name(&self) -> Option<&str> {
        match &self.0 {
            Name::Dns(name) => Some(name.as_ref()),
            Name::Ip(_) => None,
        }
    }

    /// The IP address.
    pub fn ip_address(&self) -> Option<IpAddr> {
        match self.0 {
            Name::Dns(_) => None,
            Name::Ip(address) => Some(address),
        }
    }

    /// The name without a prefix that tells its kind: what libraries take as text.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Name::Dns(name) => Cow::Borrowed(name.as_ref()),
            Name::Ip(address) => Cow::Owned(address.to_string()),
        }
    }

    /// The name in the vocabulary that the Rust TLS crates share.
    pub fn to_pki(&self) -> pki::ServerName<'static> {
        match &self.0 {
            Name::Dns(name) => pki::ServerName::DnsName(name.clone()),
            Name::Ip(address) => pki::ServerName::IpAddress((*address).into()),
        }
    }
}

impl FromStr for ServerName {
    type Err = Error;

    fn from_str(host: &str) -> Result<Self, Error> {
        Self::parse(host)
    }
}

impl TryFrom<&str> for ServerName {
    type Error = Error;

    fn try_from(host: &str) -> Result<Self, Error> {
        Self::parse(host)
    }
}

impl TryFrom<String> for ServerName {
    type Error = Error;

    fn try_from(host: String) -> Result<Self, Error> {
        Self::parse(&host)
    }
}

impl TryFrom<&String> for ServerName {
    type Error = Error;

    fn try_from(host: &String) -> Result<Self, Error> {
        Self::parse(host)
    }
}

impl From<IpAddr> for ServerName {
    fn from(address: IpAddr) -> Self {
        Self(Name::Ip(address))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_people_write() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("foo_bar.example.com", "foo_bar.example.com"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[fe80::1%25eth0]", "fe80::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(ServerName::parse(host).map(|n| n.to_string()).ok().as_deref(), Some(name));
            let owned = host.to_owned();
            assert_eq!(ServerName::try_from(&owned).ok(), ServerName::parse(host).ok());
            assert_eq!(ServerName::try_from(owned).ok(), ServerName::parse(host).ok());
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (host, why) in [
            ("", "empty"),
            (".", "neither"),
            ("example.com..", "neither"),
            ("b\u{fc}cher.example", "ASCII"),
            ("exa mple.com", "neither"),
            ("example.com:443", "neither"),
            ("[127.0.0.1]", "brackets"),
            ("[example.com]", "brackets"),
            ("*.example.com", "neither"),
            ("a\0b", "neither"),
        ] {
            let error = ServerName::parse(host).expect_err(host);
            assert_eq!(error.kind(), ErrorKind::ServerName);
            assert!(error.to_string().contains(why), "{host:?}: {error}");
        }
    }
}
