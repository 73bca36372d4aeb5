//! Futures that are dropped before they are done.

use polytls::tokio::{TlsStream, ssl_client_upgrade, ssl_connect, ssl_server_upgrade};
use polytls::{ConnectOptions, UpgradeOptions};
use polytls_conformance::bench::pattern;
use polytls_conformance::pki::NAME;
use polytls_conformance::{Bench, Case, Failure, ensure, ensure_eq};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::yield_now;

use crate::listener::memory_listener;
use crate::support::{Hostile, Manners, Outcome, both, client, once, paused, real, tcp_pair};

pub(crate) const CASES: &[Case] = &[
    Case::new("cancel::every_future", every_future).no_transport(),
    Case::new("cancel::a_handshake_goes_on", a_handshake_goes_on).no_transport(),
    Case::new("cancel::a_dropped_upgrade_closes", a_dropped_upgrade_closes)
        .each_client()
        .no_transport(),
    Case::new("cancel::a_dropped_accept_closes", a_dropped_accept_closes)
        .each_server()
        .no_transport(),
    Case::new("cancel::a_dropped_connect_closes", a_dropped_connect_closes)
        .each_client()
        .any_version()
        .no_transport(),
];

/// Every future is polled once and dropped, at every await point of both ends, from the server's
/// handshake to its end: no byte is lost, and none comes twice.
fn every_future(bench: &Bench) -> Outcome {
    let (question, answer) = (pattern(150_000), pattern(90_000));
    for manners in [
        Manners::default(),
        Manners { hesitates: true, ..Manners::default() },
        Manners { hesitates: true, false_alarms: 1, ..Manners::default() },
    ] {
        paused(async {
            let (listener, dial) = memory_listener(bench.server().build()?);
            let (near, far) = tokio::io::duplex(3000);
            dial.connect(Hostile::new(far, manners));
            both(
                async {
                    let near = Hostile::new(near, manners);
                    impatient(client(bench, near).await?, &question, &answer).await
                },
                async { impatient(listener.accept().await?.0, &answer, &question).await },
            )
            .await
        })?;
    }
    Ok(())
}

async fn impatient<S>(mut stream: TlsStream<S>, say: &[u8], hear: &[u8]) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut said, mut shut, mut heard, mut ended) = (0, false, Vec::new(), false);
    let mut buf = [0; 999];
    while !(shut && ended) {
        if said < say.len() {
            let end = say.len().min(said + 777);
            if let Some(n) = once(stream.write(&say[said..end])).await {
                said += n?;
            }
            if let Some(flushed) = once(stream.flush()).await {
                flushed?;
            }
        } else if !shut {
            if let Some(done) = once(stream.shutdown()).await {
                done?;
                shut = true;
            }
        }
        if !ended {
            if let Some(n) = once(stream.read(&mut buf)).await {
                let n = n?;
                heard.extend_from_slice(&buf[..n]);
                ended = n == 0;
            }
        }
        yield_now().await;
    }
    ensure!(heard == hear, "heard {} bytes, not the {} that were said", heard.len(), hear.len());
    Ok(())
}

fn a_handshake_goes_on(bench: &Bench) -> Outcome {
    let manners = Manners { hesitates: true, bytewise: true, ..Manners::default() };
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let (near, far) = tokio::io::duplex(64);
        dial.connect(Hostile::new(far, manners));
        both(
            async {
                let mut client = client(bench, near).await?;
                client.write_all(b"?").await?;
                client.read_exact(&mut [0; 1]).await?;
                client.shutdown().await?;
                Ok(())
            },
            async {
                let (mut server, _) = listener.accept().await?;
                let mut cancelled = 0;
                while once(server.handshake()).await.transpose()?.is_none() {
                    cancelled += 1;
                    yield_now().await;
                }
                ensure!(cancelled > 100, "cancelled only {cancelled} times");
                server.read_exact(&mut [0; 1]).await?;
                server.write_all(b"!").await?;
                server.flush().await?;
                ensure_eq!(server.read(&mut [0; 1]).await?, 0);
                Ok(())
            },
        )
        .await
    })
}

fn a_dropped_upgrade_closes(bench: &Bench) -> Outcome {
    real(async {
        let (near, mut peer) = tcp_pair()?;
        let options = UpgradeOptions::new().context(bench.client().build()?);
        let mut first = [0];
        tokio::select! {
            // The handshake is under way once its first byte has come.
            read = peer.read_exact(&mut first) => read?,
            done = ssl_client_upgrade(near, NAME, options) => {
                return Err(Failure::new(format!("nobody answered, but {done:?}")));
            }
        };
        ensure_eq!(first, [22], "no ClientHello");
        peer.read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

fn a_dropped_accept_closes(bench: &Bench) -> Outcome {
    real(async {
        let (mut peer, far) = tcp_pair()?;
        let context = bench.server().build()?;
        ensure!(once(ssl_server_upgrade(far, &context)).await.is_none(), "nobody asked");
        ensure_eq!(peer.read(&mut [0; 8]).await?, 0);
        Ok(())
    })
}

fn a_dropped_connect_closes(bench: &Bench) -> Outcome {
    real(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let options = ConnectOptions::new().context(bench.client().build()?).host(NAME);
        let accepted = async {
            let (mut peer, _) = listener.accept().await?;
            // The handshake is under way once its first byte has come.
            peer.read_exact(&mut [0; 1]).await?;
            Ok::<_, Failure>(peer)
        };
        let mut peer = tokio::select! {
            peer = accepted => peer?,
            done = ssl_connect(address, options) => {
                return Err(Failure::new(format!("nobody answered, but {done:?}")));
            }
        };
        peer.read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}
