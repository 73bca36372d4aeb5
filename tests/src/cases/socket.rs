//! A TLS stream as a socket: through its traits, in a box, by reference, ended by another thread.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use polytls::{
    ErrorKind, Phase, Socket, SslSocket, StreamAdapter, StreamSocket as _, Tls as _, TlsListener,
    UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};

use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::transport::{Delivery, Once, Pipe, PipeOptions, Transport, pipe, pipe_with};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("socket::boxed", boxed).no_transport(),
    Case::new("socket::close", close).no_transport(),
    Case::new("socket::close_while_reading", close_while_reading).no_transport(),
    Case::new("socket::close_while_writing", close_while_writing).no_transport(),
    Case::new("socket::rest_sent_by_a_reader", rest_sent_by_a_reader).no_transport(),
    Case::new("socket::ended_by_another_thread", ended_by_another_thread).no_transport(),
    Case::new("socket::stopped_before_the_handshake", stopped_before_the_handshake)
        .each_server()
        .any_version()
        .no_transport(),
    Case::new("socket::flush_that_failed", flush_that_failed).once().any_version().no_transport(),
    #[cfg(unix)]
    Case::new("socket::non_blocking", non_blocking).each_client().any_version().no_transport(),
];

/// Whatever is beneath, a box of it is a stream that speaks TLS.
fn boxed(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = Transport::Whole.pair();
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            let mut client: Box<dyn SslSocket> = Box::new(client);
            ensure_eq!(client.protocol_version(), Some(bench.version()));
            client.write_all(b"?")?;
            client.flush()?;
            client.read_exact(&mut [0; 1])?;
            Ok(client.close()?)
        },
        || {
            let server = ssl_server_upgrade(far.into_stream(), &server)?;
            // Nor need it be one's own: two threads use it by reference.
            (&server).read_exact(&mut [0; 1])?;
            (&server).write_all(b"!")?;
            ensure_eq!((&server).read(&mut [0; 1])?, 0);
            Ok(())
        },
    )?;
    Ok(())
}

/// Whoever has `Socket` in scope calls its `close` without knowing: it takes `&self`, so it comes before
/// the stream's own. It is as good.
fn close(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = Transport::Tcp.pair();
    let data = pattern(3_000_000);
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            client.write_all(&data)?;
            Ok(Socket::close(&client)?)
        },
        || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure!(all == data, "{} bytes of {}", all.len(), data.len());
            Ok(Socket::close(&server)?)
        },
    )?;
    Ok(())
}

/// A call of another thread that is reading gets what still comes, and one that begins to write is told at
/// once that it is closed.
fn close_while_reading(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe(Delivery::Whole);
    let to_client = near.incoming();
    let (heard, goodbye) = mpsc::channel::<()>();
    let (done, go_on) = mpsc::channel::<()>();
    both(
        move || {
            let options = UpgradeOptions::new().context(context);
            let client = &ssl_client_upgrade(near, NAME, options)?;
            let mut stream = client;
            stream.write_all(b"all I have")?;
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || (&*client).read(&mut [0; 8]));
                to_client.wait_until_idle();
                let closer = scope.spawn(move || Socket::close(client));
                let _ = goodbye.recv();
                expect_kind(stream.write(b"x"), ErrorKind::Closed)?;
                drop(done);
                let read = reader.join().map_err(|_| Failure::new("the reader panicked"))?;
                ensure_eq!(read?, 4);
                closer.join().map_err(|_| Failure::new("closing panicked"))??;
                expect_kind(stream.read(&mut [0; 1]), ErrorKind::Closed)?;
                Ok(())
            })
        },
        move || {
            let mut server = ssl_server_upgrade(far, &server)?;
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all, b"all I have");
            drop(heard);
            let _ = go_on.recv();
            server.write_all(b"late")?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// A write that is under way is cut off, and whoever closes is told so.
