//! Peers that do not speak TLS, or abuse it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;

use polytls::{Alert, Connection, Error, ErrorKind, Phase, Progress, ServerName, StreamSocket};

use crate::pki::NAME;
use crate::sessions::records;
use crate::transport::Transport;
use crate::{Bench, Case, Endpoint, Failure, ensure, ensure_eq, expect_error, expect_kind};

const fn against_client(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_client().any_version()
}

const fn against_server(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_server().any_version()
}

pub(super) const CASES: &[Case] = &[
    against_client("hostile::smtp_greeting", smtp_greeting),
    against_client("hostile::http_answer", http_answer),
    against_client("hostile::one_byte_and_no_more", one_byte_and_no_more),
    against_client("hostile::binary_garbage", binary_garbage).one_of_each(),
    against_server("hostile::http_request", http_request),
    against_server("hostile::ssl2_hello", ssl2_hello),
    against_server("hostile::garbage_to_a_server", garbage_to_a_server).one_of_each(),
    against_client("hostile::oversized_record", oversized_record).one_of_each(),
    against_client("hostile::message_of_no_kind", message_of_no_kind).one_of_each(),
    against_client("hostile::record_out_of_place", record_out_of_place).one_of_each(),
    against_client("hostile::alerts_in_clear", alerts_in_clear).one_of_each(),
    against_client("hostile::goodbye_in_the_handshake", goodbye_in_the_handshake).one_of_each(),
    Case::new("hostile::goodbye_after_the_hellos", goodbye_after_the_hellos).no_transport(),
    against_server("hostile::alert_before_the_hello", alert_before_the_hello).one_of_each(),
    against_server("hostile::endless_hello", endless_hello).one_of_each(),
    against_server("hostile::hello_that_claims_too_much", hello_that_claims_too_much).one_of_each(),
    against_server("hostile::empty_records", empty_records).one_of_each(),
    Case::new("hostile::hello_in_many_records", hello_in_many_records).in_memory(),
    Case::new("hostile::garbage_record", garbage_record).one_of_each(),
    Case::new("hostile::oversized_record_of_data", oversized_record_of_data).one_of_each(),
    Case::new("hostile::garbage_in_bulk", garbage_in_bulk).one_of_each(),
    Case::new("hostile::plaintext_within_tls", plaintext_within_tls).one_of_each(),
    Case::new("hostile::failure_is_told_again", failure_is_told_again).one_of_each(),
];

/// What a client makes of a peer that takes its ClientHello and then says this, and no more.
fn client_hears(bench: &Bench, answer: &[u8]) -> Result<Error, Failure> {
    let context = bench.client().build()?;
    let (error, ()) = bench.client_against(
        &context,
        |client| expect_error(client.handshake()),
        |peer| {
            peer.recv(&mut [0; 16 << 10])?;
            say(peer, answer);
            Ok(())
        },
    )?;
    Ok(error)
}

/// What a server makes of a peer that says this, and no more.
fn server_hears(bench: &Bench, hello: &[u8]) -> Result<Error, Failure> {
    let context = bench.server().build()?;
    let ((), error) = bench.server_against(
        &context,
        |peer| {
            say(peer, hello);
            Ok(())
        },
        |server| expect_error(server.handshake()),
    )?;
    Ok(error)
}

/// Says everything and then listens to the end, so that no reset takes words away. Whoever has
/// heard enough may hang up.
fn say(peer: &dyn StreamSocket, mut words: &[u8]) {
    while !words.is_empty() {
        match peer.send(words) {
            Ok(n) => words = &words[n..],
            Err(_) => return,
        }
    }
    let _ = peer.shutdown(Shutdown::Write);
    while matches!(peer.recv(&mut [0; 16 << 10]), Ok(n) if n > 0) {}
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind) -> Result<(), Failure> {
    expect_kind(Err::<(), _>(error.clone()), kind).map(drop)
}

