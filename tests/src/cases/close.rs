//! The end of a connection: clean, half, cut short.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use polytls::contract::Read;
use polytls::{ErrorKind, Phase, Socket, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade};

use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::sessions::Sessions;
use crate::transport::{Delivery, PipeOptions, pipe, pipe_with};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("close::clean", clean),
    Case::new("close::half_close", half_close).holds(&["L1"]),
    Case::new("close::server_half_close", server_half_close),
    Case::new("close::truncated_data", truncated_data).holds(&["S2"]),
    Case::new("close::truncated_by_half", truncated_by_half).one_of_each(),
    Case::new("close::truncated_within_a_record", truncated_within_a_record).no_transport(),
    Case::new("close::truncated_handshake", truncated_handshake),
    Case::new("close::truncated_handshake_of_a_client", truncated_handshake_of_a_client),
    Case::new("close::truncation_tolerated", truncation_tolerated),
    Case::new("close::tolerance_ends_within_a_record", tolerance_ends_within_a_record)
        .no_transport(),
    Case::new("close::reset", reset).no_transport(),
    Case::new("close::data_and_close_together", data_and_close_together).holds(&["R2"]),
    Case::new("close::read_after_close_notify", read_after_close_notify)
        .holds(&["R3"])
        .no_transport(),
    Case::new("close::end_is_told_again", end_is_told_again).one_of_each(),
    Case::new("close::write_after_close", write_after_close).one_of_each(),
    Case::new("close::both_at_once", both_at_once),
    Case::new("close::dropped", dropped),
    Case::new("close::dropped_with_unsent_data", dropped_with_unsent_data).no_transport(),
    Case::new("close::dropped_in_a_panic", dropped_in_a_panic).no_transport(),
    Case::new("close::a_client_that_only_writes", a_client_that_only_writes).one_of_each(),
    Case::new("close::before_the_handshake", before_the_handshake).one_of_each(),
];

fn clean(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"ping")?;
            ensure_eq!(client.read_all()?, b"pong");
            Ok(client.close()?)
        },
        |server| {
            ensure_eq!(server.hear(4)?, b"ping");
            server.say(b"pong")?;
            server.close_write()?;
            ensure_eq!(server.read(&mut [0; 8])?, 0);
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// After one's own close_notify, everything of the peer still arrives.
fn half_close(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let answer = pattern(100_000);
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"all I have")?;
            client.close_write()?;
            ensure!(client.read_all()? == answer, "the answer is not whole");
            Ok(())
        },
        |server| {
            ensure_eq!(server.read_all()?, b"all I have");
            server.say(&answer)?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

fn server_half_close(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let question = pattern(100_000);
    bench.run(
        &client,
        &server,
        |client| {
            ensure_eq!(client.read_all()?, b"no more from me");
            client.say(&question)?;
            Ok(client.close()?)
        },
        |server| {
            server.say(b"no more from me")?;
            server.close_write()?;
            ensure!(server.read_all()? == question, "the question is not whole");
            Ok(())
        },
    )?;
    Ok(())
}

/// The end of the transport is not the end of the data.
fn truncated_data(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let kind = ErrorKind::Truncated(Phase::Read);
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"?")?;
            ensure_eq!(client.hear(5)?, b"part ");
            let error = expect_kind(client.read(&mut [0; 8]), kind)?;
            ensure!(error.is_ssl_error(), "{error:?}");
            expect_kind(client.read(&mut [0; 8]), kind)?;
            Ok(())
        },
        |server| {
            server.hear(1)?;
            server.say(b"part ")?;
            Ok(server.kill_write()?)
        },
    )?;
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"part ")?;
            client.hear(1)?;
            Ok(client.kill_write()?)
        },
        |server| {
            ensure_eq!(server.hear(5)?, b"part ");
            server.say(b"!")?;
            expect_kind(server.read(&mut [0; 8]), kind)?;
            Ok(())
        },
    )?;
    Ok(())
}

/// A peer that ended its write side only still hears us.
fn truncated_by_half(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.handshake()?;
            client.hear(1)?;
            expect_kind(client.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        |server| {
            server.say(b"!")?;
            server.kill_write()?;
            // The failed reader ends its side; whatever way, it is an end or an error, not a hang.
            let _ = server.read(&mut [0; 8]);
            Ok(())
        },
    )?;
    Ok(())
}

