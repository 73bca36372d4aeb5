//! TLS inside TLS: an HTTPS proxy that is reached by TLS itself.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use polytls::{
    Capability, ClientAuth, ClientContext, ErrorKind, Phase, ProtocolVersion, ServerContext,
    StreamSocket, Tls as _, TlsStream, UpgradeOptions, ssl_client_upgrade, ssl_server_upgrade,
};

use super::deadline::{LONG, SHORT, Stopwatch, timed_out};
use crate::bench::{both, pattern};
use crate::pki::NAME;
use crate::transport::{Delivery, Entangled, Transport, pipe};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("nested::both_ways", both_ways).transports(&[
        Transport::Whole,
        Transport::Bytewise,
        Transport::Tcp,
    ]),
    Case::new("nested::every_backend_inside", every_backend_inside).no_transport(),
    Case::new("nested::inner_end_is_clean", inner_end_is_clean).no_transport(),
    Case::new("nested::outer_end_truncates_the_inner", outer_end_truncates_the_inner)
        .no_transport(),
    Case::new("nested::cut_truncates_both", cut_truncates_both).no_transport(),
    Case::new("nested::timeout_reaches_the_inner", timeout_reaches_the_inner).no_transport(),
    Case::new("nested::handshake_deadline", handshake_deadline).no_transport(),
    Case::new("nested::handshake_deadline_where_sending_receives", deadline_where_sending_receives)
        .each_client()
        .no_transport(),
    Case::new("nested::outer_failure_is_told", outer_failure_is_told).no_transport(),
    Case::new("nested::outer_refusal_is_told", outer_refusal_is_told)
        .server_needs(Capability::ClientAuth)
        .no_transport(),
];

/// Contexts of the outer and of the inner connection, each with a backend of its own.
struct Contexts {
    outer: (ClientContext, ServerContext),
    inner: (ClientContext, ServerContext),
}

impl Contexts {
    /// Inside, the two backends change places, in whatever version they share.
    fn new(bench: &Bench) -> Result<Self, Failure> {
        let (client, server) = (bench.client_backend(), bench.server_backend());
        let any = (ProtocolVersion::Tls12, ProtocolVersion::Tls13);
        let inner_client = bench.client().min_version(any.0).max_version(any.1).backend(server);
        let inner_server = bench.server().min_version(any.0).max_version(any.1).backend(client);
        Ok(Self {
            outer: (bench.client().build()?, bench.server().build()?),
            inner: (inner_client.build()?, inner_server.build()?),
        })
    }

    fn client<S: StreamSocket>(&self, socket: S) -> Result<TlsStream<TlsStream<S>>, Failure> {
        let options = |context: &ClientContext| UpgradeOptions::new().context(context.clone());
        let outer = ssl_client_upgrade(socket, NAME, options(&self.outer.0))?;
        Ok(ssl_client_upgrade(outer, NAME, options(&self.inner.0))?)
    }

    fn server<S: StreamSocket>(&self, socket: S) -> Result<TlsStream<TlsStream<S>>, Failure> {
        let outer = ssl_server_upgrade(socket, &self.outer.1)?;
        Ok(ssl_server_upgrade(outer, &self.inner.1)?)
    }
}

fn both_ways(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = bench.transport().pair();
    exchange(&Contexts::new(bench)?, near.into_stream(), far.into_stream())
}

