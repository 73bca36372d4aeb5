//! A server that cuts its tickets into several records, as it may (RFC 8446, section 5.1; clause W3 of the
//! contract). OpenSSL writes nothing between two of them. No backend sends such tickets, so the peer is a
//! bare rustls.
#![expect(clippy::unwrap_used, reason = "this is test code: a panic fails the test")]

#[path = "support/bare_rustls.rs"]
mod bare_rustls;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use polytls::{
    Backend, Capability, ClientContext, ErrorKind, Phase, ProtocolVersion, TlsStream,
    UpgradeOptions, ssl_client_upgrade,
};
use polytls_conformance::bench::trust_only;
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::sessions::records;
use polytls_conformance::transport::tcp_pair;
use polytls_conformance::{expect_kind, watchdog};
use rustls::Connection;

/// With the rest of the ticket, writing goes on.
#[test]
fn writing_waits_for_the_rest() {
    for_each_backend(|context| {
        let (mut client, rest) = client_with_part_of_a_ticket(context);
        drop(rest);
        client.write_all(b"after the ticket").unwrap();
        client.close().unwrap();
    });
}

/// The rest never comes: to write, the outer connection waits for input, and the deadline of the inner
/// one's handshake holds for that as well.
#[test]
fn the_deadline_inside_holds_without_the_rest() {
    for_each_backend(|context| {
        let (outer, _rest) = client_with_part_of_a_ticket(context);
        let options = UpgradeOptions::new().context(context.clone());
        let inner = ssl_client_upgrade(outer, NAME, options.timeout(Duration::from_millis(60)));
        expect_kind(inner, ErrorKind::Timeout(Phase::Handshake)).unwrap();
    });
}

fn for_each_backend(test: fn(&ClientContext)) {
    let able = |it: &&&dyn Backend| it.capabilities().has(Capability::ClientTls13);
    for backend in polytls::backend::all().iter().filter(able) {
        let context = ClientContext::builder()
            .backend(*backend)
            .trust(trust_only(pki::standard().root.der()))
            .min_version(ProtocolVersion::Tls13)
            .build()
            .unwrap();
        let test = move || {
            test(&context);
            Ok(())
        };
        watchdog::run(backend.name(), watchdog::LIMIT, test).unwrap();
    }
}

/// A client that has taken the first piece of a ticket; the rest comes when the sender is dropped.
fn client_with_part_of_a_ticket(
    context: &ClientContext,
) -> (TlsStream<TcpStream>, mpsc::Sender<()>) {
    let (near, far) = tcp_pair();
    let (rest, rest_is_wanted) = mpsc::channel();
    let (part, part_was_sent) = mpsc::channel::<()>();
    thread::spawn(move || serve(far, part, &rest_is_wanted));
    let options = UpgradeOptions::new().context(context.clone());
    let mut client = ssl_client_upgrade(near, NAME, options).unwrap();
    let _ = part_was_sent.recv();
    client.get_ref().set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    expect_kind(client.read(&mut [0; 8]), ErrorKind::Timeout(Phase::Read)).unwrap();
    client.get_ref().set_read_timeout(None).unwrap();
    (client, rest)
}

/// Shakes hands, sends the first piece of the first ticket, and the rest when it is wanted.
fn serve(mut socket: TcpStream, part: mpsc::Sender<()>, rest_is_wanted: &mpsc::Receiver<()>) {
    let mut server = bare_rustls::server(Some(64));
    let mut output = Vec::new();
    while server.is_handshaking() {
        server.read_tls(&mut socket).unwrap();
        server.process_new_packets().unwrap();
        if server.is_handshaking() {
            take_output(&mut server, &mut output);
            socket.write_all(&output).unwrap();
            output.clear();
        }
    }
    take_output(&mut server, &mut output);
    let pieces = records(&output);
    assert!(pieces.len() > 2, "the tickets are whole");
    socket.write_all(pieces[0]).unwrap();
    drop(part);
    let _ = rest_is_wanted.recv();
    let _ = socket.write_all(&pieces[1..].concat());
    // Until the client is gone.
    while matches!(socket.read(&mut [0; 4096]), Ok(n) if n > 0) {}
}

fn take_output(server: &mut Connection, output: &mut Vec<u8>) {
    while server.wants_write() {
        server.write_tls(output).unwrap();
    }
}
