//! What the plaintext part of a handshake tells, read from the records as they pass.
//!
//! The facade sees every byte, so it can supply for every backend what some cannot: the version and
//! cipher suite in a ServerHello, the name and application protocols in a ClientHello, an alert sent
//! in clear, a TLS 1.2 server's certificates. Parsing is `tls-parser`'s; what cannot be parsed is
//! left to the library to refuse.

use std::fmt;

use tls_parser::{TlsExtension, TlsMessage, TlsMessageHandshake};

use crate::record::{self, Front};
use crate::{Alert, Certificate, CipherSuite, ProtocolVersion};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Speaks first.
    Client,
    /// Presents a certificate.
    Server,
}

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The name it asks for (RFC 6066, section 3), in lower case.
    pub server_name: Option<String>,
    /// The application protocols it offers (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// The versions it offers.
    pub versions: Vec<ProtocolVersion>,
}

/// What a server chose.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerHello {
    /// The version, when it is one that any backend speaks.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: CipherSuite,
    /// The application protocol; in TLS 1.3 it is encrypted and not seen here.
    pub alpn: Option<Vec<u8>>,
}

/// Watches the records of one handshake.
///
/// It keeps what passes in clear, and parses when it is asked: most handshakes succeed, and most
/// libraries tell what they agreed on.
#[derive(Debug)]
pub struct Observer {
    side: Side,
    incoming: Flight,
    outgoing: Flight,
    alert: Option<Alert>,
}

impl Observer {
    /// Watches the handshake of the end on this side.
    pub fn new(side: Side) -> Self {
        Self { side, incoming: Flight::default(), outgoing: Flight::default(), alert: None }
    }

    /// Takes note of records that came.
    pub fn incoming(&mut self, records: &[u8]) {
        if let Some(alert) = self.incoming.records(records) {
            self.alert = Some(alert);
        }
    }

    /// Takes note of records that go.
    pub fn outgoing(&mut self, records: &[u8]) {
        // A client knows what it asks for; of a server, only the answer tells something new.
        if self.side == Side::Server && !self.outgoing.has_message() {
            self.outgoing.records(records);
        }
    }

    /// What the client offers, once its ClientHello has come whole, across any number of records.
    pub fn client_hello(&self) -> Option<ClientHello> {
        self.incoming.messages().find_map(|message| match message {
            TlsMessageHandshake::ClientHello(hello) => {
                Some(client_hello(hello.version.0, hello.ext))
            }
            _ => None,
        })
    }

    /// Whether a ClientHello may still come: false once it has, or once something else came that
    /// is for the library to judge.
    pub fn awaits_client_hello(&self) -> bool {
        self.side == Side::Server && !self.incoming.has_message() && !self.incoming.over
    }

    /// What the server chose; by its HelloRetryRequest, if it sent one, which looks the same and names
    /// the version and the cipher suite that it will stay with (RFC 8446, section 4.1.4).
    pub fn server_hello(&self) -> Option<ServerHello> {
        let flight = match self.side {
            Side::Client => &self.incoming,
            Side::Server => &self.outgoing,
        };
        flight.messages().find_map(|message| match message {
            TlsMessageHandshake::ServerHello(hello) => {
                Some(server_hello(hello.version.0, hello.cipher.0, hello.ext))
            }
            _ => None,
        })
    }

    /// The alert that the peer sent in clear.
    pub fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// The certificates that the peer sent in clear, leaf first: TLS 1.2 only.
    pub fn peer_certificates(&self) -> Vec<Certificate> {
        let sent = self.incoming.messages().find_map(|message| match message {
            TlsMessageHandshake::Certificate(message) => Some(message.cert_chain),
            _ => None,
        });
        let sent = sent.into_iter().flatten();
        sent.map(|certificate| Certificate::from_peer(certificate.data)).collect()
    }

    /// Whether a TLS 1.2 server asked for a certificate.
    pub fn certificate_requested(&self) -> bool {
        self.incoming
            .messages()
            .any(|message| matches!(message, TlsMessageHandshake::CertificateRequest(_)))
    }
}

/// The handshake messages of one direction, as far as they are in clear.
#[derive(Default)]
struct Flight {
    bytes: Vec<u8>,
    /// How many bytes at the front are whole messages.
    whole: usize,
    /// Nothing more in clear is expected.
    over: bool,
}

/// The longest flight that is kept; the libraries' own limits for one message are near it.
const MAX_FLIGHT: usize = 128 << 10;

/// The level of an alert that ends the connection (RFC 5246, section 7.2).
const FATAL: u8 = 2;

/// Bytes of a handshake message before its body.
const MESSAGE_HEADER: usize = 4;

