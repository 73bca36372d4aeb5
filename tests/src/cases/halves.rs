//! Halves: two threads at one connection, neither waiting for the other.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use polytls::{
    ErrorKind, Phase, ReadHalf, StreamSocket, TlsStream, UpgradeOptions, WriteHalf,
    ssl_client_upgrade, ssl_server_upgrade,
};

use crate::bench::both;
use crate::pki::NAME;
use crate::transport::{
    Delivery, Fuses, Panicky, PipeOptions, Transport, pipe, pipe_with, tcp_pair,
};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

const BLOCKING: &[Transport] = &[Transport::Whole, Transport::Tcp];

pub(super) const CASES: &[Case] = &[
    Case::new("halves::writing_while_reading_waits", writing_while_reading_waits)
        .transports(BLOCKING),
    Case::new("halves::reading_while_writing_waits", reading_while_writing_waits).no_transport(),
    Case::new("halves::reunite", reunite).transports(BLOCKING),
    Case::new("halves::of_two_streams", of_two_streams).no_transport(),
    Case::new("halves::close_of_one", close_of_one).transports(BLOCKING),
    Case::new("halves::one_dropped", one_dropped).transports(BLOCKING),
    Case::new("halves::timeouts", timeouts).transports(BLOCKING),
    Case::new("halves::failure_is_told_to_both", failure_is_told_to_both).transports(BLOCKING),
    Case::new("halves::truncation", truncation).transports(BLOCKING),
    Case::new("halves::panic_while_sending", panic_while_sending).transports(BLOCKING),
    Case::new("halves::panic_while_receiving", panic_while_receiving).transports(BLOCKING),
    Case::new("halves::panic_while_another_waits", panic_while_another_waits).transports(BLOCKING),
    Case::new("halves::handshake_comes_first", handshake_comes_first).no_transport(),
    Case::new("halves::socket", socket).each_client().any_version().no_transport(),
    Case::new("halves::shared_stream", shared_stream).transports(BLOCKING),
];

type Socket = Box<dyn StreamSocket>;
type Halves = (ReadHalf<Socket>, WriteHalf<Socket>);

/// Runs a client of two halves against a server of one stream.
fn run(
    bench: &Bench,
    client_script: impl FnOnce(Halves) -> Result<(), Failure> + Send,
    server_script: impl FnOnce(TlsStream<Socket>) -> Result<(), Failure> + Send,
) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client_script(client.into_halves()?)
        },
        || server_script(ssl_server_upgrade(far.into_stream(), &server)?),
    )?;
    Ok(())
}

/// The answer is to what is written while the reader waits for it (native-tls#206).
fn writing_while_reading_waits(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            thread::scope(|scope| {
                let reading = scope.spawn(move || -> Result<_, Failure> {
                    let mut all = Vec::new();
                    reader.read_to_end(&mut all)?;
                    Ok(all)
                });
                for i in 0..10_u8 {
                    writer.write_all(&[i])?;
                }
                writer.close()?;
                let all = reading.join().map_err(|_| Failure::new("the reader panicked"))??;
                ensure_eq!(all, (0..10).map(|i| i + 100).collect::<Vec<u8>>());
                Ok(())
            })
        },
        |mut server| {
            for _ in 0..10 {
                let mut byte = [0];
                server.read_exact(&mut byte)?;
                server.write_all(&[byte[0] + 100])?;
            }
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(server.close()?)
        },
    )
}

/// A writer that the peer keeps waiting holds no lock that a reader needs.
fn reading_while_writing_waits(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
    const WRITTEN: usize = 200_000;
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let (mut reader, mut writer) =
                ssl_client_upgrade(near, NAME, options)?.into_halves()?;
            thread::scope(|scope| {
                let writing = scope.spawn(move || -> Result<(), Failure> {
                    writer.write_all(&[7; WRITTEN])?;
                    Ok(writer.close()?)
                });
                for i in 0..100_u8 {
                    let mut byte = [0];
                    reader.read_exact(&mut byte)?;
                    ensure_eq!(byte, [i]);
                }
                // Only now does the server read.
                ensure_eq!(reader.read(&mut [0; 1])?, 0);
                writing.join().map_err(|_| Failure::new("the writer panicked"))?
            })
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            for i in 0..100_u8 {
                server.write_all(&[i])?;
            }
            server.close_write()?;
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all.len(), WRITTEN);
            Ok(())
        },
    )?;
    Ok(())
}

fn reunite(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            writer.write_all(b"in ")?;
            reader.read_exact(&mut [0; 3])?;
            let Ok(mut client) = reader.reunite(writer) else {
                return Err(Failure::new("the halves are of one stream"));
            };
            client.write_all(b"one")?;
            client.read_exact(&mut [0; 3])?;
            Ok(client.close()?)
        },
        |mut server| {
            for word in [b"in ", b"one"] {
                let mut got = [0; 3];
                server.read_exact(&mut got)?;
                ensure_eq!(&got, word);
                server.write_all(&got)?;
            }
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(())
        },
    )
}

