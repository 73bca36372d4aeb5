//! STARTTLS: TLS over a stream on which something else was spoken before.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use polytls::{
    Connection, Error, ErrorKind, Phase, Progress, StreamAdapter, StreamSocket, TlsStream,
    UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade, ssl_server_upgrade_with, unbuffer,
};

use crate::bench::both;
use crate::pki::NAME;
use crate::transport::{Delivery, Pipe, Transport, pipe, tcp_pair};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_error, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("upgrade::starttls", starttls).transports(&[
        Transport::Whole,
        Transport::Bytewise,
        Transport::Tcp,
    ]),
    Case::new("upgrade::injected_plaintext", injected_plaintext)
        .once()
        .any_version()
        .no_transport(),
    Case::new("upgrade::injected_plaintext_is_never_read", injected_plaintext_is_never_read)
        .each_client()
        .any_version()
        .no_transport(),
    Case::new("upgrade::leftover_is_tls", leftover_is_tls).no_transport(),
    Case::new("upgrade::leftover_is_not_tls", leftover_is_not_tls)
        .each_server()
        .any_version()
        .no_transport(),
    Case::new("upgrade::closed_when_a_client_fails", closed_when_a_client_fails)
        .each_client()
        .any_version()
        .transports(&[Transport::Whole, Transport::Tcp]),
    Case::new("upgrade::closed_when_a_server_fails", closed_when_a_server_fails)
        .each_server()
        .any_version()
        .transports(&[Transport::Whole, Transport::Tcp]),
    Case::new("upgrade::closed_when_the_certificate_is_bad", closed_when_the_certificate_is_bad)
        .no_transport(),
    Case::new("upgrade::closed_at_the_deadline", closed_at_the_deadline)
        .each_client()
        .any_version()
        .no_transport(),
    Case::new("upgrade::options_of_a_server", options_of_a_server)
        .each_server()
        .any_version()
        .no_transport(),
    #[cfg(unix)]
    Case::new("upgrade::unix_socket", unix_socket).no_transport(),
    Case::new("upgrade::any_stream", any_stream).no_transport(),
    Case::new("upgrade::back_to_plaintext", back_to_plaintext).no_transport(),
];

type Stream = Box<dyn StreamSocket>;

fn line(stream: &mut BufReader<Stream>) -> Result<String, Failure> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line)
}

fn say(stream: &mut BufReader<Stream>, words: &str) -> Result<(), Failure> {
    Ok(stream.get_mut().write_all(words.as_bytes())?)
}

fn options(bench: &Bench) -> Result<UpgradeOptions, Failure> {
    Ok(UpgradeOptions::new().context(bench.client().build()?))
}

/// A word each way, and a clean end.
fn client_talks<S: StreamSocket>(mut client: TlsStream<S>) -> Result<(), Failure> {
    client.write_all(b"in TLS?")?;
    let mut answer = [0; 4];
    client.read_exact(&mut answer)?;
    ensure_eq!(&answer, b"yes.");
    Ok(client.close()?)
}

fn server_talks<S: StreamSocket>(mut server: TlsStream<S>) -> Result<(), Failure> {
    let mut question = [0; 7];
    server.read_exact(&mut question)?;
    ensure_eq!(&question, b"in TLS?");
    server.write_all(b"yes.")?;
    ensure_eq!(server.read(&mut [0; 1])?, 0);
    Ok(server.close()?)
}

/// The whole of it, as a mail client and its server do it.
fn starttls(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = bench.transport().pair();
    let server = bench.server().build()?;
    both(
        || {
            let mut stream = BufReader::new(near.into_stream());
            ensure_eq!(line(&mut stream)?, "* OK ready\r\n");
            say(&mut stream, "a STARTTLS\r\n")?;
            ensure_eq!(line(&mut stream)?, "a OK begin\r\n");
            client_talks(ssl_client_upgrade(unbuffer(stream)?, NAME, options(bench)?)?)
        },
        || {
            let mut stream = BufReader::new(far.into_stream());
            say(&mut stream, "* OK ready\r\n")?;
            ensure_eq!(line(&mut stream)?, "a STARTTLS\r\n");
            say(&mut stream, "a OK begin\r\n")?;
            server_talks(ssl_server_upgrade(unbuffer(stream)?, &server)?)
        },
    )?;
    Ok(())
}