fn is_not_tls(error: &Error, first_bytes: &[u8]) -> Result<(), Failure> {
    is(error, ErrorKind::PeerNotTls)?;
    ensure!(error.is_ssl_error(), "{error:?}");
    ensure_eq!(error.first_bytes().map(|bytes| bytes.escape_ascii().to_string()), {
        Some(first_bytes.escape_ascii().to_string())
    });
    // A person sees what it was, and a terminal nothing that it obeys.
    let text = error.to_string();
    ensure!(text.contains(&first_bytes.escape_ascii().to_string()), "{text}");
    ensure!(!text.contains(char::is_control), "{text:?}");
    Ok(())
}

/// How many bytes of the answer are shown, by how much came at once.
fn shown<'a>(bench: &Bench, answer: &'a [u8]) -> &'a [u8] {
    let came = if bench.transport() == Transport::Bytewise { 5 } else { 16 };
    &answer[..answer.len().min(came)]
}

/// A server that speaks first: the port of a mail server (imap#161).
fn smtp_greeting(bench: &Bench) -> Result<(), Failure> {
    const GREETING: &[u8] = b"220 mail.example ESMTP ready\r\n";
    let context = bench.client().build()?;
    let (error, ()) = bench.client_against(
        &context,
        |client| expect_error(client.handshake()),
        |peer| {
            say(peer, GREETING);
            Ok(())
        },
    )?;
    is_not_tls(&error, shown(bench, GREETING))
}

/// A plain web server, which answers the ClientHello (minreq#48).
fn http_answer(bench: &Bench) -> Result<(), Failure> {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    is_not_tls(&client_hears(bench, ANSWER)?, shown(bench, ANSWER))
}

fn one_byte_and_no_more(bench: &Bench) -> Result<(), Failure> {
    is_not_tls(&client_hears(bench, b"S")?, b"S")
}

fn binary_garbage(bench: &Bench) -> Result<(), Failure> {
    is_not_tls(&client_hears(bench, b"\0\x01\x1b[2J\x7f\xff\n")?, b"\0\x01\x1b[2J\x7f\xff\n")
}

/// A plain client at a TLS port.
fn http_request(bench: &Bench) -> Result<(), Failure> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: server.polytls.test\r\n\r\n";
    is_not_tls(&server_hears(bench, REQUEST)?, shown(bench, REQUEST))
}

/// The ClientHello of SSL 2, which OpenSSL still reads: its first bit marks a length, not a record.
fn ssl2_hello(bench: &Bench) -> Result<(), Failure> {
    let hello = [
        0x80, 0x1c, 1, 3, 3, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7,
    ];
    is_not_tls(&server_hears(bench, &hello)?, shown(bench, &hello))
}

fn garbage_to_a_server(bench: &Bench) -> Result<(), Failure> {
    is_not_tls(&server_hears(bench, b"SSH-2.0-client\r\n")?, b"SSH-2.0-client\r\n")?;
    // A record of SSL 2's major version, and a proxy's preface in binary.
    is_not_tls(&server_hears(bench, &[22, 2, 0, 0, 1, 0])?, &[22, 2, 0, 0, 1, 0])?;
    is_not_tls(&server_hears(bench, b"\r\n\r\n\0\r\nQUIT\n")?, b"\r\n\r\n\0\r\nQUIT\n")
}

/// No record is so long (RFC 8446, section 5.2), so nobody waits for its end.
fn oversized_record(bench: &Bench) -> Result<(), Failure> {
    is_not_tls(&client_hears(bench, &[22, 3, 3, 0xff, 0xff, 2])?, &[22, 3, 3, 0xff, 0xff, 2])
}

fn message_of_no_kind(bench: &Bench) -> Result<(), Failure> {
    is(&client_hears(bench, &[22, 3, 3, 0, 8, 99, 0, 0, 4, 1, 2, 3, 4])?, ErrorKind::Protocol)
}

/// Data, and a ClientHello, where a ServerHello has to come.
fn record_out_of_place(bench: &Bench) -> Result<(), Failure> {
    is(&client_hears(bench, &[23, 3, 3, 0, 4, 1, 2, 3, 4])?, ErrorKind::Protocol)?;
    is(&client_hears(bench, &[22, 3, 3, 0, 4, 1, 0, 0, 0])?, ErrorKind::Protocol)
}

fn alert(level: u8, alert: Alert) -> [u8; 7] {
    [21, 3, 3, 0, 2, level, alert.number()]
}