/// Halves that do not belong together are given back, and are as good as before.
fn of_two_streams(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let ((near, far), (other_near, other_far)) = (pipe(Delivery::Whole), pipe(Delivery::Whole));
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let one = ssl_client_upgrade(near, NAME, options.clone())?.into_halves()?;
            let other = ssl_client_upgrade(other_near, NAME, options)?.into_halves()?;
            let Err((reader, other_writer)) = one.0.reunite(other.1) else {
                return Err(Failure::new("one stream of two"));
            };
            for ((mut reader, mut writer), word) in
                [((reader, one.1), b"one"), ((other.0, other_writer), b"two")]
            {
                writer.write_all(word)?;
                reader.read_exact(&mut [0; 3])?;
            }
            Ok(())
        },
        || {
            let mut one = ssl_server_upgrade(far, &server)?;
            let mut other = ssl_server_upgrade(other_far, &server)?;
            for (stream, word) in [(&mut one, b"one"), (&mut other, b"two")] {
                let mut got = [0; 3];
                stream.read_exact(&mut got)?;
                ensure_eq!(&got, word);
                stream.write_all(&got)?;
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// One direction ends, the other goes on.
fn close_of_one(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            writer.write_all(b"all I have")?;
            writer.close()?;
            writer.close()?;
            expect_kind(writer.write(b"x"), ErrorKind::Closed)?;
            let mut all = Vec::new();
            reader.read_to_end(&mut all)?;
            ensure_eq!(all, b"and all the rest");
            Ok(())
        },
        |mut server| {
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all, b"all I have");
            server.write_all(b"and all the rest")?;
            Ok(server.close()?)
        },
    )
}

/// The connection lives as long as one of its halves, and then says goodbye.
fn one_dropped(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(reader, mut writer)| {
            drop(reader);
            writer.write_all(b"still here")?;
            writer.flush()?;
            drop(writer);
            Ok(())
        },
        |mut server| {
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all, b"still here");
            Ok(())
        },
    )?;
    run(
        bench,
        |(mut reader, writer)| {
            drop(writer);
            let mut all = Vec::new();
            reader.read_to_end(&mut all)?;
            ensure_eq!(all, b"heard");
            Ok(())
        },
        |mut server| {
            server.write_all(b"heard")?;
            Ok(server.close()?)
        },
    )
}

fn timeouts(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            reader.get_ref().set_read_timeout(Some(Duration::from_millis(5)))?;
            expect_kind(reader.read(&mut [0; 8]), ErrorKind::Timeout(Phase::Read))?;
            writer.write_all(b"?")?;
            reader.get_ref().set_read_timeout(None)?;
            reader.read_exact(&mut [0; 1])?;
            Ok(writer.close()?)
        },
        |mut server| {
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(())
        },
    )
}

/// What one half finds out, the other need not find out again.
fn failure_is_told_to_both(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            writer.write_all(b"?")?;
            reader.read_exact(&mut [0; 1])?;
            expect_kind(reader.read(&mut [0; 8]), ErrorKind::Protocol)?;
            expect_kind(writer.write(b"more"), ErrorKind::Protocol)?;
            expect_kind(writer.flush(), ErrorKind::Protocol)?;
            expect_kind(writer.close(), ErrorKind::Protocol)?;
            expect_kind(reader.read(&mut [0; 8]), ErrorKind::Protocol)?;
            Ok(())
        },
        |mut server| {
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            server.get_ref().send(b"garbage")?;
            let _ = server.read(&mut [0; 8]);
            Ok(())
        },
    )
}