/// The end at every byte of a data record.
fn truncated_within_a_record(bench: &Bench) -> Result<(), Failure> {
    cut_within_a_record(bench, false)
}

/// Tolerance is for an end between records; a record cut in two is never an end.
fn tolerance_ends_within_a_record(bench: &Bench) -> Result<(), Failure> {
    cut_within_a_record(bench, true)
}

fn cut_within_a_record(bench: &Bench, tolerant: bool) -> Result<(), Failure> {
    let builder = bench.client();
    let builder = if tolerant { builder.tolerate_truncation() } else { builder };
    let (context, server) = (builder.build()?, bench.server().build()?);
    for cut in 1..40 {
        let (near, far) = pipe(Delivery::Whole);
        let sent = far.outgoing();
        both(
            || {
                let options = UpgradeOptions::new().context(context.clone());
                let mut client = ssl_client_upgrade(near, NAME, options)?;
                client.write_all(b"?")?;
                client.read_exact(&mut [0; 1])?;
                client.write_all(b"?")?;
                let outcome = client.read(&mut [0; 64]);
                expect_kind(outcome, ErrorKind::Truncated(Phase::Read))
                    .map_err(|failure| failure.at(format_args!("cut at {cut}")))?;
                Ok(())
            },
            || {
                let mut server = ssl_server_upgrade(far, &server)?;
                server.read_exact(&mut [0; 1])?;
                server.write_all(b"!")?;
                server.read_exact(&mut [0; 1])?;
                // The record is longer than the cut: at least 40 bytes with header and tag.
                sent.cut_at(sent.passed().len() + cut);
                server.write_all(&[b'x'; 40])?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn truncated_handshake(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    bench.client_against(
        &client,
        |client| {
            let kind = ErrorKind::Truncated(Phase::Handshake);
            expect_kind(client.handshake(), kind)?;
            Ok(())
        },
        |peer| {
            // Takes the ClientHello first: a socket closed with unread bytes would reset.
            peer.recv(&mut [0; 4096])?;
            Ok(peer.shutdown(Shutdown::Write)?)
        },
    )?;
    Ok(())
}

fn truncated_handshake_of_a_client(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().build()?;
    bench.server_against(
        &server,
        |peer| {
            peer.send(&[22, 3, 1, 2, 0, 1, 0])?;
            Ok(peer.shutdown(Shutdown::Write)?)
        },
        |server| {
            expect_kind(server.handshake(), ErrorKind::Truncated(Phase::Handshake))?;
            Ok(())
        },
    )?;
    bench.server_against(
        &server,
        |peer| Ok(peer.shutdown(Shutdown::Write)?),
        |server| {
            expect_kind(server.handshake(), ErrorKind::Truncated(Phase::Handshake))?;
            Ok(())
        },
    )?;
    Ok(())
}

fn truncation_tolerated(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().tolerate_truncation().build()?;
    let server = bench.server().tolerate_truncation().build()?;
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"?")?;
            ensure_eq!(client.read_all()?, b"old peer");
            Ok(client.kill()?)
        },
        |server| {
            server.hear(1)?;
            server.say(b"old peer")?;
            server.kill_write()?;
            ensure!(server.read_all()?.is_empty(), "data out of nothing");
            Ok(())
        },
    )?;
    Ok(())
}

/// A reset is an end without close_notify.
fn reset(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe(Delivery::Whole);
    let to_client = far.outgoing();
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            expect_kind(client.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            to_client.wait_until_idle();
            to_client.reset();
            Ok(())
        },
    )?;
    Ok(())
}

/// A close_notify that was decrypted together with data must not be lost behind it.
fn data_and_close_together(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    for length in [1, 100, 16 << 10, 40_000] {
        let data = pattern(length);
        bench.run(
            &client,
            &server,
            |client| {
                client.say(b"?")?;
                let mut got = Vec::new();
                let mut buf = [0; 77];
                loop {
                    match client.read(&mut buf)? {
                        0 => break,
                        n => got.extend_from_slice(&buf[..n]),
                    }
                }
                ensure!(got == data, "{} of {length} bytes", got.len());
                Ok(client.close()?)
            },
            |server| {
                server.hear(1)?;
                server.write_all(&data)?;
                Ok(server.close()?)
            },
        )?;
        close_behind_data(bench, &data)?;
    }
    Ok(())
}