/// What a server says instead of a ServerHello.
fn alerts_in_clear(bench: &Bench) -> Result<(), Failure> {
    for (number, kind) in [
        (Alert::HANDSHAKE_FAILURE, ErrorKind::NoCommonCipherSuite),
        (Alert::PROTOCOL_VERSION, ErrorKind::NoCommonVersion),
        (Alert::INSUFFICIENT_SECURITY, ErrorKind::NoCommonCipherSuite),
        (Alert::NO_APPLICATION_PROTOCOL, ErrorKind::NoCommonAlpn),
        (Alert::UNRECOGNIZED_NAME, ErrorKind::Alert(Alert::UNRECOGNIZED_NAME)),
        (Alert::INTERNAL_ERROR, ErrorKind::Alert(Alert::INTERNAL_ERROR)),
        (Alert::DECODE_ERROR, ErrorKind::Alert(Alert::DECODE_ERROR)),
        (Alert::new(250), ErrorKind::Alert(Alert::new(250))),
    ] {
        let error = client_hears(bench, &alert(2, number))?;
        is(&error, kind).map_err(|failure| failure.at(number))?;
        ensure_eq!(error.alert(), Some(number));
    }
    Ok(())
}

/// Goodbye before there is a connection: it ends, and is no success.
fn goodbye_in_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().build()?;
    bench.client_against(
        &context,
        |client| {
            expect_kind(client.handshake(), ErrorKind::Truncated(Phase::Handshake))?;
            Ok(())
        },
        |peer| {
            peer.recv(&mut [0; 16 << 10])?;
            peer.send(&alert(1, Alert::CLOSE_NOTIFY))?;
            // Until the client hangs up.
            while matches!(peer.recv(&mut [0; 64]), Ok(n) if n > 0) {}
            Ok(())
        },
    )?;
    Ok(())
}

/// Goodbye in clear when both hellos are there, where TLS 1.3 expects no other word in clear.
fn goodbye_after_the_hellos(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let mut client = Connection::client(&client, &ServerName::parse(NAME)?)?;
    let mut server = Connection::server(&server)?;
    client.handshake()?;
    server.received_before(client.output());
    server.handshake()?;
    // The ServerHello, and in TLS 1.2 whatever shares its record.
    client.received_before(records(server.output())[0]);
    ensure_eq!(client.handshake()?, Progress::NeedsInput);
    for end in [&mut client, &mut server] {
        end.received_before(&alert(1, Alert::CLOSE_NOTIFY));
        expect_kind(end.handshake(), ErrorKind::Truncated(Phase::Handshake))?;
    }
    Ok(())
}

/// A client that gives up at once, and stays on the line: the server does not wait for its hello.
fn alert_before_the_hello(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().build()?;
    bench.server_against(
        &context,
        |peer| {
            peer.send(&alert(2, Alert::INTERNAL_ERROR))?;
            // Until the server hangs up.
            while matches!(peer.recv(&mut [0; 64]), Ok(n) if n > 0) {}
            Ok(())
        },
        |server| {
            let kind = ErrorKind::Alert(Alert::INTERNAL_ERROR);
            expect_kind(server.handshake(), kind)?;
            Ok(())
        },
    )?;
    Ok(())
}

/// A ClientHello that claims sixteen megabytes: the server gives up long before.
fn endless_hello(bench: &Bench) -> Result<(), Failure> {
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff, 3, 3]);
    record.resize(5 + 0x4000, 0);
    let mut continued = vec![22, 3, 3, 0x40, 0];
    continued.resize(5 + 0x4000, 0);
    for _ in 0..100 {
        record.extend_from_slice(&continued);
    }
    is(&server_hears(bench, &record)?, ErrorKind::Protocol)
}

