//! Nobody holds a stream for ever: deadlines, by tokio's clock.

use std::time::Duration;

use polytls::tokio::{ssl_client_upgrade, ssl_connect, ssl_server_upgrade_with};
use polytls::{ConnectOptions, Error, ErrorKind, Phase, UpgradeOptions};
use polytls_conformance::pki::NAME;
use polytls_conformance::{Bench, Case, ensure, ensure_eq, expect_kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::listener::memory_listener;
use crate::support::{Outcome, both, client, connected, once, paused};

pub(crate) const CASES: &[Case] = &[
    Case::new("deadline::silent_server", silent_server).each_client().no_transport(),
    Case::new("deadline::silent_client", silent_client).each_server().no_transport(),
    Case::new("deadline::goes_on_after", goes_on_after).no_transport(),
    Case::new("deadline::alert_to_nobody", alert_to_nobody).no_transport(),
    Case::new("deadline::tickets_to_nobody", tickets_to_nobody).no_transport(),
    Case::new("deadline::shutdown", shutdown).no_transport(),
    Case::new("deadline::close_before_a_deaf_peer", close_before_a_deaf_peer).no_transport(),
    Case::new("deadline::close_before_a_peer_that_stays", close_before_a_peer_that_stays)
        .no_transport(),
    Case::new("deadline::resolver", resolver).each_client().any_version().no_transport(),
];

const HANDSHAKE: ErrorKind = ErrorKind::Timeout(Phase::Handshake);
const CLOSE: ErrorKind = ErrorKind::Timeout(Phase::Close);

/// The clock is the runtime's: exact when paused, up to the timer's millisecond.
fn passed(start: Instant, expected: Duration) -> Result<(), polytls_conformance::Failure> {
    let passed = start.elapsed();
    let late = passed.saturating_sub(expected);
    ensure!(
        passed >= expected && late <= Duration::from_millis(5),
        "{passed:?} passed, not {expected:?}"
    );
    Ok(())
}

fn silent_server(bench: &Bench) -> Outcome {
    paused(async {
        let context = bench.client().build()?;
        let start = Instant::now();
        let (near, _far) = tokio::io::duplex(64 << 10);
        let options = UpgradeOptions::new().context(context.clone());
        expect_kind(ssl_client_upgrade(near, NAME, options).await, HANDSHAKE)?;
        passed(start, polytls::DEFAULT_HANDSHAKE_TIMEOUT)?;

        // Not even the ClientHello gets away.
        let start = Instant::now();
        let (near, _far) = tokio::io::duplex(1);
        let options = UpgradeOptions::new().context(context).timeout(Duration::from_secs(3));
        expect_kind(ssl_client_upgrade(near, NAME, options).await, HANDSHAKE)?;
        passed(start, Duration::from_secs(3))
    })
}

fn silent_client(bench: &Bench) -> Outcome {
    paused(async {
        let context = bench.server().handshake_timeout(Duration::from_secs(7)).build()?;
        let start = Instant::now();
        let (_near, far) = tokio::io::duplex(64 << 10);
        let options = UpgradeOptions::new();
        expect_kind(ssl_server_upgrade_with(far, &context, options).await, HANDSHAKE)?;
        passed(start, Duration::from_secs(7))?;

        // The deadline counts from accept, whatever call meets it.
        let (listener, dial) = memory_listener(context);
        let (_near, far) = tokio::io::duplex(64 << 10);
        dial.connect(far);
        let (mut server, _) = listener.accept().await?;
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        expect_kind(server.read(&mut [0; 8]).await, HANDSHAKE)?;
        passed(start, Duration::from_secs(7))?;
        expect_kind(server.write(b"x").await, HANDSHAKE)?;
        Ok(())
    })
}

/// A deadline that passed leaves the connection intact.
fn goes_on_after(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let (near, far) = tokio::io::duplex(64 << 10);
        dial.connect(far);
        let (mut server, _) = listener.accept().await?;
        server.set_handshake_timeout(Some(Duration::from_secs(1)));
        expect_kind(server.handshake().await, HANDSHAKE)?;
        server.set_handshake_timeout(Some(Duration::from_secs(1)));
        both(
            async {
                let mut client = client(bench, near).await?;
                client.write_all(b"late").await?;
                client.shutdown().await?;
                Ok(())
            },
            async {
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await?;
                ensure_eq!(heard, b"late");
                Ok(())
            },
        )
        .await
    })
}