impl Flight {
    /// Keeps the handshake messages of these records, and returns an alert in clear that ends the
    /// connection.
    fn records(&mut self, mut records: &[u8]) -> Option<Alert> {
        while let Front::Record(length) = record::front(records) {
            let (one, rest) = records.split_at(length);
            records = rest;
            match (one[0], &one[record::HEADER..]) {
                // An encrypted alert is longer than its two bytes.
                (record::ALERT, &[level, alert]) => {
                    let alert = Alert::new(alert);
                    // Nothing follows, so nobody must wait for a ClientHello. A warning explains
                    // nothing that comes later.
                    if level == FATAL || alert == Alert::CLOSE_NOTIFY {
                        self.over = true;
                        return Some(alert);
                    }
                }
                (record::HANDSHAKE, payload) if !self.over => self.push(payload),
                // What follows a change_cipher_spec is encrypted, and so is application data.
                _ => self.over = true,
            }
        }
        None
    }

    fn push(&mut self, payload: &[u8]) {
        if self.bytes.len() + payload.len() > MAX_FLIGHT {
            self.over = true;
            return;
        }
        self.bytes.extend_from_slice(payload);
        while let Some(length) = message_length(&self.bytes[self.whole..]) {
            if self.whole + length > self.bytes.len() {
                // One that could not be kept is for the library to judge.
                self.over |= length > MAX_FLIGHT;
                return;
            }
            self.whole += length;
        }
    }

    fn has_message(&self) -> bool {
        self.whole > 0
    }

    /// The whole messages, up to one that cannot be parsed.
    fn messages(&self) -> impl Iterator<Item = TlsMessageHandshake<'_>> {
        let mut rest = &self.bytes[..self.whole];
        std::iter::from_fn(move || {
            let (message, after) = rest.split_at_checked(message_length(rest)?)?;
            rest = after;
            match tls_parser::parse_tls_message_handshake(message) {
                Ok((_, TlsMessage::Handshake(message))) => Some(message),
                _ => {
                    rest = &[];
                    None
                }
            }
        })
    }
}

/// How long the message at the front says that it is, header included.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let &[_, a, b, c, ..] = bytes else { return None };
    Some(MESSAGE_HEADER + u32::from_be_bytes([0, a, b, c]) as usize)
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("bytes", &self.bytes.len())
            .field("whole", &self.whole)
            .field("over", &self.over)
            .finish()
    }
}

fn client_hello(version: u16, extensions: Option<&[u8]>) -> ClientHello {
    let mut hello = ClientHello::default();
    let extensions =
        extensions.map(tls_parser::parse_tls_client_hello_extensions).and_then(Result::ok);
    for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
        match extension {
            TlsExtension::SNI(names) => {
                let name = names.first().and_then(|(_, name)| std::str::from_utf8(name).ok());
                hello.server_name = name.map(str::to_ascii_lowercase);
            }
            TlsExtension::ALPN(names) => {
                hello.alpn = names.into_iter().map(<[u8]>::to_vec).collect();
            }
            TlsExtension::SupportedVersions(versions) => {
                let known = versions.iter().filter_map(|v| ProtocolVersion::from_number(v.0));
                hello.versions = known.collect();
            }
            _ => {}
        }
    }
    if hello.versions.is_empty() {
        hello.versions.extend(ProtocolVersion::from_number(version));
    }
    hello
}

fn server_hello(version: u16, cipher_suite: u16, extensions: Option<&[u8]>) -> ServerHello {
    let mut hello = ServerHello {
        version: ProtocolVersion::from_number(version),
        cipher_suite: CipherSuite::new(cipher_suite),
        alpn: None,
    };
    let extensions =
        extensions.map(tls_parser::parse_tls_server_hello_extensions).and_then(Result::ok);
    for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
        match extension {
            // RFC 8446, section 4.2.1: the only place that names TLS 1.3.
            TlsExtension::SupportedVersions(versions) => {
                hello.version =
                    versions.first().and_then(|version| ProtocolVersion::from_number(version.0));
            }
            TlsExtension::ALPN(names) => hello.alpn = names.first().map(|name| name.to_vec()),
            _ => {}
        }
    }
    hello
}

/// A fatal alert as a record in clear, for a connection that has no keys yet.
pub fn clear_alert(alert: Alert) -> [u8; 7] {
    [record::ALERT, 3, 3, 0, 2, FATAL, alert.number()]
}