/// A ClientHello that claims more than any library takes, from a client that waits for an answer: its
/// header is enough to refuse it, long before the deadline.
fn hello_that_claims_too_much(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().handshake_timeout(super::deadline::LONG).build()?;
    for claimed in [0x03, 0xff] {
        bench.server_against(
            &context,
            |peer| {
                peer.send(&[22, 3, 3, 0, 6, 1, claimed, 0, 0, 3, 3])?;
                // Until the server hangs up.
                while matches!(peer.recv(&mut [0; 64]), Ok(n) if n > 0) {}
                Ok(())
            },
            |server| {
                expect_kind(server.handshake(), ErrorKind::Protocol)?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Records without content cost the sender little.
fn empty_records(bench: &Bench) -> Result<(), Failure> {
    is(&server_hears(bench, &[22, 3, 3, 0, 0].repeat(100_000))?, ErrorKind::Protocol)
}

/// A ClientHello of more than one record: unusual, and right (RFC 8446, section 5.1).
fn hello_in_many_records(bench: &Bench) -> Result<(), Failure> {
    let many: Vec<String> = (0..100).map(|i| format!("{i:0>250}")).collect();
    let client = bench.client().alpn(many).build()?;
    bench.connects(&client, &bench.server().build()?)?;
    Ok(())
}

/// Both ends once connected, with these bytes put between the records of either.
fn injected(bench: &Bench, bytes: &[u8], kind: ErrorKind) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            expect_kind(client.read(&mut [0; 64]), kind)?;
            Ok(())
        },
        |server| {
            server.answer()?;
            server.inject(bytes)?;
            // Until the client hangs up.
            let _ = server.read(&mut [0; 64]);
            Ok(())
        },
    )?;
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            client.inject(bytes)?;
            let _ = client.read(&mut [0; 64]);
            Ok(())
        },
        |server| {
            server.answer()?;
            expect_kind(server.read(&mut [0; 64]), kind)?;
            Ok(())
        },
    )?;
    Ok(())
}

fn garbage_record(bench: &Bench) -> Result<(), Failure> {
    let mut record = vec![23, 3, 3, 0, 40];
    record.resize(5 + 40, 0xa5);
    injected(bench, &record, ErrorKind::Protocol)
}

fn oversized_record_of_data(bench: &Bench) -> Result<(), Failure> {
    injected(bench, &[23, 3, 3, 0xff, 0xff, 1], ErrorKind::Protocol)
}

/// Bytes that no record begins with, so many.
pub(super) fn garbage(length: usize) -> Vec<u8> {
    let mut garbage = vec![23, 3, 3, 0xff, 0xff];
    garbage.resize(length, 0);
    garbage
}

/// More garbage at once than a library takes: the peer is told what is wrong all the same.
fn garbage_in_bulk(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    // Stays until the other end has heard why: a socket that is closed with garbage unread resets the
    // connection, whatever was said before.
    let fails = |end: &mut Endpoint, heard: mpsc::Receiver<()>| {
        expect_kind(end.read(&mut [0; 64]), ErrorKind::Protocol)?;
        let _ = heard.recv();
        Ok(())
    };
    let is_told = |end: &mut Endpoint, hears: mpsc::Sender<()>| {
        end.inject(&garbage(20_000))?;
        let told = expect_error(end.read(&mut [0; 64]))?;
        drop(hears);
        ensure!(told.alert().is_some(), "no alert, but {told:?}");
        Ok(())
    };
    let (hears, heard) = mpsc::channel();
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            fails(client, heard)
        },
        |server| {
            server.answer()?;
            is_told(server, hears)
        },
    )?;
    let (hears, heard) = mpsc::channel();
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            is_told(client, hears)
        },
        |server| {
            server.answer()?;
            fails(server, heard)
        },
    )?;
    Ok(())
}

fn plaintext_within_tls(bench: &Bench) -> Result<(), Failure> {
    injected(bench, b"220 ready again\r\n", ErrorKind::Protocol)
}

/// A failed connection stays failed, and says why each time (lapin#237).
fn failure_is_told_again(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            for _ in 0..2 {
                expect_kind(client.read(&mut [0; 64]), ErrorKind::Protocol)?;
                expect_kind(client.write(b"more"), ErrorKind::Protocol)?;
                expect_kind(client.flush(), ErrorKind::Protocol)?;
                expect_kind(client.handshake(), ErrorKind::Protocol)?;
                expect_kind(client.close(), ErrorKind::Protocol)?;
            }
            Ok(())
        },
        |server| {
            server.answer()?;
            server.inject(b"not TLS")?;
            let _ = server.read(&mut [0; 64]);
            Ok(())
        },
    )?;
    Ok(())
}
