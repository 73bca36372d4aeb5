//! Where to connect to or listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use polytls_core::{Error, ErrorKind};

/// A host and a port.
///
/// From `"example.com:443"`, `"192.0.2.1:443"`, `"[::1]:443"`, `("example.com", 443)`, `(ip, 443)`
/// or a [`SocketAddr`]; what is none of them is refused as `ServerName`. The host is not looked up
/// before it is needed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    /// With a scope, for link-local IPv6.
    Ip(SocketAddr),
}

impl Address {
    /// The host: the name to verify unless another is given.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(address) => address.ip().to_string(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, when it needs no lookup.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::Ip(address) => Some(address),
        }
    }

    fn of_host(host: &str, port: u16) -> Self {
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        // The standard library reads a numeric scope only; a name stays for the resolver.
        let host = match (literal.parse::<IpAddr>(), format!("[{literal}]:{port}").parse()) {
            (Ok(ip), _) => Host::Ip(SocketAddr::new(ip, port)),
            (Err(_), Ok(scoped)) => Host::Ip(scoped),
            (Err(_), Err(_)) => Host::Name(literal.to_owned()),
        };
        Self { host, port }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(80).collect();
            Err(Error::new(ErrorKind::ServerName)
                .with_detail(format!("{shown:?} {why}, write host:port")))
        };
        if text.contains("://") {
            return refuse("is a URL");
        }
        let Some((host, port)) = text.rsplit_once(':') else { return refuse("has no port") };
        let Ok(port) = port.parse::<u16>() else { return refuse("has no port from 0 to 65535") };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || host == "[]" {
            return refuse("has no host");
        }
        if host.contains(':') && !bracketed {
            return refuse("is an IPv6 address without brackets");
        }
        Ok(Self::of_host(host, port))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address), port: address.port() }
    }
}

impl From<&SocketAddr> for Address {
    fn from(address: &SocketAddr) -> Self {
        (*address).into()
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl From<(IpAddr, u16)> for Address {
    fn from(pair: (IpAddr, u16)) -> Self {
        SocketAddr::from(pair).into()
    }
}

impl From<(Ipv4Addr, u16)> for Address {
    fn from(pair: (Ipv4Addr, u16)) -> Self {
        SocketAddr::from(pair).into()
    }
}

impl From<(Ipv6Addr, u16)> for Address {
    fn from(pair: (Ipv6Addr, u16)) -> Self {
        SocketAddr::from(pair).into()
    }
}

impl TryFrom<&str> for Address {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<(&str, u16)> for Address {
    type Error = Error;

    fn try_from((host, port): (&str, u16)) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(Error::new(ErrorKind::ServerName).with_detail("the host is empty"));
        }
        Ok(Self::of_host(host, port))
    }
}

impl TryFrom<(String, u16)> for Address {
    type Error = Error;

    fn try_from((host, port): (String, u16)) -> Result<Self, Error> {
        (host.as_str(), port).try_into()
    }
}

impl TryFrom<(&String, u16)> for Address {
    type Error = Error;

    fn try_from((host, port): (&String, u16)) -> Result<Self, Error> {
        (host.as_str(), port).try_into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Ip(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_literals() {
        for (text, host, ip) in [
            ("example.com:443", "example.com", false),
            ("192.0.2.1:443", "192.0.2.1", true),
            ("[::1]:443", "::1", true),
            ("[fe80::1%3]:443", "fe80::1", true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.host().as_str(), address.port(), address.socket_addr().is_some()),
                (host, 443, ip),
                "{text}"
            );
        }
        let address = Address::try_from(("::1", 443)).unwrap();
        assert_eq!(address.to_string(), "[::1]:443");
    }

    #[test]
    fn takes_what_the_standard_library_takes() {
        fn is_the_same<A>(address: A)
        where
            A: TryInto<Address>,
            A::Error: Into<Error>,
        {
            let address = address.try_into().map_err(Into::into).unwrap();
            assert_eq!(address.to_string(), "[::1]:443");
        }
        let (name, text) = (String::from("::1"), String::from("[::1]:443"));
        let address: Address = text.parse().unwrap();
        let socket_addr: SocketAddr = text.parse().unwrap();
        is_the_same(&address);
        is_the_same(Address::from(&socket_addr));
        is_the_same(socket_addr);
        is_the_same((Ipv6Addr::LOCALHOST, 443));
        is_the_same((IpAddr::V6(Ipv6Addr::LOCALHOST), 443));
        is_the_same((&name, 443));
        is_the_same((name, 443));
        is_the_same(&text);
        is_the_same(text);
        let address = Address::from((Ipv4Addr::LOCALHOST, 443));
        assert_eq!(address.to_string(), "127.0.0.1:443");
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (text, why) in [
            ("", "has no port"),
            ("example.com", "has no port"),
            (":443", "has no host"),
            ("[]:1", "has no host"),
            ("example.com:https", "from 0 to 65535"),
            ("a:65536", "from 0 to 65535"),
            ("::1:443", "without brackets"),
            ("https://example.com:443", "is a URL"),
            ("https://example.com", "is a URL"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ServerName, "{text}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
