//! Clauses of the contract that hold below the facade, on sessions and wires alone.

use polytls::contract::{ClientConfig, Handshake, Read, Wire};
use polytls::{
    Capability, CertificateReason, Connection, ErrorKind, Identity, IdentityReason, ServerContext,
    ServerName,
};

use crate::pki::{self, Algorithm, Leaf, NAME};
use crate::sessions::{Sessions, records};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("contract::start_is_silent", start_is_silent)
        .holds(&["C2"])
        .each_client()
        .no_transport(),
    Case::new("contract::needs_input_is_exact", needs_input_is_exact).holds(&["S1"]).no_transport(),
    Case::new("contract::alert_is_queued_with_the_error", alert_is_queued)
        .holds(&["S3"])
        .no_transport(),
    Case::new("contract::alert_is_queued_after_garbage_in_bulk", garbage_in_bulk).no_transport(),
    Case::new("contract::failed_stays_failed", failed_stays_failed)
        .holds(&["S4"])
        .transports(&[crate::transport::Transport::Whole, crate::transport::Transport::Tokio]),
    Case::new("contract::late_error_is_told_again", late_error_is_told_again)
        .holds(&["S6"])
        .no_transport(),
    Case::new("contract::handshake_again", handshake_again).holds(&["H1"]).no_transport(),
    Case::new("contract::written_is_queued", written_is_queued).holds(&["W2"]).no_transport(),
    Case::new("contract::facts_before_the_handshake", facts_before_the_handshake).no_transport(),
    Case::new("contract::bounds_of_the_exporter", bounds_of_the_exporter)
        .client_needs(Capability::Exporter)
        .server_needs(Capability::Exporter)
        .no_transport(),
    Case::new("contract::close_twice_is_close_once", close_twice).no_transport(),
    Case::new("contract::close_in_the_handshake", close_in_the_handshake)
        .holds(&["L2"])
        .no_transport(),
    Case::new("contract::key_mismatch_names_the_leaf", key_mismatch_names_the_leaf)
        .each_server()
        .any_version()
        .no_transport(),
    Case::new("contract::backend_is_told", backend_is_told).no_transport(),
];

fn start_is_silent(bench: &Bench) -> Result<(), Failure> {
    let config = ClientConfig::default()
        .with_trust(crate::bench::trust_only(pki::standard().root.der()))
        .with_min_version(bench.version())
        .with_max_version(bench.version());
    let connector = config.connector(bench.client_backend())?;
    let mut session = connector.start(&ServerName::parse(NAME)?)?;
    let mut wire = Wire::default();
    ensure!(wire.output().is_empty(), "spoke before it was asked");
    ensure_eq!(session.handshake(&mut wire)?, Handshake::NeedsInput);
    ensure_eq!(records(wire.output()).len(), 1, "one ClientHello");
    Ok(())
}

/// With a record cut in two, nothing is taken, and the session asks for more; with the rest of it,
/// the session goes on. No ciphertext stays in the session.
fn needs_input_is_exact(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::start(bench)?;
    let (mut near, mut far) = (Handshake::NeedsInput, Handshake::NeedsInput);
    for _ in 0..8 {
        if near == Handshake::NeedsInput {
            near = pair.client.handshake()?;
            ensure!(!pair.client.wire.has_record() || near == Handshake::Done, "client: {near:?}");
        }
        for record in records(&pair.client.output()) {
            let (head, tail) = record.split_at(record.len() / 2);
            pair.server.wire.incoming().push(head);
            if far == Handshake::NeedsInput {
                ensure_eq!(pair.server.handshake()?, Handshake::NeedsInput);
                ensure_eq!(pair.server.wire.input(), head);
            }
            pair.server.wire.incoming().push(tail);
            if far == Handshake::NeedsInput {
                far = pair.server.handshake()?;
                ensure!(
                    far == Handshake::Done || !pair.server.wire.has_record(),
                    "asks for input with a record at hand"
                );
            }
        }
        pair.to_client();
    }
    ensure_eq!((near, far), (Handshake::Done, Handshake::Done));
    pair.client.read_all()?;
    ensure!(!pair.client.wire.has_record(), "a record is left and input asked for");
    Ok(())
}

/// The alert is in the wire when the call that failed returns, and tells the peer why.
fn alert_is_queued(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().expired().issued_by(&pki::standard().root);
    let mut pair = Sessions::start_with(bench, &server)?;
    let refusal = loop {
        if let Err(error) = pair.client.handshake() {
            break error;
        }
        pair.to_server();
        pair.server.handshake()?;
        pair.to_client();
    };
    ensure_eq!(refusal.kind(), ErrorKind::Certificate(CertificateReason::Expired));
    ensure!(!pair.client.wire.output().is_empty(), "no alert");
    pair.to_server();
    let told = match pair.server.handshake() {
        // In TLS 1.2 the server still waits; in TLS 1.3 too, since the client's end is missing.
        Ok(outcome) => return Err(Failure::new(format!("no alert came, but {outcome:?}"))),
        Err(error) => error,
    };
    ensure!(matches!(told.kind(), ErrorKind::CertificateRejected(_)), "{told:?}");
    ensure!(told.alert().is_some(), "{told:?}");
    Ok(())
}

