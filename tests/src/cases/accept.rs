//! Accepting: one bad client never concerns another.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use polytls::{
    ConnectOptions, ErrorKind, ListenOptions, Phase, ServerContext, ServerSocket, Socket,
    StreamSocket, Tls as _, TlsListener, TlsStream, UpgradeOptions, ssl_client_upgrade,
    ssl_connect, ssl_listen,
};
use socket2::SockRef;

use crate::bench::both;
use crate::pki::{self, Leaf, NAME};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_error, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_server().any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    Case::new("accept::connects", connects).no_transport(),
    case("accept::bad_clients_among_good_ones", bad_clients_among_good_ones),
    case("accept::handshake_is_lazy", handshake_is_lazy),
    case("accept::facts_before_the_handshake", facts_before_the_handshake),
    case("accept::incoming", incoming),
    case("accept::deadline_counts_from_accept", deadline_counts_from_accept),
    case("accept::rotation", rotation),
    case("accept::rotation_with_a_bad_pair", rotation_with_a_bad_pair),
    case("accept::bound_listener", bound_listener),
    #[cfg(unix)]
    case("accept::unix_socket", unix_socket),
    case("accept::timeouts_are_the_listeners_own", timeouts_are_the_listeners_own).once(),
    case("accept::closed", closed).once(),
    #[cfg(target_os = "linux")]
    case("accept::closed_while_accepting", closed_while_accepting).once(),
    case("accept::options", options).once(),
    case("accept::address_in_use", address_in_use).once(),
    case("accept::addresses", addresses).once(),
];

fn listen(bench: &Bench) -> Result<TlsListener, Failure> {
    listen_with(bench.server().build()?)
}

fn listen_with(context: ServerContext) -> Result<TlsListener, Failure> {
    Ok(ssl_listen("127.0.0.1:0", context, ListenOptions::new())?)
}

/// A good client: a word each way, and a clean end. Returns the server's certificate.
fn good_client(bench: &Bench, address: SocketAddr) -> Result<polytls::Certificate, Failure> {
    let options = ConnectOptions::new().context(bench.client().build()?).host(NAME);
    let mut client = ssl_connect(address, options)?;
    client.write_all(b"hello")?;
    let mut answer = [0; 5];
    client.read_exact(&mut answer)?;
    ensure_eq!(&answer, b"hello");
    client.close()?;
    client.peer_certificate().ok_or_else(|| Failure::new("no certificate"))
}

/// Says back what it hears.
fn echo<S: StreamSocket>(mut server: TlsStream<S>) -> Result<(), Failure> {
    let mut word = [0; 5];
    server.read_exact(&mut word)?;
    server.write_all(&word)?;
    ensure_eq!(server.read(&mut [0; 1])?, 0);
    Ok(server.close()?)
}

/// `ssl_listen` and `ssl_connect` together, as in the README.
fn connects(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    both(
        || good_client(bench, address).map(drop),
        || {
            let (server, from) = listener.accept()?;
            ensure!(from.ip().is_loopback(), "{from:?}");
            ensure!(server.get_ref().nodelay()?, "TCP_NODELAY is off");
            echo(server)
        },
    )?;
    Ok(())
}

/// A silent client, a broken one and one that is gone again: before and after each, a good one.
fn bad_clients_among_good_ones(bench: &Bench) -> Result<(), Failure> {
    const GOOD: usize = 4;
    const BAD: usize = 3;
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let silent = TcpStream::connect(address)?;
    thread::scope(|scope| -> Result<(), Failure> {
        let server = scope.spawn(|| {
            for _ in 0..GOOD + BAD {
                let (server, _) = listener.accept()?;
                let (served, refused) = (&served, &refused);
                scope.spawn(move || match echo(server) {
                    Ok(()) => served.fetch_add(1, Ordering::Relaxed),
                    Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                });
            }
            Ok::<_, Failure>(())
        });
        good_client(bench, address)?;
        let mut broken = TcpStream::connect(address)?;
        broken.write_all(b"\0\0 nothing that anyone understands")?;
        good_client(bench, address)?;
        let gone = TcpStream::connect(address)?;
        // Closed with a reset, as by a crash or a port scanner.
        SockRef::from(&gone).set_linger(Some(Duration::ZERO))?;
        drop(gone);
        good_client(bench, address)?;
        good_client(bench, address)?;
        drop((silent, broken));
        server.join().map_err(|_| Failure::new("the accept loop panicked"))?
    })?;
    ensure_eq!(served.into_inner(), GOOD);
    ensure_eq!(refused.into_inner(), BAD);
    Ok(())
}