/// The first bytes of an answer that cannot be TLS, 16 at most; `None` while it may still be.
pub fn not_tls(bytes: &[u8]) -> Option<&[u8]> {
    match record::front(bytes) {
        Front::Garbage => Some(&bytes[..bytes.len().min(16)]),
        Front::Record(_) | Front::Partial => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_HELLO: u8 = 1;
    const SERVER_HELLO: u8 = 2;
    const CERTIFICATE: u8 = 11;
    const CERTIFICATE_REQUEST: u8 = 13;

    /// The random of a HelloRetryRequest (RFC 8446, section 4.1.3).
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = (body.len() as u32).to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    fn record(payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [&[record::HANDSHAKE, 3, 3][..], &length, payload].concat()
    }

    /// Of TLS 1.3, with one suite, and `h2` as the only application protocol.
    fn client_hello() -> Vec<u8> {
        let alpn = [0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
        let versions = [0, 43, 0, 3, 2, 3, 4];
        let fixed = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0, 0, 16]].concat();
        message(CLIENT_HELLO, &[&fixed[..], &alpn, &versions].concat())
    }

    fn server_hello(random: [u8; 32], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
        let length = (extensions.len() as u16).to_be_bytes();
        let body = [&[3, 3][..], &random, &[0], &suite, &[0], &length, extensions].concat();
        message(SERVER_HELLO, &body)
    }

    fn observer(side: Side, payloads: &[&[u8]]) -> Observer {
        let mut observer = Observer::new(side);
        for payload in payloads {
            observer.incoming(&record(payload));
        }
        observer
    }

    fn chosen(observer: &Observer) -> Option<(Option<ProtocolVersion>, u16)> {
        observer.server_hello().map(|hello| (hello.version, hello.cipher_suite.number()))
    }

    /// RFC 5246, section 7.4.1.1: may come at any time, and is ignored during a handshake.
    #[test]
    fn a_hello_request_hides_no_server_hello() {
        let request = message(0, &[]);
        let hello = server_hello([7; 32], [0xc0, 0x2f], &[]);
        let told = Some((Some(ProtocolVersion::Tls12), 0xc02f));
        assert_eq!(chosen(&observer(Side::Client, &[&request, &hello])), told);
        assert_eq!(chosen(&observer(Side::Client, &[&[request, hello].concat()])), told);
    }

    #[test]
    fn a_hello_retry_request_tells_what_the_server_stays_with() {
        let selects = [0, 51, 0, 2, 0, 0x17, 0, 43, 0, 2, 3, 4];
        let retry = server_hello(RETRY, [0x13, 0x02], &selects);
        let told = Some((Some(ProtocolVersion::Tls13), 0x1302));
        // And then nothing.
        assert_eq!(chosen(&observer(Side::Client, &[&retry])), told);
        let hello = server_hello([7; 32], [0x13, 0x02], &[0, 43, 0, 2, 3, 4]);
        assert_eq!(chosen(&observer(Side::Client, &[&retry, &hello])), told);
    }

    #[test]
    fn a_client_hello_in_three_records_is_put_together() {
        let hello = client_hello();
        // The first one is not even a header.
        for (a, b) in [(1, 2), (3, 5), (4, 40), (hello.len() - 2, hello.len() - 1)] {
            let mut observer = observer(Side::Server, &[&hello[..a], &hello[a..b]]);
            assert!(observer.awaits_client_hello(), "cut at {a} and {b}");
            assert_eq!(observer.client_hello(), None);
            observer.incoming(&record(&hello[b..]));
            assert!(!observer.awaits_client_hello(), "cut at {a} and {b}");
            let hello = observer.client_hello().unwrap();
            assert_eq!(hello.alpn, [b"h2"]);
            assert_eq!(hello.versions, [ProtocolVersion::Tls13]);
        }
    }

    /// A header says how long its message is, and that no more than the first bytes of it.
    #[test]
    fn a_client_hello_too_long_to_keep_is_not_waited_for() {
        let longest = (MAX_FLIGHT - MESSAGE_HEADER) as u32;
        for (claimed, awaited) in [(longest, true), (longest + 1, false), (0xff_ffff, false)] {
            let [_, a, b, c] = claimed.to_be_bytes();
            let observer = observer(Side::Server, &[&[CLIENT_HELLO, a, b, c]]);
            assert_eq!(observer.awaits_client_hello(), awaited, "{claimed} bytes");
            assert_eq!(observer.client_hello(), None);
        }
    }

    #[test]
    fn a_flight_too_long_to_keep_still_tells_how_it_began() {
        let hello = server_hello([7; 32], [0xc0, 0x2f], &[]);
        let long = message(CERTIFICATE, &[0; 0x3f00]);
        let mut payloads = vec![hello.as_slice()];
        payloads.extend([long.as_slice()].repeat(2 * MAX_FLIGHT / long.len()));
        let request = message(CERTIFICATE_REQUEST, &[0, 0, 0, 0]);
        payloads.push(&request);
        let observer = observer(Side::Client, &payloads);
        assert_eq!(chosen(&observer), Some((Some(ProtocolVersion::Tls12), 0xc02f)));
        assert!(observer.incoming.bytes.len() <= MAX_FLIGHT, "{observer:?}");
        assert!(!observer.certificate_requested(), "what was not kept is told");
    }

    #[test]
    fn a_first_message_that_cannot_be_parsed_is_for_the_library() {
        let broken = message(CLIENT_HELLO, &[3]);
        let server = observer(Side::Server, &[&broken, &client_hello()]);
        assert!(!server.awaits_client_hello());
        assert_eq!(server.client_hello(), None);
        let broken = message(SERVER_HELLO, &[3]);
        let hello = server_hello([7; 32], [0xc0, 0x2f], &[]);
        assert_eq!(chosen(&observer(Side::Client, &[&broken, &hello])), None);
    }
}
