//! Listeners: no client holds up, ends or hides another.

use std::io;
use std::time::Duration;

use polytls::tokio::{Listener, TlsListener, ssl_connect, ssl_listen};
use polytls::{ConnectOptions, ErrorKind, ListenOptions, Phase, Resolver, ServerContext, Tls};
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::support::{Outcome, both, client, once, paused, real};

pub(crate) const CASES: &[Case] = &[
    Case::new("listener::silent_clients_delay_nobody", silent_clients).no_transport(),
    Case::new("listener::handshaken_past_silent_clients", handshaken_past_silent_clients)
        .no_transport(),
    Case::new("listener::places_are_given_back", places_are_given_back).no_transport(),
    Case::new("listener::failures_come_apart", failures_come_apart).no_transport(),
    Case::new("listener::own_errors", own_errors).each_server().no_transport(),
    Case::new("listener::cancelled_accepts", cancelled_accepts).no_transport(),
    Case::new("listener::dropped_with_handshakes", dropped_with_handshakes)
        .each_server()
        .no_transport(),
    Case::new("listener::renewed_context", renewed_context).no_transport(),
    Case::new("listener::connect_and_listen", connect_and_listen).no_transport(),
    Case::new("listener::unix_sockets", unix_sockets).no_transport(),
];

/// A listener without a network: connections are what somebody hands in.
#[derive(Debug)]
pub(crate) struct MemoryListener<S>(Mutex<mpsc::UnboundedReceiver<io::Result<S>>>);

/// The other side of a [`MemoryListener`].
#[derive(Debug)]
pub(crate) struct Dial<S>(mpsc::UnboundedSender<io::Result<S>>);

impl<S> Dial<S> {
    pub(crate) fn connect(&self, stream: S) {
        let _ = self.0.send(Ok(stream));
    }

    fn fail(&self, kind: io::ErrorKind) {
        let _ = self.0.send(Err(kind.into()));
    }
}

impl<S> Listener for MemoryListener<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug + 'static,
{
    type Stream = S;
    type Address = ();

    async fn accept(&self) -> io::Result<(S, ())> {
        match self.0.lock().await.recv().await {
            Some(accepted) => Ok((accepted?, ())),
            None => std::future::pending().await,
        }
    }
}

pub(crate) fn memory_listener<S>(
    context: ServerContext,
) -> (TlsListener<MemoryListener<S>>, Dial<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    (TlsListener::new(MemoryListener(Mutex::new(receiver)), context), Dial(sender))
}

/// This many clients that never say a word; they stay as long as what is returned.
fn silent(dial: &Dial<DuplexStream>, count: usize) -> Vec<DuplexStream> {
    (0..count)
        .map(|_| {
            let (near, far) = duplex(64 << 10);
            dial.connect(far);
            near
        })
        .collect()
}

async fn greeted(bench: &Bench, dial: &Dial<DuplexStream>) -> Outcome {
    let (near, far) = duplex(64 << 10);
    dial.connect(far);
    let mut client = client(bench, near).await?;
    let mut word = Vec::new();
    client.read_to_end(&mut word).await?;
    ensure_eq!(word, b"hello");
    client.shutdown().await?;
    Ok(())
}

/// `accept` hands out whoever comes; who is silent holds up its own task only.
fn silent_clients(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let start = Instant::now();
        let _silent = silent(&dial, 200);
        let serve = async {
            loop {
                let (mut stream, ()) = listener.accept().await?;
                tokio::spawn(async move {
                    stream.write_all(b"hello").await?;
                    stream.shutdown().await
                });
            }
        };
        tokio::select! {
            failed = serve => failed,
            greeted = greeted(bench, &dial) => greeted,
        }?;
        ensure!(start.elapsed() < Duration::from_secs(1), "delayed by {:?}", start.elapsed());
        Ok(())
    })
}