/// Accept returns before the client has said anything; whatever comes first does the handshake.
fn handshake_is_lazy(bench: &Bench) -> Result<(), Failure> {
    type First = fn(&mut TlsStream<TcpStream>) -> Result<(), Failure>;
    let firsts: [First; 4] = [
        |server| Ok(server.handshake()?),
        |server| {
            ensure_eq!(server.write(b"")?, 0);
            Ok(())
        },
        |server| Ok(server.flush()?),
        |server| {
            ensure_eq!(server.read(&mut [])?, 0);
            Ok(())
        },
    ];
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    for first in firsts {
        let socket = TcpStream::connect(address)?;
        let (mut server, _) = listener.accept()?;
        both(
            || {
                let options = UpgradeOptions::new().context(bench.client().build()?);
                let mut client = ssl_client_upgrade(socket, NAME, options)?;
                client.write_all(b"hello")?;
                client.read_exact(&mut [0; 5])?;
                Ok(client.close()?)
            },
            || {
                ensure_eq!(server.protocol_version(), None);
                first(&mut server)?;
                ensure!(server.protocol_version().is_some(), "no handshake");
                echo(server)
            },
        )?;
    }
    Ok(())
}

fn facts_before_the_handshake(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let _socket = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    ensure_eq!(server.backend(), bench.server_backend().name());
    ensure_eq!(server.protocol_version(), None);
    ensure_eq!(server.cipher_suite(), None);
    ensure_eq!(server.alpn(), None);
    ensure_eq!(server.server_name(), None);
    ensure_eq!(server.resumed(), None);
    ensure_eq!(server.peer_certificate(), None);
    ensure!(server.peer_certificates().is_empty(), "a peer that has said nothing");
    let exported = server.with_connection(|connection| {
        connection.export_keying_material(&mut [0; 8], b"EXPORTER-suite", None)
    });
    expect_error(exported)?;
    Ok(())
}