fn close_while_writing(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions { capacity: 8 << 10, ..PipeOptions::default() });
    let to_server = near.outgoing();
    let (closed, done) = mpsc::channel::<()>();
    both(
        move || {
            let options = UpgradeOptions::new().context(context);
            let client = &ssl_client_upgrade(near, NAME, options)?;
            std::thread::scope(|scope| {
                let writer = scope.spawn(move || {
                    let mut stream = client;
                    while stream.write(&[0; 16 << 10]).is_ok() {}
                });
                to_server.wait_until_full();
                expect_kind(Socket::close(client), ErrorKind::Io)?;
                writer.join().map_err(|_| Failure::new("the writer panicked"))?;
                drop(closed);
                Ok(())
            })
        },
        move || {
            let mut server = ssl_server_upgrade(far, &server)?;
            let _ = done.recv();
            expect_kind(server.read_to_end(&mut Vec::new()), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
    )?;
    Ok(())
}

/// What a write could not send in time, a read sends if that takes no waiting. Then nothing is owed any
/// more: no late error is told, and whoever drops the stream says goodbye.
fn rest_sent_by_a_reader(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let options = PipeOptions { capacity: 17 << 10, as_a_socket: true, ..PipeOptions::default() };
    let (near, far) = pipe_with(options);
    let data = pattern(20_000);
    let (full, read_on) = mpsc::channel::<()>();
    let (drained, go_on) = mpsc::channel::<()>();
    let (server, data) = (&server, &data);
    both(
        move || {
            let options = UpgradeOptions::new().context(context);
            let mut client = ssl_client_upgrade(near, NAME, options)?;
            client.set_write_timeout(Some(Duration::from_millis(10)))?;
            ensure_eq!(client.write(data)?, data.len());
            drop(full);
            let _ = go_on.recv();
            client.read_exact(&mut [0; 1])?;
            Ok(())
        },
        move || {
            let mut server = ssl_server_upgrade(far, server)?;
            let _ = read_on.recv();
            let mut got = vec![0; 16 << 10];
            server.read_exact(&mut got)?;
            drop(drained);
            server.write_all(b"!")?;
            server.read_to_end(&mut got)?;
            ensure!(got == *data, "{} bytes of {}", got.len(), data.len());
            Ok(())
        },
    )?;
    Ok(())
}

/// What this side has ended is not said of the peer.
fn ended_by_another_thread(bench: &Bench) -> Result<(), Failure> {
    for how in [Shutdown::Both, Shutdown::Read] {
        let (context, server) = (bench.client().build()?, bench.server().build()?);
        let (near, far) = pipe(Delivery::Whole);
        let to_client = near.incoming();
        both(
            || {
                let options = UpgradeOptions::new().context(context);
                let client = ssl_client_upgrade(near, NAME, options)?;
                let (mut reader, writer) = client.into_halves()?;
                reader.read_exact(&mut [0; 1])?;
                let read = std::thread::scope(|scope| {
                    let reader = scope.spawn(move || reader.read(&mut [0; 1]));
                    to_client.wait_until_idle();
                    writer.shutdown(how)?;
                    reader.join().map_err(|_| Failure::new("the reader panicked"))
                })?;
                match how {
                    Shutdown::Read => ensure_eq!(read?, 0),
                    _ => {
                        let error = expect_kind(read, ErrorKind::Closed)?;
                        ensure!(!error.is_ssl_error(), "{error:?}");
                    }
                }
                Ok(())
            },
            || {
                let mut server = ssl_server_upgrade(far, &server)?;
                server.write_all(b"!")?;
                // A goodbye of either takes no waiting.
                ensure_eq!(server.read(&mut [0; 1])?, 0);
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Who stops reading before the peer has shown who it is has no connection to it.
fn stopped_before_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().build()?;
    let accepted = |stream: Pipe| -> Result<_, Failure> {
        Ok(TlsListener::new(Once::new(Box::new(stream)), context.clone()).accept()?.0)
    };
    let (_near, far) = pipe(Delivery::Whole);
    let mut server = accepted(far)?;
    server.shutdown(Shutdown::Read)?;
    expect_kind(server.handshake(), ErrorKind::Closed)?;
    expect_kind(server.write(b"x"), ErrorKind::Closed)?;
    expect_kind(server.read(&mut [0; 1]), ErrorKind::Closed)?;

    let (_near, far) = pipe(Delivery::Whole);
    let to_server = far.incoming();
    let server = &accepted(far)?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || (&*server).read(&mut [0; 1]));
        to_server.wait_until_idle();
        server.shutdown(Shutdown::Read)?;
        let read = reader.join().map_err(|_| Failure::new("the reader panicked"))?;
        expect_kind(read, ErrorKind::Closed)?;
        Ok(())
    })
}

/// A stream that fails to pass on what its buffer holds, once when told to.
struct Reluctant {
    stream: Pipe,
    fails: Arc<AtomicBool>,
    buffer: Vec<u8>,
}

impl io::Read for Reluctant {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.recv(buf)
    }
}

impl io::Write for Reluctant {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        while !self.buffer.is_empty() {
            let n = self.stream.send(&self.buffer)?;
            self.buffer.drain(..n);
        }
        Ok(())
    }
}

/// What has not been passed on is not forgotten: the next flush tries again.
fn flush_that_failed(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = pipe_with(PipeOptions::default());
    let fails = Arc::<AtomicBool>::default();
    let near = Reluctant { stream: near, fails: Arc::clone(&fails), buffer: Vec::new() };
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let mut client = ssl_client_upgrade(StreamAdapter::new(near), NAME, options)?;
            fails.store(true, Ordering::Relaxed);
            client.write_all(b"?")?;
            ensure!(!fails.load(Ordering::Relaxed), "nothing failed");
            client.flush()?;
            client.read_exact(&mut [0; 1])?;
            Ok(client.close()?)
        },
        || {
            let mut server = ssl_server_upgrade(far, &server)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(())
        },
    )?;
    Ok(())
}

/// An instant timeout would send its reader after deadlines.
#[cfg(unix)]
fn non_blocking(bench: &Bench) -> Result<(), Failure> {
    let (near, _far) = crate::transport::tcp_pair();
    near.set_nonblocking(true)?;
    let options = UpgradeOptions::new().context(bench.client().build()?);
    let error = expect_kind(ssl_client_upgrade(near, NAME, options), ErrorKind::Config)?;
    ensure!(error.to_string().contains("set_nonblocking"), "{error}");
    Ok(())
}
