//! Connecting: names, addresses, and one deadline over everything.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use polytls::{ConnectOptions, ErrorKind, Phase, Resolver, TlsListener, ssl_connect};
use socket2::{Domain, Type};

use super::deadline::{LONG, SHORT, Stopwatch, timed_out};
use crate::bench::both;
use crate::pki::NAME;
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("connect::resolver_that_hangs", resolver_that_hangs)
        .once()
        .any_version()
        .no_transport(),
    Case::new("connect::address_that_does_not_answer", address_that_does_not_answer)
        .once()
        .any_version()
        .no_transport(),
    Case::new("connect::every_address_is_tried", every_address_is_tried)
        .each_client()
        .any_version()
        .no_transport(),
    Case::new("connect::no_address_answers", no_address_answers)
        .once()
        .any_version()
        .no_transport(),
    Case::new("connect::one_over_all_phases", one_over_all_phases)
        .each_client()
        .any_version()
        .no_transport(),
];

fn options(bench: &Bench) -> Result<ConnectOptions, Failure> {
    Ok(ConnectOptions::new().context(bench.client().build()?))
}

/// A resolver that is still at it is left behind.
fn resolver_that_hangs(bench: &Bench) -> Result<(), Failure> {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let resolver = Resolver::new(move |_, _| {
        let _ = wait.lock().map(|wait| wait.recv());
        Ok(Vec::new())
    });
    let clock = Stopwatch::start();
    let options = options(bench)?.resolver(resolver).timeout(SHORT);
    timed_out(ssl_connect((NAME, 443), options), Phase::Resolve)?;
    clock.shows(SHORT)?;
    drop(release);
    Ok(())
}

/// A listener whose queue is full: the kernel answers no more.
struct Unanswering {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

fn unanswering() -> Result<Unanswering, Failure> {
    let listener = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?;
    let mut queued = Vec::new();
    for _ in 0..4 {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Under way, and for the last of them for ever.
        let _ = socket.connect(&address);
        queued.push(socket);
    }
    let address = address.as_socket().ok_or_else(|| Failure::new("no address"))?;
    Ok(Unanswering { address, _listener: listener, _queued: queued })
}

fn address_that_does_not_answer(bench: &Bench) -> Result<(), Failure> {
    let silent = unanswering()?;
    let clock = Stopwatch::start();
    let options = options(bench)?.host(NAME).timeout(SHORT);
    timed_out(ssl_connect(silent.address, options), Phase::Connect)?;
    clock.shows(SHORT)
}

/// An address on which nobody listens.
fn refusing() -> Result<SocketAddr, Failure> {
    // Bound and not listening: nobody else can get the port meanwhile. It lives with the process.
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket();
    std::mem::forget(socket);
    address.ok_or_else(|| Failure::new("no address"))
}

/// One that does not answer has its share of the time, and no more.
fn every_address_is_tried(bench: &Bench) -> Result<(), Failure> {
    let (silent, server) = (unanswering()?, bench.server().build()?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addresses = vec![refusing()?, silent.address, listener.local_addr()?];
    let resolver = Resolver::new(move |_, _| Ok(addresses.clone()));
    both(
        || {
            let options = options(bench)?.resolver(resolver).timeout(Duration::from_millis(1500));
            let mut stream = ssl_connect((NAME, 443), options)?;
            ensure!(stream.get_ref().nodelay()?, "TCP_NODELAY is off");
            stream.read_exact(&mut [0; 1])?;
            Ok(stream.close()?)
        },
        || {
            let (mut stream, _) = TlsListener::new(listener, server).accept()?;
            stream.write_all(b"!")?;
            Ok(stream.close()?)
        },
    )?;
    Ok(())
}

/// The message names what was tried.
fn no_address_answers(bench: &Bench) -> Result<(), Failure> {
    let addresses = [refusing()?, refusing()?];
    let resolver = Resolver::new(move |_, _| Ok(addresses.to_vec()));
    let outcome = ssl_connect((NAME, 443), options(bench)?.resolver(resolver).timeout(LONG));
    let error = expect_kind(outcome, ErrorKind::Connect)?;
    ensure_eq!(error.io_kind(), io::ErrorKind::ConnectionRefused);
    ensure!(!error.is_ssl_error(), "{error:?}");
    for address in addresses {
        ensure!(error.to_string().contains(&address.to_string()), "{error}");
    }
    Ok(())
}

/// What the resolver takes is gone for the handshake.
fn one_over_all_phases(bench: &Bench) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let resolver = Resolver::new(move |_, _| {
        let (_keep, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(SHORT / 2);
        Ok(vec![address])
    });
    let clock = Stopwatch::start();
    let options = options(bench)?.resolver(resolver).timeout(SHORT);
    timed_out(ssl_connect((NAME, 443), options), Phase::Handshake)?;
    clock.shows(SHORT)?;
    ensure!(clock.elapsed() < SHORT * 20, "a deadline for each phase");
    Ok(())
}