/// The content type (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// A header that no record has, and more behind it than any library takes at once: judged by its
/// header, and answered. While the handshake is under way, and after it.
fn garbage_in_bulk(bench: &Bench) -> Result<(), Failure> {
    let garbage = crate::cases::hostile::garbage(20_000);
    let mut client = Sessions::start(bench)?.client;
    client.handshake()?;
    client.output();
    client.wire.incoming().push(&garbage);
    expect_kind(client.handshake(), ErrorKind::Protocol)?;
    ensure!(matches!(records(client.wire.output())[..], [[ALERT, ..]]), "no alert");

    for client_fails in [true, false] {
        let Sessions { client, server } = Sessions::connected(bench)?;
        let (mut near, mut far) = if client_fails { (client, server) } else { (server, client) };
        near.wire.incoming().push(&garbage);
        expect_kind(near.read(&mut [0; 8]), ErrorKind::Protocol)?;
        far.wire.incoming().push(near.wire.output());
        let told = crate::expect_error(far.read(&mut [0; 8]))?;
        ensure!(told.alert().is_some(), "no alert, but {told:?}");
    }
    Ok(())
}

/// A failure is final: later calls return it again (lapin#237).
fn failed_stays_failed(bench: &Bench) -> Result<(), Failure> {
    use std::io::{Read as _, Write as _};
    let server = Leaf::server().issued_by(&pki::standard().stranger);
    let kind = ErrorKind::Certificate(CertificateReason::UnknownIssuer);
    let (client, server) = (bench.client().build()?, bench.server_with(&server).build()?);
    bench.run(
        &client,
        &server,
        |client| {
            let first = expect_kind(client.handshake(), kind)?;
            for _ in 0..2 {
                let again = expect_kind(client.handshake(), kind)?;
                ensure_eq!(again.to_string(), first.to_string());
                expect_kind(client.read(&mut [0; 8]), kind)?;
                expect_kind(client.write(b"x"), kind)?;
                expect_kind(client.close(), kind)?;
            }
            Ok(())
        },
        |server| {
            let first = crate::expect_error(server.read(&mut [0; 8]))?;
            let again = crate::expect_error(server.read(&mut [0; 8]))?;
            ensure_eq!(first.kind(), again.kind());
            Ok(())
        },
    )?;
    Ok(())
}

/// An alert that is read together with data comes after it, and then from every call.
fn late_error_is_told_again(bench: &Bench) -> Result<(), Failure> {
    for client_hears in [true, false] {
        let Sessions { client, server } = Sessions::connected(bench)?;
        let (mut near, mut far) = if client_hears { (client, server) } else { (server, client) };
        far.write(b"data")?;
        far.wire.incoming().push(&crate::cases::hostile::garbage(64));
        expect_kind(far.read(&mut [0; 8]), ErrorKind::Protocol)?;
        near.wire.incoming().push(far.wire.output());
        ensure_eq!(near.read(&mut [0; 8])?, Read::Data { n: 4, more: true });
        let told = crate::expect_error(near.write(b"more"))?;
        ensure!(told.alert().is_some(), "no alert, but {told:?}");
        let queued = near.output();
        for _ in 0..2 {
            for again in
                [near.write(b"more").map(drop), near.close(), near.read(&mut [0; 8]).map(drop)]
            {
                let again = expect_kind(again, told.kind())?;
                ensure_eq!(again.to_string(), told.to_string());
            }
        }
        ensure_eq!(near.output(), queued);
    }
    Ok(())
}

fn handshake_again(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    for _ in 0..2 {
        for side in [&mut pair.client, &mut pair.server] {
            ensure_eq!(side.handshake()?, Handshake::Done);
            ensure!(side.wire.output().is_empty(), "spoke again");
        }
    }
    Ok(())
}

/// Whole records, at once: the peer can read everything that was taken.
fn written_is_queued(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    for length in [1, 1000, 16 << 10, 40_000] {
        let data = crate::bench::pattern(length);
        let n = pair.client.write(&data)?;
        ensure_eq!(n, length, "there was room");
        let output = pair.client.wire.output();
        ensure_eq!(records(output).concat().len(), output.len(), "whole records");
        pair.to_server();
        let (got, ended) = pair.server.read_all()?;
        ensure!(got == data && !ended, "{} of {length} bytes arrived", got.len());
    }
    Ok(())
}

/// Before the handshake is done nothing is told, not even what the library would guess.
fn facts_before_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let mut client = Connection::client(&client, &ServerName::parse(NAME)?)?;
    let server = Connection::server(&server)?;
    client.handshake()?;
    for connection in [&client, &server] {
        ensure!(connection.is_handshaking(), "done before it began");
        ensure_eq!(connection.negotiated(), None);
        ensure!(connection.peer_certificates().is_empty(), "knows a peer before it came");
        let exported = connection.export_keying_material(&mut [0; 8], b"EXPORTER-suite", None);
        expect_kind(exported, ErrorKind::Config)?;
    }
    Ok(())
}