fn truncation(bench: &Bench) -> Result<(), Failure> {
    run(
        bench,
        |(mut reader, mut writer)| {
            writer.write_all(b"?")?;
            reader.read_exact(&mut [0; 1])?;
            expect_kind(reader.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        |mut server| {
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            Ok(server.get_ref().shutdown(std::net::Shutdown::Write)?)
        },
    )
}

/// A socket that panics while it sends: no call waits for the end of that send.
fn panic_while_sending(bench: &Bench) -> Result<(), Failure> {
    over_a_panicky_socket(bench, |fuses, reader, writer| {
        fuses.light_send();
        ensure!(panics(|| writer.write(b"?")), "the socket did not panic");
        is_over(reader, writer)
    })
}

fn panic_while_receiving(bench: &Bench) -> Result<(), Failure> {
    over_a_panicky_socket(bench, |fuses, reader, writer| {
        fuses.light_recv();
        ensure!(panics(|| reader.read(&mut [0; 8])), "the socket did not panic");
        is_over(reader, writer)
    })
}

/// A reader that waits for a silent peer when the writer's socket panics does not wait on.
fn panic_while_another_waits(bench: &Bench) -> Result<(), Failure> {
    over_a_panicky_socket(bench, |fuses, reader, writer| {
        thread::scope(|scope| {
            let reading = scope.spawn(|| reader.read(&mut [0; 8]));
            fuses.light_send();
            ensure!(panics(|| writer.write(b"?")), "the socket did not panic");
            let read = reading.join().map_err(|_| Failure::new("the reader panicked"))?;
            expect_kind(read, ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        })
    })
}

/// Runs two halves over a socket that panics when it is told to. The peer is silent and waits for the
/// end, which comes without a goodbye: nobody knows how much has left.
fn over_a_panicky_socket(
    bench: &Bench,
    client_script: impl FnOnce(
        &Fuses,
        &mut ReadHalf<Panicky>,
        &mut WriteHalf<Panicky>,
    ) -> Result<(), Failure>
    + Send,
) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    both(
        || {
            let (near, fuses) = Panicky::new(near.into_stream());
            let options = UpgradeOptions::new().context(context);
            let (mut reader, mut writer) =
                ssl_client_upgrade(near, NAME, options)?.into_halves()?;
            client_script(&fuses, &mut reader, &mut writer)
        },
        || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            expect_kind(server.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
    )?;
    Ok(())
}

/// Whether this panics, on a thread of its own.
fn panics<T: Send>(call: impl FnOnce() -> T + Send) -> bool {
    thread::scope(|scope| scope.spawn(call).join().is_err())
}

/// What a thread finds that comes after another one's panic.
fn is_over(reader: &mut ReadHalf<Panicky>, writer: &mut WriteHalf<Panicky>) -> Result<(), Failure> {
    expect_kind(writer.flush(), ErrorKind::Io)?;
    expect_kind(writer.write(b"?"), ErrorKind::Io)?;
    expect_kind(reader.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
    // That ends the connection for good.
    expect_kind(writer.write(b"?"), ErrorKind::Truncated(Phase::Read))?;
    Ok(())
}

/// A lazy stream finishes its handshake before it is split, and a failed one is not split.
fn handshake_comes_first(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = tcp_pair();
    let lazy = |socket| {
        let once = crate::transport::Once::new(Box::new(socket));
        polytls::TlsListener::new(once, server.clone()).accept()
    };
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.read_exact(&mut [0; 1])?;
            Ok(client.close()?)
        },
        || {
            let (reader, mut writer) = lazy(far)?.0.into_halves()?;
            writer.write_all(b"!")?;
            writer.close()?;
            drop(reader);
            Ok(())
        },
    )?;
    let (near, far) = tcp_pair();
    near.send(b"not TLS")?;
    expect_kind(lazy(far)?.0.into_halves(), ErrorKind::PeerNotTls)?;
    Ok(())
}

/// The socket can be looked at through all of them.
fn socket(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = tcp_pair();
    let address = near.local_addr()?;
    let (done, wait) = mpsc::channel::<()>();
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let client = ssl_client_upgrade(near, NAME, options)?;
            ensure_eq!(client.get_ref().local_addr()?, address);
            #[cfg(unix)]
            {
                use std::os::fd::{AsFd as _, AsRawFd as _};
                ensure_eq!(client.as_fd().as_raw_fd(), client.get_ref().as_raw_fd());
                ensure_eq!(client.as_raw_fd(), client.get_ref().as_raw_fd());
            }
            let (reader, writer) = client.into_halves()?;
            ensure_eq!(reader.get_ref().local_addr()?, address);
            ensure_eq!(writer.get_ref().local_addr()?, address);
            let client = reader.reunite(writer).map_err(|_| Failure::new("of one stream"))?;
            let (near, rest) = client.into_inner();
            ensure_eq!(near.local_addr()?, address);
            // Tickets, at most; and the connection was given up without a word.
            drop((near, rest, done));
            Ok(())
        },
        move || {
            let server = ssl_server_upgrade(far, &server)?;
            let _ = wait.recv();
            drop(server);
            Ok(())
        },
    )?;
    Ok(())
}

/// A stream is a socket too: receives and sends by reference, from two threads.
fn shared_stream(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            thread::scope(|scope| {
                let reading = scope.spawn(|| -> Result<usize, Failure> {
                    let mut buf = [0; 64];
                    let mut got = 0;
                    loop {
                        match client.recv(&mut buf)? {
                            0 => return Ok(got),
                            n => got += n,
                        }
                    }
                });
                for _ in 0..10 {
                    ensure_eq!(client.send(b"word")?, 4);
                }
                client.shutdown(std::net::Shutdown::Write)?;
                let got = reading.join().map_err(|_| Failure::new("the reader panicked"))??;
                ensure_eq!(got, 40);
                Ok(())
            })
        },
        || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            for _ in 0..10 {
                let mut word = [0; 4];
                server.read_exact(&mut word)?;
                server.write_all(&word)?;
            }
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(server.close()?)
        },
    )?;
    Ok(())
}