/// What lies behind the consent came before TLS, whoever sent it (libetpan#386).
fn injected_plaintext(_bench: &Bench) -> Result<(), Failure> {
    let came: &[u8] = b"a OK begin\r\n* BYE\x1b[2J injected by someone\r\n";
    let mut stream = BufReader::new(came);
    stream.read_line(&mut String::new())?;
    let error = expect_kind(unbuffer(stream), ErrorKind::PlaintextBeforeTls)?;
    ensure_eq!(error.first_bytes(), Some(&b"* BYE\x1b[2J inject"[..]));
    ensure!(error.is_ssl_error(), "{error:?}");
    ensure!(!error.to_string().contains(char::is_control), "{error}");
    let mut stream = BufReader::new(&came[..12]);
    stream.read_line(&mut String::new())?;
    ensure!(unbuffer(stream)?.is_empty(), "more than what was left");
    Ok(())
}

/// Where it is on the wire still, TLS meets it and refuses.
fn injected_plaintext_is_never_read(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = pipe(Delivery::Whole);
    far.send(b"a OK injected\r\n")?;
    let outcome = ssl_client_upgrade(near, NAME, options(bench)?);
    let error = expect_kind(outcome, ErrorKind::PeerNotTls)?;
    ensure_eq!(error.first_bytes(), Some(&b"a OK injected\r\n"[..]));
    Ok(())
}

/// Where the protocol lets a client begin at once: any part of its hello may be in the buffer.
fn leftover_is_tls(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().build()?;
    for length in [1, 4, 5, 6, 100, usize::MAX] {
        let (near, far) = pipe(Delivery::Whole);
        both(
            || client_talks(ssl_client_upgrade(near, NAME, options(bench)?)?),
            || {
                let mut leftover = vec![0; length.min(4096)];
                let n = far.recv(&mut leftover)?;
                leftover.truncate(n);
                let options = UpgradeOptions::new().leftover_is_tls(leftover);
                server_talks(ssl_server_upgrade_with(far, &server, options)?)
            },
        )
        .map_err(|failure| failure.at(format_args!("{length} bytes")))?;
    }
    Ok(())
}

fn leftover_is_not_tls(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().build()?;
    let (_near, far) = pipe(Delivery::Whole);
    let options = UpgradeOptions::new().leftover_is_tls(b"a NOOP\r\n".as_slice());
    let outcome = ssl_server_upgrade_with(far, &server, options);
    let error = expect_kind(outcome, ErrorKind::PeerNotTls)?;
    ensure_eq!(error.first_bytes(), Some(&b"a NOOP\r\n"[..]));
    Ok(())
}

/// Whoever else holds the socket must not go on in plaintext.
fn is_closed(socket: &dyn StreamSocket) -> Result<(), Failure> {
    ensure!(socket.send(b"plaintext").is_err(), "it still sends");
    // Nothing, or the error of an ended connection; what was on its way may still be there.
    while matches!(socket.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
    Ok(())
}

/// Two ends, and a second hand on the first of them.
fn held(transport: Transport) -> Result<(Arc<Stream>, Arc<Stream>, Stream), Failure> {
    let (near, far) = transport.pair();
    let near = Arc::new(near.into_stream());
    Ok((Arc::clone(&near), near, far.into_stream()))
}

fn closed_when_a_client_fails(bench: &Bench) -> Result<(), Failure> {
    let (socket, other, far) = held(bench.transport())?;
    far.send(b"no TLS here\r\n")?;
    expect_kind(ssl_client_upgrade(socket, NAME, options(bench)?), ErrorKind::PeerNotTls)?;
    is_closed(&*other)?;
    // The peer learns of it too.
    while matches!(far.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
    Ok(())
}

fn closed_when_a_server_fails(bench: &Bench) -> Result<(), Failure> {
    let (socket, other, far) = held(bench.transport())?;
    far.send(b"no TLS here\r\n")?;
    let server = bench.server().build()?;
    expect_kind(ssl_server_upgrade(socket, &server), ErrorKind::PeerNotTls)?;
    is_closed(&*other)?;
    while matches!(far.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
    Ok(())
}

/// Also a clone that the system made.
fn closed_when_the_certificate_is_bad(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = tcp_pair();
    let other: TcpStream = near.try_clone()?;
    let stranger = crate::pki::Leaf::server().issued_by(&crate::pki::standard().stranger);
    let server = bench.server_with(&stranger).build()?;
    both(
        || {
            let error = expect_error(ssl_client_upgrade(near, NAME, options(bench)?))?;
            ensure!(error.certificate_reason().is_some(), "{error:?}");
            is_closed(&other)
        },
        || {
            // In TLS 1.3 the server's handshake may be over before the client refuses.
            if let Ok(mut server) = ssl_server_upgrade(far, &server) {
                expect_error(server.read(&mut [0; 1]))?;
            }
            Ok(())
        },
    )?;
    Ok(())
}

fn closed_at_the_deadline(bench: &Bench) -> Result<(), Failure> {
    let (socket, other, _silent) = held(Transport::Tcp)?;
    let options = options(bench)?.timeout(Duration::from_millis(10));
    let outcome = ssl_client_upgrade(socket, NAME, options);
    expect_kind(outcome, ErrorKind::Timeout(Phase::Handshake))?;
    is_closed(&*other)
}

/// A deadline is heeded; a client's context has no place there.
fn options_of_a_server(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().build()?;
    let (_near, far) = pipe(Delivery::Whole);
    let outcome = ssl_server_upgrade_with(far, &server, options(bench)?);
    expect_kind(outcome, ErrorKind::Config)?;
    let (_near, far) = pipe(Delivery::Whole);
    let options = UpgradeOptions::new().timeout(Duration::from_millis(10));
    let outcome = ssl_server_upgrade_with(far, &server, options);
    expect_kind(outcome, ErrorKind::Timeout(Phase::Handshake))?;
    Ok(())
}

#[cfg(unix)]
fn unix_socket(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = std::os::unix::net::UnixStream::pair()?;
    let server = bench.server().build()?;
    both(
        || client_talks(ssl_client_upgrade(near, NAME, options(bench)?)?),
        || server_talks(ssl_server_upgrade(far, &server)?),
    )?;
    Ok(())
}

/// A stream that holds what is written until it is flushed, as many do (rustls#1537).
struct Buffered {
    stream: Pipe,
    written: Vec<u8>,
}

impl io::Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.recv(buf)
    }
}

impl io::Write for Buffered {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.written.is_empty() {
            let n = self.stream.send(&self.written)?;
            self.written.drain(..n);
        }
        Ok(())
    }
}