/// A lot each way, and a clean end of both.
fn exchange<S: StreamSocket>(contexts: &Contexts, near: S, far: S) -> Result<(), Failure> {
    let data = pattern(if cfg!(debug_assertions) { 40_000 } else { 400_000 });
    both(
        || {
            let mut client = contexts.client(near)?;
            ensure_eq!(client.backend(), contexts.inner.0.backend().name());
            ensure_eq!(client.get_ref().backend(), contexts.outer.0.backend().name());
            client.write_all(&data)?;
            let mut got = vec![0; data.len()];
            client.read_exact(&mut got)?;
            ensure!(got == data, "the client got something else");
            Ok(client.close()?)
        },
        || {
            let mut server = contexts.server(far)?;
            let mut got = vec![0; data.len()];
            server.read_exact(&mut got)?;
            ensure!(got == data, "the server got something else");
            server.write_all(&data)?;
            ensure_eq!(server.read(&mut [0; 1])?, 0);
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

fn every_backend_inside(bench: &Bench) -> Result<(), Failure> {
    for backend in bench.backends() {
        let contexts = Contexts {
            outer: (bench.client().build()?, bench.server().build()?),
            inner: (
                ClientContext::builder()
                    .backend(*backend)
                    .trust(crate::bench::trust_only(crate::pki::standard().root.der()))
                    .build()?,
                ServerContext::builder(crate::pki::standard().server.identity())
                    .backend(*backend)
                    .build()?,
            ),
        };
        let (near, far) = pipe(Delivery::Whole);
        exchange(&contexts, near, far).map_err(|failure| failure.at(backend.name()))?;
    }
    Ok(())
}

/// The inner close_notify ends the inner connection, and the outer one ends cleanly behind it.
fn inner_end_is_clean(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let mut client = contexts.client(near)?;
            client.write_all(b"bye")?;
            client.close()?;
            let (mut outer, rest) = client.into_inner();
            ensure!(rest.is_empty(), "{rest:?}");
            ensure_eq!(outer.read(&mut [0; 1])?, 0);
            Ok(())
        },
        || {
            let mut server = contexts.server(far)?;
            let mut all = Vec::new();
            server.read_to_end(&mut all)?;
            ensure_eq!(all, b"bye");
            Ok(server.close()?)
        },
    )?;
    Ok(())
}

/// A proxy that ends the outer connection properly has still cut the inner one.
fn outer_end_truncates_the_inner(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let mut client = contexts.client(near)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            expect_kind(client.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        || {
            let mut server = contexts.server(far)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            let (mut outer, _) = server.into_inner();
            Ok(outer.close()?)
        },
    )?;
    Ok(())
}

fn cut_truncates_both(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = pipe(Delivery::Whole);
    let to_client = far.outgoing();
    both(
        || {
            let mut client = contexts.client(near)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            expect_kind(client.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            let (mut outer, _) = client.into_inner();
            expect_kind(outer.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
            Ok(())
        },
        || {
            let mut server = contexts.server(far)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            to_client.end();
            Ok(())
        },
    )?;
    Ok(())
}

fn timeout_reaches_the_inner(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = Transport::Tcp.pair();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    both(
        || {
            let mut client = contexts.client(near.into_stream())?;
            client.write_all(b"?")?;
            client.get_ref().get_ref().set_read_timeout(Some(Duration::from_millis(5)))?;
            expect_kind(client.read(&mut [0; 8]), ErrorKind::Timeout(Phase::Read))?;
            client.get_ref().get_ref().set_read_timeout(None)?;
            drop(go);
            client.read_exact(&mut [0; 1])?;
            Ok(client.close()?)
        },
        {
            let contexts = &contexts;
            move || {
                let mut server = contexts.server(far.into_stream())?;
                server.read_exact(&mut [0; 1])?;
                let _ = gone.recv();
                server.write_all(b"!")?;
                ensure_eq!(server.read(&mut [0; 1])?, 0);
                Ok(())
            }
        },
    )?;
    Ok(())
}

/// A peer that is silent inside.
fn handshake_deadline(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = Transport::Tcp.pair();
    both(
        || {
            let options = UpgradeOptions::new().context(contexts.outer.0.clone());
            let outer = ssl_client_upgrade(near.into_stream(), NAME, options)?;
            let options = UpgradeOptions::new().context(contexts.inner.0.clone());
            let options = options.timeout(Duration::from_millis(20));
            let outcome = ssl_client_upgrade(outer, NAME, options);
            expect_kind(outcome, ErrorKind::Timeout(Phase::Handshake))?;
            Ok(())
        },
        || {
            let mut outer = ssl_server_upgrade(far.into_stream(), &contexts.outer.1)?;
            // The inner ClientHello, and then the end.
            outer.read_to_end(&mut Vec::new())?;
            Ok(())
        },
    )?;
    Ok(())
}

/// An outer connection that wants the rest of a message before it writes, from a peer that is silent:
/// the deadline holds for what sending receives, and afterwards both timeouts are as they were.
fn deadline_where_sending_receives(bench: &Bench) -> Result<(), Failure> {
    let (near, _silent) = pipe(Delivery::Whole);
    let outer: Arc<dyn StreamSocket> = Arc::new(Entangled::new(near));
    // Both far beyond the deadline.
    let own = (Some(LONG), Some(2 * LONG));
    outer.set_read_timeout(own.0)?;
    outer.set_write_timeout(own.1)?;
    let options = UpgradeOptions::new().context(bench.client().build()?);
    let clock = Stopwatch::start();
    let outcome = ssl_client_upgrade(outer.clone(), NAME, options.timeout(SHORT));
    timed_out(outcome.map(drop), Phase::Handshake)?;
    clock.shows(SHORT)?;
    ensure_eq!((outer.read_timeout()?, outer.write_timeout()?), own);
    Ok(())
}

/// What broke the outer connection is found beneath the inner one's error.
fn outer_failure_is_told(bench: &Bench) -> Result<(), Failure> {
    let contexts = Contexts::new(bench)?;
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let mut client = contexts.client(near)?;
            client.write_all(b"?")?;
            client.read_exact(&mut [0; 1])?;
            crate::expect_kind(client.read(&mut [0; 8]), ErrorKind::Protocol)?;
            Ok(())
        },
        || {
            let mut server = contexts.server(far)?;
            server.read_exact(&mut [0; 1])?;
            server.write_all(b"!")?;
            // Past both.
            server.get_ref().get_ref().send(b"garbage")?;
            let _ = server.read(&mut [0; 1]);
            Ok(())
        },
    )?;
    Ok(())
}

/// A proxy that demands a client certificate says so late in TLS 1.3, when the inner handshake is under
/// way already.
fn outer_refusal_is_told(bench: &Bench) -> Result<(), Failure> {
    let mut contexts = Contexts::new(bench)?;
    let root = crate::bench::trust_only(crate::pki::standard().root.der());
    contexts.outer.1 = bench.server().client_auth(ClientAuth::Required(root)).build()?;
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let options = |context: &ClientContext| UpgradeOptions::new().context(context.clone());
            let outcome = ssl_client_upgrade(near, NAME, options(&contexts.outer.0))
                .and_then(|outer| ssl_client_upgrade(outer, NAME, options(&contexts.inner.0)));
            expect_kind(outcome, ErrorKind::ClientCertificateRequired)?;
            Ok(())
        },
        || {
            let outcome = ssl_server_upgrade(far, &contexts.outer.1);
            expect_kind(outcome, ErrorKind::ClientCertificateRequired)?;
            Ok(())
        },
    )?;
    Ok(())
}
