//! Data: whatever is written arrives, in order, once.

use std::io::{Read as _, Write as _};
use std::thread;

use polytls::contract::{Read, Wire};
use polytls::{UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade};
use socket2::SockRef;

use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::sessions::Sessions;
use crate::transport::{Carrier, Pipe, PipeOptions, Transport, pipe_with, tcp_pair};
use crate::{Bench, Case, Failure, ensure, ensure_eq};

pub(super) const CASES: &[Case] = &[
    Case::new("data::sizes", sizes),
    Case::new("data::many_small_writes", many_small_writes).one_of_each(),
    Case::new("data::server_speaks_first", server_speaks_first),
    Case::new("data::many_records", many_records).holds(&["R1"]).no_transport(),
    Case::new("data::small_reads", small_reads).no_transport(),
    Case::new("data::full_buffer_then_other_bytes", full_buffer_then_other_bytes)
        .holds(&["W1"])
        .no_transport(),
    Case::new("data::output_is_bounded", output_is_bounded).no_transport(),
    Case::new("data::both_ways_at_once", both_ways_at_once)
        .transports(&[Transport::Whole, Transport::Tcp]),
    Case::new("data::both_write_before_they_read", both_write_before_they_read).no_transport(),
    Case::new("data::empty_write", empty_write).one_of_each(),
    Case::new("data::empty_buffer", empty_buffer).one_of_each(),
    Case::new("data::vectored", vectored).in_memory(),
];

/// Around the length of a record, which is 16 KiB at most.
fn sizes(bench: &Bench) -> Result<(), Failure> {
    const RECORD: usize = 16 << 10;
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let lengths = [1, 2, 100, RECORD - 1, RECORD, RECORD + 1, 3 * RECORD, 3 * RECORD + 7];
    bench.run(
        &client,
        &server,
        |client| {
            for length in lengths {
                let data = pattern(length);
                client.say(&data)?;
                ensure!(client.hear(length)? == data, "{length} bytes came back otherwise");
            }
            Ok(client.close()?)
        },
        |server| {
            for length in lengths {
                let data = server.hear(length)?;
                ensure!(data == pattern(length), "{length} bytes came otherwise");
                server.say(&data)?;
            }
            ensure!(server.read_all()?.is_empty(), "more than was sent");
            Ok(())
        },
    )?;
    Ok(())
}

fn many_small_writes(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let data = pattern(2000);
    bench.run(
        &client,
        &server,
        |client| {
            for byte in data.chunks(1) {
                client.write_all(byte)?;
            }
            Ok(client.close()?)
        },
        |server| {
            ensure!(server.read_all()? == data, "not what was written");
            Ok(())
        },
    )?;
    Ok(())
}

fn server_speaks_first(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            ensure_eq!(client.hear(8)?, b"greeting");
            Ok(client.close()?)
        },
        |server| {
            server.say(b"greeting")?;
            ensure!(server.read_all()?.is_empty(), "nothing was said");
            Ok(())
        },
    )?;
    Ok(())
}

/// One read takes what several records hold.
fn many_records(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    for part in [&b"one "[..], b"two ", b"three"] {
        pair.client.write(part)?;
    }
    pair.to_server();
    let mut buf = [0; 64];
    match pair.server.read(&mut buf)? {
        Read::Data { n, .. } => ensure_eq!(&buf[..n], b"one two three"),
        other => return Err(Failure::new(format!("{other:?}"))),
    }
    ensure_eq!(pair.server.read(&mut buf)?, Read::NeedsInput);
    Ok(())
}

/// What does not fit stays inside, and `more` says so.
fn small_reads(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    let data = pattern(1000);
    ensure_eq!(pair.server.write(&data)?, 1000);
    pair.to_client();
    let mut got = Vec::new();
    let mut buf = [0; 7];
    while got.len() < data.len() {
        match pair.client.read(&mut buf)? {
            Read::Data { n, more } => {
                got.extend_from_slice(&buf[..n]);
                let last = got.len() == data.len();
                let reachable = more || pair.client.wire.has_record();
                ensure!(last || reachable, "denies what is left after {} bytes", got.len());
            }
            other => return Err(Failure::new(format!("{other:?} after {} bytes", got.len()))),
        }
    }
    ensure!(got == data, "not what was written");
    Ok(())
}

/// A library that is told to wait keeps the record that it could not send, and sends *that* when it
/// is called with other bytes. So without room it is not called.
fn full_buffer_then_other_bytes(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    let data = pattern(200_000);
    let mut taken = 0;
    loop {
        match pair.client.write(&data[taken..])? {
            0 => break,
            n => taken += n,
        }
        ensure!(taken <= Wire::LIMIT, "took {taken} bytes, {} is the limit", Wire::LIMIT);
    }
    ensure!(pair.client.wire.room() == 0, "took nothing although there is room");
    let queued = pair.client.wire.output().to_vec();
    ensure_eq!(pair.client.write(&data[taken..])?, 0);
    ensure!(pair.client.wire.output() == queued, "something was queued without room");
    pair.to_server();
    // Other, and shorter.
    ensure_eq!(pair.client.write(b"other")?, 5);
    pair.to_server();
    let (got, _) = pair.server.read_all()?;
    ensure_eq!(got.len(), taken + 5);
    ensure!(got[..taken] == data[..taken] && &got[taken..] == b"other", "not what was taken");
    Ok(())
}