fn handshaken_past_silent_clients(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let mut listener = listener.handshaken(300);
        let start = Instant::now();
        let _silent = silent(&dial, 200);
        both(greeted(bench, &dial), async {
            let (mut stream, ()) = accepted(listener.accept().await?)?;
            ensure!(stream.protocol_version().is_some(), "handed out before its handshake");
            stream.write_all(b"hello").await?;
            Ok(stream.shutdown().await?)
        })
        .await?;
        ensure!(start.elapsed() < Duration::from_secs(1), "delayed by {:?}", start.elapsed());
        // And each silent one is told of when its time is over.
        for _ in 0..200 {
            let failure = failed(listener.accept().await?)?;
            ensure_eq!(failure.kind(), ErrorKind::Timeout(Phase::Handshake));
        }
        ensure!(start.elapsed() < Duration::from_secs(61), "after {:?}", start.elapsed());
        Ok(())
    })
}

fn accepted<S, A>(
    next: Result<(S, A), polytls::tokio::HandshakeFailure<A>>,
) -> Result<(S, A), Failure> {
    next.map_err(|failure| failure.error.into())
}

fn failed<S, A>(
    next: Result<(S, A), polytls::tokio::HandshakeFailure<A>>,
) -> Result<polytls::Error, Failure> {
    match next {
        Ok(_) => Err(Failure::new("a client was accepted that could not shake hands")),
        Err(failure) => Ok(failure.error),
    }
}

/// With every place taken by silent clients, the next one waits for a deadline, not for ever.
fn places_are_given_back(bench: &Bench) -> Outcome {
    paused(async {
        let context = bench.server().handshake_timeout(Duration::from_secs(10)).build()?;
        let (listener, dial) = memory_listener(context);
        let mut listener = listener.handshaken(2);
        let start = Instant::now();
        let _silent = silent(&dial, 4);
        both(greeted(bench, &dial), async {
            for _ in 0..2 {
                failed(listener.accept().await?)?;
            }
            ensure_eq!(start.elapsed().as_secs(), 10);
            for _ in 0..2 {
                failed(listener.accept().await?)?;
            }
            ensure_eq!(start.elapsed().as_secs(), 20);
            let (mut stream, ()) = accepted(listener.accept().await?)?;
            stream.write_all(b"hello").await?;
            Ok(stream.shutdown().await?)
        })
        .await
    })
}

/// A client that fails is told of, beside those that do not, and ends nothing.
fn failures_come_apart(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let mut listener = listener.handshaken(8);
        let (mut plain, far) = duplex(64 << 10);
        dial.connect(far);
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let error = failed(listener.accept().await?)?;
        ensure_eq!(error.kind(), ErrorKind::PeerNotTls);
        let (gone, far) = duplex(64 << 10);
        dial.connect(far);
        drop(gone);
        let error = failed(listener.accept().await?)?;
        ensure_eq!(error.kind(), ErrorKind::Truncated(Phase::Handshake));
        both(greeted(bench, &dial), async {
            let (mut stream, ()) = accepted(listener.accept().await?)?;
            stream.write_all(b"hello").await?;
            Ok(stream.shutdown().await?)
        })
        .await
    })
}

/// The listener's own errors are told, and it goes on; a client that was gone before is no error.
fn own_errors(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener::<DuplexStream>(bench.server().build()?);
        dial.fail(io::ErrorKind::ConnectionAborted);
        dial.fail(io::ErrorKind::OutOfMemory);
        let error = expect_kind(listener.accept().await, ErrorKind::Io)?;
        ensure_eq!(error.io_kind(), io::ErrorKind::OutOfMemory);
        let mut listener = listener.handshaken(4);
        dial.fail(io::ErrorKind::OutOfMemory);
        expect_kind(listener.accept().await, ErrorKind::Io)?;
        let _silent = silent(&dial, 1);
        failed(listener.accept().await?)?;
        Ok(())
    })
}

