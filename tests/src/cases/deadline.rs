//! Deadlines: in every phase, always as `Timeout`, and nothing is lost by one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use polytls::{
    DEFAULT_HANDSHAKE_TIMEOUT, Error, ErrorKind, Phase, ServerContext, SslSocket, StreamAdapter,
    StreamSocket, TlsListener, TlsStream, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};
use socket2::SockRef;

use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::transport::{
    Carrier, Delivery, Once, Pipe, PipeOptions, Stingy, Transport, pipe, pipe_with, tcp_pair,
};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

const BLOCKING: &[Transport] = &[Transport::Whole, Transport::Tcp];

pub(super) const CASES: &[Case] = &[
    Case::new("deadline::silent_server", silent_server).each_client().one_of_each(),
    Case::new("deadline::silent_client", silent_client).each_server().one_of_each(),
    Case::new("deadline::trickling_server", trickling_server).each_client().one_of_each(),
    Case::new("deadline::trickling_client", trickling_client).each_server().one_of_each(),
    Case::new("deadline::server_that_stops_halfway", server_that_stops_halfway)
        .each_client()
        .in_memory(),
    Case::new("deadline::handshake_goes_on", handshake_goes_on).transports(BLOCKING),
    Case::new("deadline::handshake_goes_on_anywhere", handshake_goes_on_anywhere).no_transport(),
    Case::new("deadline::timeouts_of_the_socket_are_put_back", timeouts_are_put_back)
        .each_client()
        .any_version()
        .transports(BLOCKING),
    Case::new("deadline::read", read).transports(BLOCKING),
    Case::new("deadline::read_within_a_record", read_within_a_record).no_transport(),
    Case::new("deadline::write", write).transports(BLOCKING),
    Case::new("deadline::write_that_is_told_late", write_that_is_told_late).no_transport(),
    Case::new("deadline::alert_to_nobody", alert_to_nobody).once().any_version().no_transport(),
    Case::new("deadline::close", close).transports(BLOCKING),
    Case::new("deadline::close_with_unsent_data", close_with_unsent_data).no_transport(),
    Case::new("deadline::accept", accept).once().any_version().no_transport(),
    Case::new("deadline::defaults", defaults).any_version().no_transport(),
];

/// Short, and long enough for a handshake on a busy machine to be told from a silence.
pub(super) const SHORT: Duration = Duration::from_millis(60);

/// Never reached.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// The time a call takes must be that of its deadline: not less, and not the whole of a test.
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub(super) fn shows(&self, deadline: Duration) -> Result<(), Failure> {
        let passed = self.0.elapsed();
        ensure!(passed >= deadline, "gave up after {passed:?}");
        ensure!(passed < deadline + Duration::from_secs(10), "gave up only after {passed:?}");
        Ok(())
    }
}

pub(super) fn timed_out<T>(result: Result<T, Error>, phase: Phase) -> Result<(), Failure> {
    let error = expect_kind(result, ErrorKind::Timeout(phase))?;
    ensure_eq!(error.phase(), Some(phase));
    ensure!(!error.is_ssl_error(), "{error:?}");
    Ok(())
}