fn output_is_bounded(bench: &Bench) -> Result<(), Failure> {
    let mut pair = Sessions::connected(bench)?;
    let data = pattern(17_000);
    for side in [&mut pair.client, &mut pair.server] {
        while side.write(&data)? > 0 {}
        // The limit, one record, and what each record has around it.
        let bound = Wire::LIMIT + (16 << 10) + 4096;
        ensure!(side.wire.output().len() <= bound, "{} bytes queued", side.wire.output().len());
    }
    Ok(())
}

/// Ten megabytes each way through tiny buffers, with the halves on two threads: whoever writes must
/// not keep who reads from going on (openssl#7948).
fn both_ways_at_once(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = small_pair(bench.transport())?;
    let data = pattern(10 << 20);
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            exchange(ssl_client_upgrade(near.into_stream(), NAME, options)?, &data)
        },
        || exchange(ssl_server_upgrade(far.into_stream(), &server)?, &data),
    )?;
    Ok(())
}

fn small_pair(transport: Transport) -> Result<(Carrier, Carrier), Failure> {
    if transport == Transport::Tcp {
        let (near, far) = tcp_pair();
        for end in [&near, &far] {
            // Smaller ones run into the kernel's persist timer.
            SockRef::from(end).set_send_buffer_size(16 << 10)?;
            SockRef::from(end).set_recv_buffer_size(64 << 10)?;
        }
        return Ok((Carrier::Tcp(near), Carrier::Tcp(far)));
    }
    let (near, far) = small_pipe();
    Ok((Carrier::Pipe(near), Carrier::Pipe(far)))
}

fn small_pipe() -> (Pipe, Pipe) {
    pipe_with(PipeOptions { capacity: 4096, ..PipeOptions::default() })
}

fn exchange<S: polytls::StreamSocket>(
    stream: polytls::TlsStream<S>,
    data: &[u8],
) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.into_halves()?;
    thread::scope(|scope| {
        let writing = scope.spawn(move || -> Result<_, Failure> {
            writer.write_all(data)?;
            writer.close()?;
            Ok(writer)
        });
        let mut got = Vec::with_capacity(data.len());
        let reading = reader.read_to_end(&mut got);
        let writer = writing.join().map_err(|_| Failure::new("the writer panicked"))??;
        reading?;
        ensure!(got == data, "{} bytes, not as written", got.len());
        ensure!(reader.reunite(writer).is_ok(), "the halves are of one stream");
        Ok(())
    })
}

/// Tickets and data cross: neither side reads before it has written what the transport holds.
fn both_write_before_they_read(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions { capacity: 128 << 10, ..PipeOptions::default() });
    let data = pattern(60_000);
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.write_all(&data)?;
            let mut got = vec![0; data.len()];
            client.read_exact(&mut got)?;
            ensure!(got == data, "not what the server wrote");
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.write_all(&data)?;
            let mut got = vec![0; data.len()];
            server.read_exact(&mut got)?;
            ensure!(got == data, "not what the client wrote");
            Ok(server)
        },
    )?;
    Ok(())
}

fn empty_write(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            ensure_eq!(client.write(b"")?, 0);
            client.say(b"x")?;
            ensure_eq!(client.write(b"")?, 0);
            client.say(b"y")?;
            Ok(client.close()?)
        },
        |server| {
            ensure_eq!(server.read_all()?, b"xy");
            Ok(())
        },
    )?;
    Ok(())
}

/// Nothing is asked for, so nothing is waited for; and it is not taken for an end.
fn empty_buffer(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            client.handshake()?;
            ensure_eq!(client.read(&mut [])?, 0);
            client.say(b"?")?;
            ensure_eq!(client.hear(1)?, b"!");
            Ok(client.close()?)
        },
        |server| {
            server.hear(1)?;
            ensure_eq!(server.read(&mut [])?, 0);
            server.say(b"!")?;
            ensure!(server.read_all()?.is_empty(), "nothing was sent");
            Ok(())
        },
    )?;
    Ok(())
}

fn vectored(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.run(
        &client,
        &server,
        |client| {
            let parts = [&b"one "[..], b"", b"two ", b"three"].map(std::io::IoSlice::new);
            let n = client.write_vectored(&parts)?;
            ensure!(n > 0, "took nothing");
            client.write_all(&b"one two three"[n..])?;
            Ok(client.close()?)
        },
        |server| {
            ensure_eq!(server.read_all()?, b"one two three");
            Ok(())
        },
    )?;
    Ok(())
}
