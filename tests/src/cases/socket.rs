//! A TLS stream as a socket: through its traits, in a box, by reference, ended by another thread.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polytls::{
    ErrorKind, Socket, SslSocket, StreamAdapter, StreamSocket as _, Tls as _, UpgradeOptions,
    ssl_client_upgrade, ssl_server_upgrade,
};

use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::transport::{Pipe, PipeOptions, Transport, pipe_with};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("socket::boxed", boxed).no_transport(),
    Case::new("socket::close", close).no_transport(),
    Case::new("socket::close_while_reading", close_while_reading).no_transport(),
    Case::new("socket::ended_by_another_thread", ended_by_another_thread).no_transport(),
    Case::new("socket::flush_that_failed", flush_that_failed).once().any_version().no_transport(),
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

/// A reader in another thread gets what still comes.
fn close_while_reading(bench: &Bench) -> Result<(), Failure> {
    let (context, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = Transport::Tcp.pair();
    let data = pattern(400_000);
    both(
        || {
            let options = UpgradeOptions::new().context(context);
            let client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            (&client).read_exact(&mut [0; 1])?;
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| (&client).read(&mut [0; 8]));
                (&client).write_all(&data)?;
                Socket::close(&client)?;
                let read = reader.join().map_err(|_| Failure::new("the reader panicked"))?;
                // Whoever comes first: the reader, or the one that closes.
                match read {
                    Ok(n) => ensure!(n == 0 || n == 4, "{n} bytes"),
                    closed => drop(expect_kind(closed, ErrorKind::Closed)?),
                }
                Ok(())
            })
        },
        || {
            let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
            server.write_all(b"!")?;
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure!(all == data, "{} bytes of {}", all.len(), data.len());
            server.write_all(b"late")?;
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// What this side has ended is not said of the peer.
fn ended_by_another_thread(bench: &Bench) -> Result<(), Failure> {
    for how in [Shutdown::Both, Shutdown::Read] {
        let (context, server) = (bench.client().build()?, bench.server().build()?);
        let (near, far) = Transport::Tcp.pair();
        both(
            || {
                let options = UpgradeOptions::new().context(context);
                let client = ssl_client_upgrade(near.into_stream(), NAME, options)?;
                let (mut reader, writer) = client.into_halves()?;
                reader.read_exact(&mut [0; 1])?;
                let read = std::thread::scope(|scope| {
                    let reader = scope.spawn(move || reader.read(&mut [0; 1]));
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
                let mut server = ssl_server_upgrade(far.into_stream(), &server)?;
                server.write_all(b"!")?;
                // Its goodbye takes no waiting.
                ensure_eq!(server.read(&mut [0; 1])?, 0);
                Ok(())
            },
        )?;
    }
    Ok(())
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