/// Anything that reads and writes, without addresses and timeouts.
fn any_stream(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = pipe(Delivery::Whole);
    let adapted = |stream| StreamAdapter::new(Buffered { stream, written: Vec::new() });
    let server = bench.server().build()?;
    both(
        || {
            let stream = adapted(near);
            ensure_eq!(
                expect_io(polytls::Socket::set_read_timeout(&stream, Some(Duration::MAX)))?,
                io::ErrorKind::Unsupported
            );
            client_talks(ssl_client_upgrade(stream, NAME, options(bench)?)?)
        },
        || server_talks(ssl_server_upgrade(adapted(far), &server)?),
    )?;
    Ok(())
}

fn expect_io(result: io::Result<()>) -> Result<io::ErrorKind, Failure> {
    match result {
        Ok(()) => Err(Failure::new("succeeded, although it has to fail")),
        Err(error) => Ok(error.kind()),
    }
}

/// TLS ends and the stream goes on without (as FTP does after CCC): not a byte is lost.
fn back_to_plaintext(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = pipe(Delivery::Coalesced);
    let server = bench.server().build()?;
    both(
        || {
            let mut client = ssl_client_upgrade(near, NAME, options(bench)?)?;
            client.write_all(b"?")?;
            let mut all = Vec::new();
            client.read_to_end(&mut all)?;
            ensure_eq!(all, b"in TLS");
            let (near, mut rest) = client.into_inner();
            let mut buf = [0; 64];
            loop {
                match near.recv(&mut buf)? {
                    0 => break,
                    n => rest.extend_from_slice(&buf[..n]),
                }
            }
            ensure_eq!(rest, b"in plaintext");
            Ok(())
        },
        || {
            let mut server = ByHand { connection: Connection::server(&server)?, socket: far };
            server.step(|connection| connection.read(&mut [0; 1]))?;
            server.step(|connection| connection.write(b"in TLS"))?;
            server.step(|connection| connection.close().map(Progress::Ready))?;
            server.socket.send(b"in plaintext")?;
            Ok(())
        },
    )?;
    Ok(())
}

/// A connection without a stream around it, which would end the transport with TLS.
struct ByHand {
    connection: Connection,
    socket: Pipe,
}

impl ByHand {
    fn step<T>(
        &mut self,
        mut step: impl FnMut(&mut Connection) -> Result<Progress<T>, Error>,
    ) -> Result<T, Failure> {
        loop {
            let progress = step(&mut self.connection)?;
            while !self.connection.output().is_empty() {
                let n = self.socket.send(self.connection.output())?;
                self.connection.sent(n);
            }
            match progress {
                Progress::Ready(value) => return Ok(value),
                Progress::NeedsOutput => {}
                Progress::NeedsInput => match self.socket.recv(self.connection.input())? {
                    0 => self.connection.ended(None),
                    n => self.connection.received(n),
                },
            }
        }
    }
}
