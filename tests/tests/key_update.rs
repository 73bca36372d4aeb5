//! A peer that asks for new keys again and again (RFC 8446, section 4.6.3). No backend offers its
//! users to ask for them, so the peer is a bare rustls.
#![expect(clippy::unwrap_used, reason = "this is test code: a panic fails the test")]

#[path = "support/bare_rustls.rs"]
mod bare_rustls;

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use polytls::contract::Wire;
use polytls::{
    Backend, Capability, ClientContext, ErrorKind, ProtocolVersion, ServerContext, StreamSocket,
    TlsStream, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};
use polytls_conformance::bench::trust_only;
use polytls_conformance::expect_kind;
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::transport::tcp_pair;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore};

/// More than a library has to take without data between them, and, with the answers to them, more
/// than a connection may hold back.
const FLOOD: usize = 10_000;

/// The limit of the output with one record, and an answer to each record that the incoming buffer
/// holds: one call of a library may take them all.
const MOST_WAITING: usize = Wire::LIMIT + (17 << 10) + (128 << 10);

#[test]
fn a_server_survives_a_flood() {
    for backend in able(Capability::ServerTls13) {
        let (near, far) = tcp_pair();
        let identity = pki::standard().server.identity();
        let context = ServerContext::builder(identity).backend(backend).build().unwrap();
        let flooding = thread::spawn(|| flood(client(), near));
        let mut server = ssl_server_upgrade(far, &context).unwrap();
        survives_or_refuses(&mut server);
        drop(server);
        flooding.join().unwrap();
    }
}

#[test]
fn a_client_survives_a_flood() {
    for backend in able(Capability::ClientTls13) {
        let (near, far) = tcp_pair();
        let context = ClientContext::builder()
            .backend(backend)
            .trust(trust_only(pki::standard().root.der()))
            .min_version(ProtocolVersion::Tls13)
            .build()
            .unwrap();
        let flooding = thread::spawn(|| flood(bare_rustls::server(None), far));
        let options = UpgradeOptions::new().context(context);
        let mut client = ssl_client_upgrade(near, NAME, options).unwrap();
        survives_or_refuses(&mut client);
        drop(client);
        flooding.join().unwrap();
    }
}

/// Some libraries refuse a flood, others go on; each answer that is asked for takes room, and none
/// is held back without bound.
fn survives_or_refuses<S: StreamSocket>(stream: &mut TlsStream<S>) {
    match stream.read(&mut [0; 64]) {
        Ok(n) => assert_eq!(n, 0, "data that nobody sent"),
        outcome => {
            expect_kind(outcome, ErrorKind::Protocol).unwrap();
        }
    }
    let waiting = stream.with_connection(|connection| connection.output().len());
    assert!(waiting <= MOST_WAITING, "{waiting} bytes wait to be sent");
}

fn able(capability: Capability) -> impl Iterator<Item = &'static dyn Backend> {
    let able = move |it: &&dyn Backend| it.capabilities().has(capability);
    polytls::backend::all().iter().copied().filter(able)
}

/// Asks for new keys until the other end has had enough.
fn flood(mut peer: Connection, mut socket: TcpStream) {
    while peer.is_handshaking() {
        peer.complete_io(&mut socket).unwrap();
    }
    for _ in 0..FLOOD {
        let _ = peer.refresh_traffic_keys();
        while peer.wants_write() {
            if peer.write_tls(&mut socket).is_err() {
                return;
            }
        }
    }
    peer.send_close_notify();
    while peer.wants_write() && peer.write_tls(&mut socket).is_ok() {}
    // Takes the answers, until the other end is gone.
    while matches!(socket.read(&mut [0; 4096]), Ok(n) if n > 0) {}
}

fn client() -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(pki::standard().root.der().to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = NAME.try_into().unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap().into()
}