/// An accept that is dropped loses nobody.
fn cancelled_accepts(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let mut listener = listener.handshaken(8);
        both(
            async {
                for _ in 0..10 {
                    greeted(bench, &dial).await?;
                }
                Ok(())
            },
            async {
                let mut served = 0;
                while served < 10 {
                    if let Some(next) = once(listener.accept()).await {
                        let (mut stream, ()) = accepted(next?)?;
                        stream.write_all(b"hello").await?;
                        stream.shutdown().await?;
                        served += 1;
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            },
        )
        .await
    })
}

fn dropped_with_handshakes(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let mut listener = listener.handshaken(8);
        let mut silent = silent(&dial, 3);
        for _ in 0..10 {
            ensure!(once(listener.accept()).await.is_none(), "nobody has said a word");
            tokio::task::yield_now().await;
        }
        drop(listener);
        for peer in &mut silent {
            ensure_eq!(peer.read(&mut [0; 8]).await?, 0);
        }
        Ok(())
    })
}

/// A renewed certificate holds from the next connection on.
fn renewed_context(bench: &Bench) -> Outcome {
    let renewed = pki::Leaf::server().issued_by(&pki::standard().intermediate);
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let mut seen = Vec::new();
        for round in 0..2 {
            let (near, far) = duplex(64 << 10);
            dial.connect(far);
            let (client, served) = tokio::join!(client(bench, near), async {
                let (mut stream, ()) = listener.accept().await?;
                if round == 0 {
                    // Also for a handshake that has not begun: this one was accepted before.
                    listener.set_context(bench.server_with(&renewed).build()?);
                }
                stream.handshake().await?;
                Ok::<_, Failure>(stream)
            });
            served?;
            seen.push(client?.peer_certificate().map(|leaf| leaf.der().to_vec()));
        }
        let standard = &pki::standard().server;
        ensure!(seen[0] == leaf_of(standard), "the first has another certificate");
        ensure!(seen[1] == leaf_of(&renewed), "the second has not the renewed certificate");
        Ok(())
    })
}

fn leaf_of(credential: &pki::Credential) -> Option<Vec<u8>> {
    credential.chain.first().cloned()
}

fn connect_and_listen(bench: &Bench) -> Outcome {
    real(async {
        let context = bench.server().build()?;
        let listener = ssl_listen("127.0.0.1:0", context, ListenOptions::new()).await?;
        let open = listener.local_addr()?;
        // Nobody listens there any more.
        let closed = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        // Every address is tried.
        let resolver = Resolver::new(move |_, _| Ok(vec![closed, open]));
        let context = bench.client().build()?;
        both(
            async {
                let options = ConnectOptions::new()
                    .context(context)
                    .resolver(resolver)
                    .timeout(Duration::from_secs(30));
                let mut client = ssl_connect((NAME, 443), options).await?;
                ensure!(client.get_ref().nodelay()?, "small messages wait");
                client.write_all(b"ping").await?;
                client.read_exact(&mut [0; 4]).await?;
                Ok(client.close().await?)
            },
            async {
                let (mut server, _) = listener.accept().await?;
                ensure!(server.get_ref().nodelay()?, "small messages wait");
                server.read_exact(&mut [0; 4]).await?;
                server.write_all(b"pong").await?;
                Ok(server.close().await?)
            },
        )
        .await
    })
}

#[cfg(not(unix))]
fn unix_sockets(_: &Bench) -> Outcome {
    Ok(())
}

#[cfg(unix)]
fn unix_sockets(bench: &Bench) -> Outcome {
    let place = tempfile::tempdir()?;
    let path = place.path().join("socket");
    real(async {
        let listener = tokio::net::UnixListener::bind(&path)?;
        let listener = TlsListener::new(listener, bench.server().build()?);
        both(
            async {
                let stream = tokio::net::UnixStream::connect(&path).await?;
                let mut client = client(bench, stream).await?;
                client.write_all(b"ping").await?;
                client.shutdown().await?;
                Ok(())
            },
            async {
                let (mut server, _) = listener.accept().await?;
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await?;
                ensure_eq!(heard, b"ping");
                Ok(server.close().await?)
            },
        )
        .await
    })
}