fn incoming(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    both(
        || {
            good_client(bench, address)?;
            good_client(bench, address)?;
            Ok(())
        },
        || {
            for server in listener.incoming().take(2) {
                echo(server?)?;
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// The time that a connection waits for its thread is the client's time too.
fn deadline_counts_from_accept(bench: &Bench) -> Result<(), Failure> {
    const SHORT: Duration = Duration::from_millis(30);
    let listener = listen_with(bench.server().handshake_timeout(SHORT).build()?)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(SHORT);
    // What comes too late comes to nothing.
    client.write_all(&[22, 3, 1])?;
    expect_kind(server.handshake(), ErrorKind::Timeout(Phase::Handshake))?;
    expect_kind(server.read(&mut [0; 8]), ErrorKind::Timeout(Phase::Handshake))?;
    Ok(())
}

/// Another certificate for whoever comes next, without a moment of deafness (axum-server#5).
fn rotation(bench: &Bench) -> Result<(), Failure> {
    let renewed = Leaf::server().issued_by(&pki::standard().root);
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    let before = TcpStream::connect(address)?;
    let (accepted, _) = listener.accept()?;
    listener.set_context(bench.server_with(&renewed).build()?);
    // Accepted before, so served as before.
    let ((), old) = both(
        || echo(accepted),
        || {
            let options = UpgradeOptions::new().context(bench.client().build()?);
            let mut client = ssl_client_upgrade(before, NAME, options)?;
            client.write_all(b"hello")?;
            client.read_exact(&mut [0; 5])?;
            client.close()?;
            Ok(client.peer_certificate())
        },
    )?;
    ensure_eq!(old, Some(pki::standard().server.certificate()));
    let (new, ()) = both(|| good_client(bench, address), || echo(listener.accept()?.0))?;
    ensure_eq!(new, renewed.certificate());
    Ok(())
}

/// A pair that does not fit together fails where it is built; the listener never hears of it.
fn rotation_with_a_bad_pair(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    let mut bad = Leaf::server().issued_by(&pki::standard().root);
    bad.key = pki::standard().client.key.clone();
    let error = expect_error(bench.server_with(&bad).build().map(|it| listener.set_context(it)))?;
    let kind = ErrorKind::Identity(polytls::IdentityReason::KeyMismatch);
    expect_kind(Err::<(), _>(error), kind)?;
    let (old, ()) = both(|| good_client(bench, address), || echo(listener.accept()?.0))?;
    ensure_eq!(old, pki::standard().server.certificate());
    Ok(())
}

/// Whoever binds the socket: a service manager, or a process with more rights.
fn bound_listener(bench: &Bench) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let listener = TlsListener::new(listener, bench.server().build()?);
    ensure_eq!(listener.get_ref().local_addr()?, address);
    both(|| good_client(bench, address).map(drop), || echo(listener.accept()?.0))?;
    let listener = listener.into_inner();
    let _plain = TcpStream::connect(address)?;
    listener.accept()?;
    Ok(())
}

#[cfg(unix)]
fn unix_socket(bench: &Bench) -> Result<(), Failure> {
    use std::os::unix::net::{UnixListener, UnixStream};
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let listener = TlsListener::new(UnixListener::bind(&path)?, bench.server().build()?);
    both(
        || {
            let options = UpgradeOptions::new().context(bench.client().build()?);
            let mut client = ssl_client_upgrade(UnixStream::connect(&path)?, NAME, options)?;
            client.write_all(b"hello")?;
            client.read_exact(&mut [0; 5])?;
            Ok(client.close()?)
        },
        || echo(accept_by_trait(&listener)?),
    )?;
    Ok(())
}

/// A TLS listener is a server socket like any other.
fn accept_by_trait<L: ServerSocket>(listener: &L) -> Result<L::Stream, Failure> {
    Ok(listener.accept()?.0)
}

/// Linux would hand a listener's timeouts, which are about accepting, on to what it accepts.
fn timeouts_are_the_listeners_own(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    listener.set_read_timeout(Some(Duration::from_secs(20)))?;
    listener.set_write_timeout(Some(Duration::from_secs(20)))?;
    let _client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    ensure_eq!((server.read_timeout()?, server.write_timeout()?), (None, None));
    Ok(())
}

fn closed(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    Socket::close(&listener)?;
    let error = expect_kind(listener.accept(), ErrorKind::Closed)?;
    ensure!(!error.is_ssl_error(), "{error:?}");
    ensure!(listener.incoming().next().is_none(), "it goes on");
    Ok(())
}

/// Whoever waits for a connection is told that there will be none.
#[cfg(target_os = "linux")]
fn closed_while_accepting(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let server = scope.spawn(|| -> Result<(), Failure> {
            for server in &listener {
                echo(server?)?;
            }
            Ok(())
        });
        good_client(bench, address)?;
        Socket::close(&listener)?;
        server.join().map_err(|_| Failure::new("the accept loop panicked"))?
    })
}

/// Options are set before the socket is bound; by default, an address can be used again at once.
fn options(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().build()?;
    let listener = ssl_listen("127.0.0.1:0", context.clone(), ListenOptions::new())?;
    ensure!(SockRef::from(listener.get_ref()).reuse_address()?, "SO_REUSEADDR is off");
    let seen = Arc::new(AtomicUsize::new(0));
    let set = {
        let seen = Arc::clone(&seen);
        move |socket: &SockRef<'_>| {
            seen.fetch_add(1, Ordering::Relaxed);
            socket.set_recv_buffer_size(70_000)
        }
    };
    let options = ListenOptions::new().backlog(7).sockopts(set);
    let listener = ssl_listen("localhost:0", context.clone(), options)?;
    ensure!(seen.load(Ordering::Relaxed) > 0, "the options were not set");
    ensure!(SockRef::from(listener.get_ref()).recv_buffer_size()? >= 70_000, "not that socket");
    let refuse =
        ListenOptions::new().sockopts(|_| Err(std::io::ErrorKind::PermissionDenied.into()));
    let error = expect_kind(ssl_listen("127.0.0.1:0", context, refuse), ErrorKind::Io)?;
    ensure_eq!(error.io_kind(), std::io::ErrorKind::PermissionDenied);
    Ok(())
}

fn address_in_use(bench: &Bench) -> Result<(), Failure> {
    let listener = listen(bench)?;
    let address = listener.local_addr()?;
    let outcome = ssl_listen(address, bench.server().build()?, ListenOptions::new());
    let error = expect_kind(outcome, ErrorKind::Io)?;
    ensure_eq!(error.io_kind(), std::io::ErrorKind::AddrInUse);
    ensure!(!error.is_ssl_error(), "{error:?}");
    ensure!(error.to_string().contains(&address.to_string()), "{error}");
    Ok(())
}

fn addresses(bench: &Bench) -> Result<(), Failure> {
    let context = bench.server().build()?;
    for address in ["", "localhost", "localhost:", ":443", "::1:443", "localhost:65536"] {
        let outcome = ssl_listen(address, context.clone(), ListenOptions::new());
        expect_kind(outcome, ErrorKind::ServerName)
            .map_err(|failure| failure.at(format_args!("{address:?}")))?;
        let options = ConnectOptions::new().context(bench.client().build()?);
        expect_kind(ssl_connect(address, options), ErrorKind::ServerName)
            .map_err(|failure| failure.at(format_args!("{address:?}")))?;
    }
    Ok(())
}