fn silent_server(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().handshake_timeout(SHORT).build()?;
    bench.client_against(
        &context,
        |client| {
            let clock = Stopwatch::start();
            timed_out(client.handshake(), Phase::Handshake)?;
            clock.shows(SHORT)
        },
        |peer| {
            while matches!(peer.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
            Ok(())
        },
    )?;
    Ok(())
}

fn silent_client(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().handshake_timeout(SHORT).build()?;
    bench.server_against(
        &context,
        |peer| {
            while matches!(peer.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
            Ok(())
        },
        |server| {
            let clock = Stopwatch::start();
            timed_out(server.handshake(), Phase::Handshake)?;
            clock.shows(SHORT)
        },
    )?;
    Ok(())
}

/// Sends a long record a byte at a time, until the other end has had enough.
fn trickle(peer: &dyn StreamSocket) -> Result<(), Failure> {
    // The pause between two bytes.
    peer.set_read_timeout(Some(Duration::from_millis(4)))?;
    let mut record = vec![22, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 3, 3];
    record.resize(5 + 0x4000, 0);
    for byte in record {
        match peer.recv(&mut [0; 4096]) {
            Ok(0) => return Ok(()),
            Err(error) if !is_a_pause(&error) => return Ok(()),
            _ if peer.send(&[byte]).is_err() => return Ok(()),
            _ => {}
        }
    }
    Err(Failure::new("listened to the end"))
}

fn is_a_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Each byte is progress, and none moves the deadline.
fn trickling_server(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().handshake_timeout(SHORT).build()?;
    bench.client_against(
        &context,
        |client| {
            let clock = Stopwatch::start();
            timed_out(client.handshake(), Phase::Handshake)?;
            clock.shows(SHORT)
        },
        trickle,
    )?;
    Ok(())
}

fn trickling_client(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().handshake_timeout(SHORT).build()?;
    bench.server_against(&context, trickle, |server| {
        let clock = Stopwatch::start();
        timed_out(server.handshake(), Phase::Handshake)?;
        clock.shows(SHORT)
    })?;
    Ok(())
}

/// A server that has sent some of its first flight.
fn server_that_stops_halfway(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().handshake_timeout(SHORT).build()?;
    let server = bench.server().build()?;
    let (near, between) = pipe(Delivery::Whole);
    let (link, far) = pipe(Delivery::Whole);
    both(
        || {
            let outcome = ssl_client_upgrade(near, NAME, UpgradeOptions::new().context(context));
            timed_out(outcome.map(drop), Phase::Handshake)
        },
        || {
            thread::scope(|scope| {
                scope.spawn(|| ssl_server_upgrade(far, &server).map(drop));
                relay(&between, &link, usize::MAX)?;
                // The first record of the answer, in part.
                let answer = relay(&link, &between, 40)?;
                drop(link);
                while matches!(between.recv(&mut [0; 64]), Ok(n) if n > 0) {}
                ensure_eq!(answer, 40);
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// Passes on what comes, at most so many bytes, and returns how many.
fn relay(from: &Pipe, to: &Pipe, most: usize) -> Result<usize, Failure> {
    let mut bytes = vec![0; most.min(64 << 10)];
    let n = from.recv(&mut bytes)?;
    let mut sent = 0;
    while sent < n {
        sent += to.send(&bytes[sent..n])?;
    }
    Ok(n)
}

/// A lazy server whose socket has a timeout of its own: it can be asked again (tungstenite#450).
fn handshake_goes_on(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    let (begin, begun) = mpsc::channel::<()>();
    both(
        move || {
            let _ = begun.recv();
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            Ok(client.close()?)
        },
        || {
            let mut server = accepted(far.into_stream(), server)?;
            server.get_ref().set_read_timeout(Some(Duration::from_millis(10)))?;
            for _ in 0..2 {
                timed_out(server.handshake(), Phase::Handshake)?;
                expect_kind(server.read(&mut [0; 8]), ErrorKind::Timeout(Phase::Handshake))?;
            }
            server.get_ref().set_read_timeout(Some(LONG))?;
            drop(begin);
            server.handshake()?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// A timeout before every few bytes of a handshake, in both directions.
fn handshake_goes_on_anywhere(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe(Delivery::Whole);
    let (far, stingy) = Stingy::new(far);
    stingy.store(true, Ordering::Relaxed);
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            Ok(())
        },
        || {
            let mut server = accepted(Box::new(StreamAdapter::new(far)), server)?;
            let mut timeouts = 0;
            while let Err(error) = server.handshake() {
                timed_out(Err::<(), _>(error), Phase::Handshake)?;
                timeouts += 1;
            }
            ensure!(timeouts > 20, "only {timeouts} timeouts");
            stingy.store(false, Ordering::Relaxed);
            server.read_exact(&mut [0; 1])?;
            Ok(server.write_all(b"!")?)
        },
    )?;
    Ok(())
}

/// This stream as a listener gives it: the handshake has not begun.
fn accepted(
    socket: Box<dyn StreamSocket>,
    context: ServerContext,
) -> Result<TlsStream<Box<dyn StreamSocket>>, Failure> {
    Ok(TlsListener::new(Once::new(socket), context).accept()?.0)
}

fn timeouts_are_put_back(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    let (mine, own) = (Some(Duration::from_secs(7)), Some(Duration::from_secs(9)));
    both(
        || {
            let near = near.into_stream();
            near.set_read_timeout(mine)?;
            near.set_write_timeout(own)?;
            let options = UpgradeOptions::new().context(client).timeout(LONG);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            ensure_eq!(
                (client.get_ref().read_timeout()?, client.get_ref().write_timeout()?),
                (mine, own)
            );
            client.close()?;
            ensure_eq!(
                (client.get_ref().read_timeout()?, client.get_ref().write_timeout()?),
                (mine, own)
            );
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            ensure_eq!(
                (server.get_ref().read_timeout()?, server.get_ref().write_timeout()?),
                (None, None)
            );
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

fn read(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (go, gone) = mpsc::channel::<()>();
    bench.run(
        &client,
        &server,
        |client| {
            client.say(b"?")?;
            client.set_read_timeout(Some(Duration::from_millis(10)))?;
            let mut got = 0;
            for _ in 0..2 {
                let kind = ErrorKind::Timeout(Phase::Read);
                let error = expect_kind(client.read(&mut [0; 8]), kind)?;
                ensure!(!error.is_ssl_error(), "{error:?}");
                // Not even writing is disturbed.
                client.say(b"still there")?;
                got += 1;
            }
            drop(go);
            client.set_read_timeout(Some(LONG))?;
            ensure_eq!(client.hear(6)?, b"answer");
            ensure_eq!(got, 2);
            Ok(client.close()?)
        },
        move |server| {
            server.hear(1)?;
            let _ = gone.recv();
            ensure_eq!(server.hear(22)?, b"still therestill there");
            server.say(b"answer")?;
            ensure!(server.read_all()?.is_empty(), "more than was said");
            Ok(())
        },
    )?;
    Ok(())
}

/// A record that comes in parts, with a timeout before each: the part that came is kept.
fn read_within_a_record(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe(Delivery::Whole);
    let (near, stingy) = Stingy::new(near);
    let data = pattern(1000);
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(StreamAdapter::new(near), NAME, options)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            stingy.store(true, Ordering::Relaxed);
            let (mut timeouts, mut got) = (0, Vec::new());
            while got.len() < data.len() {
                let mut buf = [0; 4096];
                match client.read(&mut buf) {
                    Ok(n) => got.extend_from_slice(&buf[..n]),
                    outcome => {
                        expect_kind(outcome, ErrorKind::Timeout(Phase::Read))?;
                        timeouts += 1;
                    }
                }
            }
            ensure!(got == data, "not what was written");
            ensure!(timeouts > 10, "only {timeouts} timeouts");
            Ok(())
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            Ok(server.write_all(&data)?)
        },
    )?;
    Ok(())
}

/// A peer that does not read: what was taken arrives once it does, in order, and so does the rest.
fn write(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let data = &pattern(40_000)[..];
    let (near, far) = small_pair(bench.transport())?;
    let (full, read_on) = mpsc::channel::<()>();
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client.get_ref().set_write_timeout(Some(Duration::from_millis(20)))?;
            let mut taken = 0;
            let error = loop {
                match client.write(&data[taken % data.len()..]) {
                    Ok(n) => taken += n,
                    Err(error) => break error,
                }
            };
            expect_kind(Err::<(), _>(error), ErrorKind::Timeout(Phase::Write))?;
            drop(full);
            client.get_ref().set_write_timeout(Some(LONG))?;
            client.write_all(b"the end")?;
            client.close()?;
            Ok(taken)
        },
        move || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            let _ = read_on.recv();
            let mut got = Vec::new();
            server.read_to_end(&mut got)?;
            let end = got.split_off(got.len().saturating_sub(7));
            ensure_eq!(end, b"the end");
            for (i, part) in got.chunks(data.len()).enumerate() {
                ensure!(data.starts_with(part), "part {i} is not what was written");
            }
            Ok(got.len())
        },
    )
    .and_then(|(taken, got)| {
        ensure_eq!(got, taken);
        Ok(())
    })
}

/// Two streams that hold little.
fn small_pair(transport: Transport) -> Result<(Carrier, Carrier), Failure> {
    if transport != Transport::Tcp {
        let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
        return Ok((Carrier::Pipe(near), Carrier::Pipe(far)));
    }
    let (near, far) = tcp_pair();
    for end in [&near, &far] {
        SockRef::from(end).set_send_buffer_size(16 << 10)?;
        SockRef::from(end).set_recv_buffer_size(64 << 10)?;
    }
    Ok((Carrier::Tcp(near), Carrier::Tcp(far)))
}

/// A write says what it has taken. That it could not send all of it is told by the next call, also by a
/// read: the peer may wait for the rest, and the read for the peer.
fn write_that_is_told_late(bench: &Bench) -> Result<(), Failure> {
    told_late(bench, |client| client)?;
    // A box writes by reference, as two threads would.
    told_late(bench, |client| Box::new(client) as Box<dyn SslSocket>)
}

fn told_late<C: Read + Write + polytls::Socket>(
    bench: &Bench,
    as_what: fn(TlsStream<Pipe>) -> C,
) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let data = pattern(20_000);
    let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
    let (full, read_on) = mpsc::channel::<()>();
    let (server, expected) = (&server, &data);
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = as_what(ssl_client_upgrade(near, NAME, options)?);
            client.set_write_timeout(Some(Duration::from_millis(10)))?;
            ensure_eq!(client.write(&data)?, data.len());
            expect_kind(client.read(&mut [0; 1]), ErrorKind::Timeout(Phase::Write))?;
            drop(full);
            client.set_write_timeout(Some(LONG))?;
            client.flush()?;
            client.read_exact(&mut [0; 1])?;
            Ok(polytls::Socket::close(&client)?)
        },
        move || {
            let mut server = ssl_server_upgrade(far, server)?;
            let _ = read_on.recv();
            let mut got = vec![0; expected.len()];
            server.read_exact(&mut got)?;
            ensure!(got == *expected, "something else");
            server.write_all(b"!")?;
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(())
        },
    )
    .map(drop)
}

/// A peer that takes nothing and sends garbage is told why, within some seconds or not at all.
fn alert_to_nobody(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
    let (mut client, server) = both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.read_exact(&mut [0; 1])?;
            Ok(client)
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.write_all(b"!")?;
            Ok(server)
        },
    )?;
    client.set_write_timeout(Some(Duration::from_millis(5)))?;
    while client.write(&[0; 16 << 10]).is_ok() {}
    client.set_write_timeout(None)?;
    server.get_ref().send(b"garbage")?;
    let clock = Stopwatch::start();
    expect_kind(client.read(&mut [0; 1]), ErrorKind::Protocol)?;
    clock.shows(Duration::from_secs(5))
}

/// A peer that never closes holds nobody up, and is no error of ours.
fn close(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.transport().pair();
    let (closed, done) = mpsc::channel::<()>();
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client.write_all(b"all")?;
            let clock = Stopwatch::start();
            client.close_within(SHORT)?;
            clock.shows(SHORT)?;
            drop(closed);
            Ok(())
        },
        move || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            let _ = done.recv();
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all, b"all");
            Ok(())
        },
    )?;
    Ok(())
}

