//! What the tests share: runtimes, connections, and transports that behave badly.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use polytls::UpgradeOptions;
use polytls::tokio::{TlsStream, ssl_client_upgrade, ssl_server_upgrade};
use polytls_conformance::pki::NAME;
use polytls_conformance::{Bench, Failure, ensure};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

pub(crate) type Outcome = Result<(), Failure>;

/// Runs a script without real sockets: when nothing can happen any more but the passing of time, time
/// passes at once.
pub(crate) fn paused(script: impl Future<Output = Outcome>) -> Outcome {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let patience = Duration::from_secs(24 * 60 * 60);
        match tokio::time::timeout(patience, script).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new("hangs: nothing can happen any more")),
        }
    })
}

/// Runs a script with real sockets.
pub(crate) fn real(script: impl Future<Output = Outcome>) -> Outcome {
    Builder::new_current_thread().enable_all().build()?.block_on(script)
}

/// Runs the two ends of a connection at the same time; when both fail, tells of both.
pub(crate) async fn both(
    client: impl Future<Output = Outcome>,
    server: impl Future<Output = Outcome>,
) -> Outcome {
    match tokio::join!(client, server) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(client), Ok(())) => Err(client.at("client")),
        (Ok(()), Err(server)) => Err(server.at("server")),
        (Err(client), Err(server)) => {
            Err(Failure::new(format!("client: {client}; server: {server}")))
        }
    }
}

/// The client's end of a connection.
pub(crate) async fn client<S>(bench: &Bench, transport: S) -> Result<TlsStream<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let options = UpgradeOptions::new().context(bench.client().build()?);
    Ok(ssl_client_upgrade(transport, NAME, options).await?)
}

/// The server's end of a connection.
pub(crate) async fn server<S>(bench: &Bench, transport: S) -> Result<TlsStream<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Ok(ssl_server_upgrade(transport, &bench.server().build()?).await?)
}

/// Both ends of a connection whose handshake is done, over a transport in memory that holds this many
/// bytes, at least enough for a server's tickets.
pub(crate) async fn connected(
    bench: &Bench,
    capacity: usize,
) -> Result<(TlsStream<DuplexStream>, TlsStream<DuplexStream>), Failure> {
    let (near, far) = tokio::io::duplex(capacity);
    let (client, server) = tokio::join!(client(bench, near), server(bench, far));
    Ok((client?, server?))
}

/// Writes everything and shuts down, and reads to the end at the same time.
pub(crate) async fn converse<S>(stream: TlsStream<S>, say: &[u8], hear: &[u8]) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(say).await?;
        writer.shutdown().await?;
        Ok::<_, Failure>(())
    };
    let read = async {
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).await?;
        ensure!(
            heard == hear,
            "heard {} bytes, not the {} that were said",
            heard.len(),
            hear.len()
        );
        Ok::<_, Failure>(())
    };
    let (written, read) = tokio::join!(write, read);
    // Why reading failed says more.
    read.and(written)
}

/// Polls a future once and drops it.
pub(crate) async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Both ends of a TCP connection over loopback; the client's first.
pub(crate) fn tcp_pair() -> Result<(TcpStream, TcpStream), Failure> {
    let (near, far) = polytls_conformance::transport::tcp_pair();
    let tokio = |socket: std::net::TcpStream| {
        socket.set_nonblocking(true)?;
        TcpStream::from_std(socket)
    };
    Ok((tokio(near)?, tokio(far)?))
}

/// How a [`Hostile`] transport misbehaves, within its rights.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// Every call is pending once before it does anything.
    pub(crate) hesitates: bool,
    /// One byte at a time, both ways.
    pub(crate) bytewise: bool,
    /// How often it wakes whoever waits although nothing has changed.
    pub(crate) false_alarms: u32,
}

/// A transport that does what it must and no more.
#[derive(Debug)]
pub(crate) struct Hostile<S> {
    inner: S,
    manners: Manners,
    hesitated: [bool; 4],
    alarms: [u32; 4],
}

impl<S> Hostile<S> {
    pub(crate) fn new(inner: S, manners: Manners) -> Self {
        Self { inner, manners, hesitated: [false; 4], alarms: [0; 4] }
    }

    fn call<T>(
        &mut self,
        which: usize,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut S, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.manners.hesitates && !std::mem::replace(&mut self.hesitated[which], true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = call(&mut self.inner, cx);
        match polled {
            Poll::Ready(_) => {
                self.hesitated[which] = false;
                self.alarms[which] = 0;
            }
            Poll::Pending if self.alarms[which] < self.manners.false_alarms => {
                self.alarms[which] += 1;
                cx.waker().wake_by_ref();
            }
            Poll::Pending => {}
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hostile<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytewise = self.manners.bytewise;
        self.call(0, cx, |inner, cx| {
            if !bytewise {
                return Pin::new(inner).poll_read(cx, buf);
            }
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(inner).poll_read(cx, &mut one))?;
            buf.put_slice(one.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hostile<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = if self.manners.bytewise { 1 } else { data.len() };
        self.call(1, cx, |inner, cx| Pin::new(inner).poll_write(cx, &data[..most.min(data.len())]))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(2, cx, |inner, cx| Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(3, cx, |inner, cx| Pin::new(inner).poll_shutdown(cx))
    }
}
