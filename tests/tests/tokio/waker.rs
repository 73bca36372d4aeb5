//! Whoever is told to wait is woken when there is reason.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use polytls::ErrorKind;
use polytls_conformance::{Bench, Case, Failure, ensure, expect_kind};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::listener::memory_listener;
use crate::support::{Outcome, client, paused};

pub(crate) const CASES: &[Case] = &[
    Case::new("waker::pending_has_registered", pending_has_registered).no_transport(),
    Case::new("waker::a_reader_does_not_steal_from_a_writer", no_theft).no_transport(),
    Case::new("waker::a_reader_that_sends_does_not_steal_either", no_theft_by_success)
        .no_transport(),
    Case::new("waker::a_failure_wakes_the_other_half", failure_wakes).no_transport(),
];

/// A transport that keeps the waker of each call that it left pending, or of each call at all.
#[derive(Debug)]
struct Witness<S> {
    inner: S,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
    /// Takes nothing.
    full: AtomicBool,
    /// Keeps the waker before it knows that the call need not wait, as a transport may.
    eager: AtomicBool,
}

impl Kept {
    /// Wakes whoever waits to read, as the transport would; whether anybody does.
    fn wake_reader(&self) -> bool {
        wake(&self.reader)
    }

    fn wake_writer(&self) -> bool {
        wake(&self.writer)
    }

    /// Takes note of a call's waker, in place of the one before.
    fn keep<T>(&self, slot: &Mutex<Option<Waker>>, cx: &Context<'_>, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() || self.eager.load(Ordering::Relaxed) {
            *lock(slot) = Some(cx.waker().clone());
        }
        polled
    }
}

fn lock(slot: &Mutex<Option<Waker>>) -> MutexGuard<'_, Option<Waker>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(slot: &Mutex<Option<Waker>>) -> bool {
    let waker = lock(slot).take();
    waker.map(Waker::wake).is_some()
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.kept.keep(&self.kept.reader, cx, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witness<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = match self.kept.full.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_write(cx, data),
        };
        self.kept.keep(&self.kept.writer, cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.kept.keep(&self.kept.writer, cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.kept.keep(&self.kept.writer, cx, polled)
    }
}

/// A task that counts how often it was woken.
#[derive(Debug, Default)]
struct Sleeper(AtomicUsize);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Sleeper {
    fn poll<T>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.0.store(0, Ordering::SeqCst);
        poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    fn woken(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

type Stream = polytls::tokio::TlsStream<Witness<tokio::io::DuplexStream>>;
type Peer = polytls::tokio::TlsStream<tokio::io::DuplexStream>;

fn poll_read(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut [0; 100]))
}

fn poll_write(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(cx, &[7; 20_000])
}

/// A server's stream that has not shaken hands, over a transport that is watched; and the other end
/// of that.
async fn fresh(
    bench: &Bench,
    capacity: usize,
) -> Result<(Stream, Arc<Kept>, tokio::io::DuplexStream), Failure> {
    let (listener, dial) = memory_listener(bench.server().build()?);
    let (near, far) = tokio::io::duplex(capacity);
    let kept = Arc::new(Kept::default());
    dial.connect(Witness { inner: far, kept: kept.clone() });
    Ok((listener.accept().await?.0, kept, near))
}

async fn shaken(bench: &Bench, capacity: usize) -> Result<(Stream, Arc<Kept>, Peer), Failure> {
    let (mut stream, kept, near) = fresh(bench, capacity).await?;
    let (peer, done) = tokio::join!(client(bench, near), stream.handshake());
    done?;
    Ok((stream, kept, peer?))
}