/// Why a connection failed is told even if the peer does not take the alert.
fn alert_to_nobody(bench: &Bench) -> Outcome {
    paused(async {
        let (mut client, server) = connected(bench, 16 << 10).await?;
        while let Some(n) = once(client.write(&[7; 10_000])).await {
            n?;
        }
        let (mut transport, _) = server.into_inner();
        transport.write_all(b"not TLS").await?;
        let start = Instant::now();
        expect_kind(client.read(&mut [0; 8]).await, ErrorKind::Protocol)?;
        passed(start, Duration::from_secs(5))?;
        // And at once from then on.
        let start = Instant::now();
        expect_kind(client.read(&mut [0; 8]).await, ErrorKind::Protocol)?;
        expect_kind(client.write(b"x").await, ErrorKind::Protocol)?;
        expect_kind(client.shutdown().await, ErrorKind::Protocol)?;
        passed(start, Duration::ZERO)
    })
}

/// A client that does not read what comes behind the handshake keeps no place for ever.
fn tickets_to_nobody(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        // Too narrow for a server's tickets.
        let (near, far) = tokio::io::duplex(16);
        dial.connect(far);
        let (mut server, _) = listener.accept().await?;
        let (client, shaken) = tokio::join!(client(bench, near), server.handshake());
        let _keeps_silent = client?;
        if let Err(error) = shaken {
            ensure_eq!(error.kind(), HANDSHAKE);
        }
        Ok(())
    })
}

fn shutdown(bench: &Bench) -> Outcome {
    paused(async {
        let (mut client, mut server) = connected(bench, 16 << 10).await?;
        // The server reads no more; the client writes until nothing moves.
        let mut taken = 0;
        while let Some(n) = once(client.write(&[7; 10_000])).await {
            taken += n?;
        }
        let start = Instant::now();
        expect_kind(client.shutdown().await, CLOSE)?;
        passed(start, Duration::from_secs(5))?;
        expect_kind(client.shutdown().await, CLOSE)?;

        // Nothing is lost when the server does read on.
        both(async { Ok(client.shutdown().await?) }, async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await?;
            ensure!(heard == vec![7; taken], "{} of {taken} bytes", heard.len());
            Ok(())
        })
        .await
    })
}

fn close_before_a_deaf_peer(bench: &Bench) -> Outcome {
    paused(async {
        let (mut client, _server) = connected(bench, 16 << 10).await?;
        while let Some(n) = once(client.write(&[7; 10_000])).await {
            n?;
        }
        let start = Instant::now();
        expect_kind(client.close().await, CLOSE)?;
        passed(start, Duration::from_secs(5))?;
        let start = Instant::now();
        expect_kind(client.close_within(Duration::from_secs(20)).await, CLOSE)?;
        passed(start, Duration::from_secs(20))
    })
}

/// That the peer keeps its end open is no failure of ours.
fn close_before_a_peer_that_stays(bench: &Bench) -> Outcome {
    paused(async {
        let (mut client, mut server) = connected(bench, 64 << 10).await?;
        let start = Instant::now();
        client.write_all(b"bye").await?;
        client.close().await?;
        passed(start, Duration::from_secs(5))?;
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await?;
        ensure_eq!(heard, b"bye");
        Ok(())
    })
}

/// Resolving is under the deadline, also by a resolver that blocks.
fn resolver(bench: &Bench) -> Outcome {
    let context = bench.client().build()?;
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let stuck = polytls::Resolver::new(move |_, _| {
        let _ = blocked.lock().map(|blocked| blocked.recv());
        Ok(Vec::new())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let options = ConnectOptions::new()
            .context(context.clone())
            .resolver(stuck)
            .timeout(Duration::from_millis(20));
        let error = expect_kind(
            ssl_connect("name.polytls.test:443", options).await,
            ErrorKind::Timeout(Phase::Resolve),
        )?;
        ensure!(!error.is_ssl_error(), "{error:?}");
        let empty = polytls::Resolver::new(|_, _| Ok(Vec::new()));
        let options = ConnectOptions::new().context(context).resolver(empty);
        let failed: Result<_, Error> = ssl_connect("name.polytls.test:443", options).await;
        expect_kind(failed, ErrorKind::Resolve)?;
        Ok(())
    });
    drop(release);
    outcome
}