/// Two connections whose handshake is done.
fn open(bench: &Bench) -> Result<[Connection; 2], Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let mut client = Connection::client(&client, &ServerName::parse(NAME)?)?;
    let mut server = Connection::server(&server)?;
    while client.is_handshaking() || server.is_handshaking() {
        client.handshake()?;
        server.received_before(client.output());
        client.sent(client.output().len());
        server.handshake()?;
        client.received_before(server.output());
        server.sent(server.output().len());
    }
    Ok([client, server])
}

/// At its bounds the exporter works the same on both ends; beyond them it refuses.
fn bounds_of_the_exporter(bench: &Bench) -> Result<(), Failure> {
    const LABEL: &[u8] = b"EXPORTER-suite";
    let ends = open(bench)?;
    let (longest_label, longest_context) = ([b'x'; 249], [7; 709]);
    for (label, context, length) in [
        (&longest_label[..], Some(&longest_context[..]), 255 * 32),
        (b"x", Some(b""), 1),
        (LABEL, None, 65),
    ] {
        let [mut near, mut far] = [vec![0; length], vec![0; length]];
        ends[0].export_keying_material(&mut near, label, context)?;
        ends[1].export_keying_material(&mut far, label, context)?;
        ensure!(near == far, "{length} bytes differ");
    }
    for end in &ends {
        for (label, context, length) in [
            (&b""[..], None, 32),
            (&[b'x'; 250], None, 32),
            ("EXPORTER-\u{fc}".as_bytes(), None, 32),
            (b"EXPORTER-\xff", None, 32),
            (b"key expansion", None, 32),
            (b"master secret of mine", None, 32),
            (LABEL, Some(&[7; 710][..]), 32),
            (LABEL, None, 0),
            (LABEL, None, 255 * 32 + 1),
        ] {
            let exported = end.export_keying_material(&mut vec![0; length], label, context);
            expect_kind(exported, ErrorKind::Config)?;
        }
    }
    Ok(())
}

fn close_twice(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    pair.client.close()?;
    let once = pair.client.wire.output().len();
    pair.client.close()?;
    ensure_eq!(pair.client.wire.output().len(), once);
    ensure_eq!(records(pair.client.wire.output()).len(), 1);
    pair.to_server();
    ensure_eq!(pair.server.read(&mut [0; 8])?, Read::Closed);
    Ok(())
}

/// Before the handshake is done there is nothing to end, and it goes on.
fn close_in_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::start(bench)?;
    for done in [false, false, false, true] {
        let near = pair.client.handshake()?;
        pair.to_server();
        let far = pair.server.handshake()?;
        pair.to_client();
        if (near, far) == (Handshake::Done, Handshake::Done) {
            break;
        }
        ensure!(!done, "the handshake comes to no end");
        for (side, outcome) in [(&mut pair.client, near), (&mut pair.server, far)] {
            if outcome == Handshake::NeedsInput {
                side.close()?;
                ensure!(side.wire.output().is_empty(), "said goodbye to a stranger");
            }
        }
    }
    pair.client.close()?;
    pair.to_server();
    ensure_eq!(pair.server.read(&mut [0; 8])?, Read::Closed);
    Ok(())
}

/// In the same words, whichever library compared the keys: by its names, or by its subject.
fn key_mismatch_names_the_leaf(bench: &Bench) -> Result<(), Failure> {
    let other = pki::Key::generate(Algorithm::P256).pkcs8_pem();
    for (leaf, name) in [
        (Leaf::unnamed().dns("shop.test").dns("www.shop.test"), "shop.test, www.shop.test"),
        (Leaf::client("Shop"), "CN=Shop"),
    ] {
        let chain = leaf.issued_by(&pki::standard().root).chain_pem();
        let identity = Identity::from_bytes(chain.as_bytes(), other.as_bytes())?;
        let server = ServerContext::builder(identity).backend(bench.server_backend());
        let error = expect_kind(server.build(), ErrorKind::Identity(IdentityReason::KeyMismatch))?;
        let whose = error.to_string().rsplit_once(": ").map(|(_, whose)| whose.to_owned());
        ensure_eq!(whose.as_deref(), Some(name));
    }
    Ok(())
}

fn backend_is_told(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    ensure_eq!(client.backend().name(), bench.client_backend().name());
    ensure_eq!(server.backend().name(), bench.server_backend().name());
    // The other end is dropped at once.
    let (gone, _) = crate::transport::pipe(crate::transport::Delivery::Whole);
    let options = polytls::UpgradeOptions::new().context(client);
    let error = crate::expect_error(polytls::ssl_client_upgrade(gone, NAME, options))?;
    ensure_eq!(error.backend(), Some(bench.client_backend().name()));
    // Also of what the contract itself answers, for a library that cannot.
    for (end, backend) in open(bench)?.iter().zip([bench.client_backend(), bench.server_backend()])
    {
        if !backend.capabilities().has(Capability::Exporter) {
            let exported = end.export_keying_material(&mut [0; 8], b"EXPORTER-suite", None);
            let error = expect_kind(exported, ErrorKind::Unsupported(Capability::Exporter))?;
            ensure_eq!(error.backend(), Some(backend.name()));
        }
    }
    Ok(())
}