/// What was written and cannot leave in time is lost, and that is an error.
fn close_with_unsent_data(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = small_pair(Transport::Whole)?;
    let (closed, done) = mpsc::channel::<()>();
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client.get_ref().set_write_timeout(Some(Duration::from_millis(5)))?;
            while client.write(&[0; 16 << 10]).is_ok() {}
            let clock = Stopwatch::start();
            timed_out(client.close_within(SHORT), Phase::Close)?;
            clock.shows(SHORT)?;
            drop(closed);
            Ok(())
        },
        move || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            let _ = done.recv();
            let outcome = server.read_to_end(&mut Vec::new());
            expect_kind(outcome, ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
    )?;
    Ok(())
}

fn accept(bench: &Bench) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let socket = listener.try_clone()?;
    let socket = SockRef::from(&socket);
    let listener = TlsListener::new(listener, bench.server().build()?);
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    timed_out(listener.accept(), Phase::Accept)?;
    // The listener goes on.
    let _client = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(LONG))?;
    listener.accept()?;
    Ok(())
}

fn defaults(bench: &Bench) -> Result<(), Failure> {
    ensure_eq!(DEFAULT_HANDSHAKE_TIMEOUT, Duration::from_secs(60));
    ensure_eq!(bench.client().build()?.handshake_timeout(), Some(DEFAULT_HANDSHAKE_TIMEOUT));
    ensure_eq!(bench.server().build()?.handshake_timeout(), Some(DEFAULT_HANDSHAKE_TIMEOUT));
    let none = bench.server().handshake_timeout(None).build()?;
    ensure_eq!(none.handshake_timeout(), None);
    Ok(())
}
