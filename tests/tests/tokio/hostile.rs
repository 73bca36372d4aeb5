//! Transports that do what they must and no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use polytls::{Error, ErrorKind};
use polytls_conformance::bench::pattern;
use polytls_conformance::{Bench, Case, Failure, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream, ReadBuf};

use crate::support::{Hostile, Manners, Outcome, both, client, converse, paused, server};

pub(crate) const CASES: &[Case] = &[
    Case::new("hostile::hesitates", hesitates).no_transport(),
    Case::new("hostile::bytewise", bytewise).no_transport(),
    Case::new("hostile::false_alarms", false_alarms).no_transport(),
    Case::new("hostile::everything_at_once", everything_at_once).no_transport(),
    Case::new("hostile::tiny_duplex", tiny_duplex).no_transport(),
    Case::new("hostile::keeps_bytes_until_flushed", keeps_bytes_until_flushed).no_transport(),
    Case::new("hostile::ends_anywhere", ends_anywhere).no_transport(),
];

/// Pending at every call, then ready.
fn hesitates(bench: &Bench) -> Outcome {
    let manners = Manners { hesitates: true, ..Manners::default() };
    conversation(bench, manners, 64 << 10, 200_000)
}

fn bytewise(bench: &Bench) -> Outcome {
    conversation(bench, Manners { bytewise: true, ..Manners::default() }, 64 << 10, 20_000)
}

fn false_alarms(bench: &Bench) -> Outcome {
    let manners = Manners { false_alarms: 3, ..Manners::default() };
    conversation(bench, manners, 1000, 200_000)
}

fn everything_at_once(bench: &Bench) -> Outcome {
    conversation(bench, Manners { hesitates: true, bytewise: true, false_alarms: 2 }, 7, 5_000)
}

fn tiny_duplex(bench: &Bench) -> Outcome {
    conversation(bench, Manners::default(), 1, 40_000)
}

/// Both ends say and hear this much at the same time, over a transport that holds so many bytes.
fn conversation(bench: &Bench, manners: Manners, capacity: usize, length: usize) -> Outcome {
    let (question, answer) = (pattern(length), pattern(length + 1000));
    paused(async {
        let (near, far) = tokio::io::duplex(capacity);
        let (near, far) = (Hostile::new(near, manners), Hostile::new(far, manners));
        both(async { converse(client(bench, near).await?, &question, &answer).await }, async {
            converse(server(bench, far).await?, &answer, &question).await
        })
        .await
    })
}

/// A transport with a buffer of its own passes nothing on before it is flushed.
fn keeps_bytes_until_flushed(bench: &Bench) -> Outcome {
    paused(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (near, far) = (BufStream::new(near), BufStream::new(far));
        both(
            async {
                let mut client = client(bench, near).await?;
                for _ in 0..3 {
                    client.write_all(b"ping").await?;
                    client.flush().await?;
                    client.read_exact(&mut [0; 4]).await?;
                }
                client.shutdown().await?;
                Ok(())
            },
            async {
                let mut server = server(bench, far).await?;
                for _ in 0..3 {
                    server.read_exact(&mut [0; 4]).await?;
                    server.write_all(b"pong").await?;
                    server.flush().await?;
                }
                ensure!(server.read(&mut [0; 8]).await? == 0, "more than was said");
                Ok(())
            },
        )
        .await
    })
}

/// Wherever the transport ends, whoever waits for the rest is told, and never that all went well.
fn ends_anywhere(bench: &Bench) -> Outcome {
    let whole = cut_run(bench, [usize::MAX; 2])?;
    for end in [0, 1] {
        // A signature's length differs by a few bytes from one handshake to the next.
        let total = whole.passed[end].saturating_sub(16);
        ensure!(total > 500, "only {total} bytes passed");
        for cut in (0..8).chain((8..total).step_by(total / 16)) {
            let mut limits = [usize::MAX; 2];
            limits[end] = cut;
            let run = cut_run(bench, limits)?;
            let told = |kind| matches!(kind, Some(ErrorKind::Truncated(_)));
            // The one who reads from the end that was cut.
            let reader = run.kinds[1 - end];
            ensure!(told(reader), "cut at {cut} of {total}: {reader:?}");
        }
    }
    Ok(())
}

struct CutRun {
    /// How either end, the client first, failed.
    kinds: [Option<ErrorKind>; 2],
    /// How many bytes either end sent.
    passed: [usize; 2],
}

fn cut_run(bench: &Bench, limits: [usize; 2]) -> Result<CutRun, Failure> {
    let data = pattern(3000);
    let mut run = CutRun { kinds: [None; 2], passed: [0; 2] };
    paused(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut near = Cut { inner: near, left: limits[0], passed: 0 };
        let mut far = Cut { inner: far, left: limits[1], passed: 0 };
        let (client_context, server_context) = (bench.client().build()?, bench.server().build()?);
        let (one, other) = tokio::join!(
            async {
                let options = polytls::UpgradeOptions::new().context(client_context);
                let name = polytls_conformance::pki::NAME;
                let stream = polytls::tokio::ssl_client_upgrade(&mut near, name, options).await;
                speak(stream, &data).await
            },
            async {
                let stream = polytls::tokio::ssl_server_upgrade(&mut far, &server_context).await;
                speak(stream, &data).await
            },
        );
        run.kinds = [one.err(), other.err()];
        run.passed = [near.passed, far.passed];
        Ok(())
    })?;
    Ok(run)
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    stream: Result<polytls::tokio::TlsStream<S>, Error>,
    data: &[u8],
) -> Result<(), ErrorKind> {
    let kind = |error: io::Error| Error::find(&error).map_or(ErrorKind::Internal, Error::kind);
    let mut stream = stream.map_err(|error| error.kind())?;
    // That writing failed is the other end's doing; what reading says counts.
    let written = match stream.write_all(data).await {
        Ok(()) => stream.shutdown().await,
        Err(error) => Err(error),
    };
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.map_err(kind)?;
    written.map_err(kind)
}

/// A transport that ends after so many bytes were written.
#[derive(Debug)]
struct Cut<S> {
    inner: S,
    left: usize,
    passed: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let most = data.len().min(self.left);
        let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &data[..most]))?;
        self.left -= n;
        self.passed += n;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