/// The same on the sessions: with everything in the wire at once, `more` leads to the end.
fn close_behind_data(bench: &Bench, data: &[u8]) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    ensure_eq!(pair.server.write(data)?, data.len());
    pair.server.close()?;
    pair.to_client();
    let (mut got, mut buf) = (0, vec![0; 100]);
    loop {
        match pair.client.read(&mut buf)? {
            Read::Data { n, more } => {
                got += n;
                // Asked for again only when something is there: what the facade does.
                if !more && !pair.client.wire.has_record() {
                    return Err(Failure::new(format!("no word of the end after {got} bytes")));
                }
            }
            Read::NeedsInput => return Err(Failure::new(format!("waits after {got} bytes"))),
            Read::Closed => break,
        }
    }
    ensure_eq!(got, data.len());
    Ok(())
}

fn read_after_close_notify(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    pair.server.close()?;
    pair.to_client();
    pair.client.close()?;
    pair.to_server();
    for side in [&mut pair.client, &mut pair.server] {
        for _ in 0..3 {
            let mut buf = [0xa5; 32];
            ensure_eq!(side.read(&mut buf)?, Read::Closed);
            ensure_eq!(buf, [0xa5; 32], "the buffer was touched");
            ensure!(side.wire.output().is_empty(), "an answer to close_notify was queued");
        }
    }
    Ok(())
}

fn end_is_told_again(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"?")?;
            ensure!(client.read_all()?.is_empty(), "no data was sent");
            for _ in 0..3 {
                ensure_eq!(client.read(&mut [0; 8])?, 0);
            }
            Ok(client.close()?)
        },
        |server| {
            server.hear(1)?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

fn write_after_close(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.handshake()?;
            client.close_write()?;
            let error = expect_kind(client.write(b"x"), ErrorKind::Closed)?;
            ensure!(!error.is_ssl_error(), "{error:?}");
            // Reading is not over, and closing again is no error.
            ensure_eq!(client.read_all()?, b"late");
            client.close_write()?;
            Ok(client.close()?)
        },
        |server| {
            ensure!(server.read_all()?.is_empty(), "nothing was sent");
            server.say(b"late")?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

fn both_at_once(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            Ok(client.close()?)
        },
        |server| {
            server.answer()?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// Everything written has left, so a drop can say goodbye without waiting.
fn dropped(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"?")?;
            ensure_eq!(client.read_all()?, b"bye");
            Ok(())
        },
        |server| {
            server.hear(1)?;
            Ok(server.say(b"bye")?)
        },
    )?;
    Ok(())
}

/// With output that could not leave, a goodbye would be a lie.
fn dropped_with_unsent_data(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
    let to_client = far.outgoing();
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.write_all(b"?")?;
            // Reads only once the server is gone.
            to_client.wait_until_ended();
            let mut all = Vec::new();
            let outcome = client.read_to_end(&mut all);
            expect_kind(outcome, ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.read_exact(&mut [0; 1])?;
            server.get_ref().set_write_timeout(Some(Duration::from_millis(5)))?;
            while server.write(&[0; 16 << 10]).is_ok() {}
            Ok(())
        },
    )?;
    Ok(())
}

/// What was being written may be half of what was meant.
fn dropped_in_a_panic(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.write_all(b"?")?;
            let outcome = client.read_to_end(&mut Vec::new());
            expect_kind(outcome, ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"half of what")?;
            let owner = std::panic::AssertUnwindSafe(move || {
                let _server = server;
                // Without a message: a panic hook would only confuse the reader of a log.
                std::panic::resume_unwind(Box::new(()));
            });
            ensure!(std::panic::catch_unwind(owner).is_err(), "no panic");
            Ok(())
        },
    )?;
    Ok(())
}

/// The session tickets that a TLS 1.3 client never reads make the kernel reset the connection, and
/// the server lose what the client wrote, unless close drains.
fn a_client_that_only_writes(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let data = pattern(3_000_000);
    bench.run(
        &client,
        &server,
        |client| {
            client.write_all(&data)?;
            Ok(client.close()?)
        },
        |server| {
            ensure!(server.read_all()? == data, "data lost");
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// There is nothing to say, and the peer learns that there will be nothing.
fn before_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    bench.client_against(
        &client,
        |client| Ok(client.kill()?),
        |peer| {
            while !matches!(peer.recv(&mut [0; 64]), Ok(0) | Err(_)) {}
            Ok(())
        },
    )?;
    Ok(())
}