fn pending_has_registered(bench: &Bench) -> Outcome {
    paused(async {
        // In the handshake, for reading and for writing.
        let (mut stream, kept, _near) = fresh(bench, 8 << 10).await?;
        let (reader, writer) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
        ensure!(reader.poll(|cx| poll_read(&mut stream, cx)).is_pending(), "nothing came");
        ensure!(writer.poll(|cx| poll_write(&mut stream, cx)).is_pending(), "no handshake yet");
        ensure!(kept.wake_reader(), "nobody waits for the ClientHello");
        ensure!(reader.woken() && writer.woken(), "the ClientHello is both tasks' business");

        // After it.
        let (mut stream, kept, _peer) = shaken(bench, 8 << 10).await?;
        ensure!(reader.poll(|cx| poll_read(&mut stream, cx)).is_pending(), "nothing came");
        ensure!(kept.wake_reader() && reader.woken(), "reading is pending and nobody waits");
        let mut polls = 0;
        while writer.poll(|cx| poll_write(&mut stream, cx)).is_ready() {
            polls += 1;
            ensure!(polls < 100, "the peer does not read, and writing goes on and on");
        }
        ensure!(kept.wake_writer() && writer.woken(), "writing is pending and nobody waits");
        ensure!(writer.poll(|cx| Pin::new(&mut stream).poll_flush(cx)).is_pending(), "flushed");
        ensure!(kept.wake_writer() && writer.woken(), "flushing is pending and nobody waits");
        ensure!(writer.poll(|cx| Pin::new(&mut stream).poll_shutdown(cx)).is_pending(), "shut");
        ensure!(kept.wake_writer() && writer.woken(), "shutdown is pending and nobody waits");
        Ok(())
    })
}

/// A writer waits for room; then a reader polls, and has something to send as well.
fn no_theft(bench: &Bench) -> Outcome {
    paused(async {
        let (mut stream, kept, _peer) = shaken(bench, 8 << 10).await?;
        let (reader, writer) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
        while writer.poll(|cx| poll_write(&mut stream, cx)).is_ready() {}
        ensure!(reader.poll(|cx| poll_read(&mut stream, cx)).is_pending(), "nothing came");
        ensure!(!writer.woken(), "woken without reason");
        ensure!(kept.wake_writer() && writer.woken(), "the reader took the writer's place");
        Ok(())
    })
}

/// A writer waits for room; then a reader polls, sends all there is to send, and waits for something
/// else. The transport knows its waker, and has forgotten the writer's.
fn no_theft_by_success(bench: &Bench) -> Outcome {
    paused(async {
        let (mut stream, kept, _peer) = shaken(bench, 256 << 10).await?;
        let (reader, writer) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
        kept.eager.store(true, Ordering::Relaxed);
        kept.full.store(true, Ordering::Relaxed);
        while writer.poll(|cx| poll_write(&mut stream, cx)).is_ready() {}
        kept.full.store(false, Ordering::Relaxed);
        ensure!(reader.poll(|cx| poll_read(&mut stream, cx)).is_pending(), "nothing came");
        ensure!(stream.connection().output().is_empty(), "there was room, and nothing was sent");
        ensure!(kept.wake_writer(), "writing was pending and nobody waits");
        ensure!(writer.woken(), "the reader took the writer's place");
        ensure!(reader.woken(), "the writer took the reader's place");
        ensure!(writer.poll(|cx| poll_write(&mut stream, cx)).is_ready(), "woken, and no room");
        Ok(())
    })
}

/// One half finds out that the connection has failed; the other one must not wait on.
fn failure_wakes(bench: &Bench) -> Outcome {
    paused(async {
        let (mut stream, _kept, mut peer) = fresh(bench, 8 << 10).await?;
        let (reader, writer) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
        ensure!(writer.poll(|cx| poll_write(&mut stream, cx)).is_pending(), "no handshake yet");
        peer.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let failed = match reader.poll(|cx| poll_read(&mut stream, cx)) {
            Poll::Ready(failed) => failed,
            Poll::Pending => return Err(Failure::new("plaintext is no reason to wait")),
        };
        expect_kind(failed, ErrorKind::PeerNotTls)?;
        ensure!(writer.woken(), "nobody tells the writer, which would wait on");
        let told = match writer.poll(|cx| poll_write(&mut stream, cx)) {
            Poll::Ready(told) => told,
            Poll::Pending => return Err(Failure::new("a failed stream makes a writer wait")),
        };
        expect_kind(told, ErrorKind::PeerNotTls)?;
        let mut alert = Vec::new();
        peer.read_to_end(&mut alert).await?;
        Ok(())
    })
}
