//! Moving bytes between a connection and its transport, by polling.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use polytls_core::{Error, ErrorKind, Phase, io_error_is_closed_transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, sleep_until};

use super::now;
use super::wake::{Both, Task};
use crate::connection::output::{MOST_DISCARDS, PATIENCE};
use crate::connection::{Connection, Progress};
use crate::upgrade::earlier;

/// What a stream needs beside its transport.
pub(super) struct Driver {
    pub(super) connection: Connection,
    /// When the handshake must be over.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The handshake is done, and what the peer needs of it is with the transport.
    shaken: bool,
    /// When [`PATIENCE`] ends.
    farewell: Option<Pin<Box<Sleep>>>,
    both: Both,
    /// The transport's write side has ended.
    ended: bool,
}

/// How much of the last flight a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastFlight {
    /// What the peer cannot do without. A TLS 1.3 server's tickets may leave with its first data.
    Needed,
    /// Everything.
    Whole,
}

impl Driver {
    pub(super) fn new(connection: Connection, deadline: Option<Instant>) -> Self {
        Self {
            connection,
            deadline,
            timer: None,
            shaken: false,
            farewell: None,
            both: Both::default(),
            ended: false,
        }
    }

    /// Moves the handshake's deadline.
    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.timer = None;
    }

    /// Takes the handshake to its end, and sends its last flight; fails when the connection has failed,
    /// then or later.
    pub(super) fn poll_handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        flight: LastFlight,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.shaken && self.connection.is_open() {
            return Poll::Ready(Ok(()));
        }
        while !self.shaken {
            match self.connection.handshake() {
                Ok(Progress::Ready(())) => {
                    if flight == LastFlight::Whole || self.connection.peer_waits_for_output() {
                        match self.poll_send(transport, task, cx)? {
                            Poll::Ready(()) => {}
                            Poll::Pending => return self.poll_deadline(task, cx),
                        }
                    }
                    self.shaken = true;
                    self.timer = None;
                    // Whoever has shaken hands may not be who goes on with the stream.
                    self.both.settle(task);
                }
                Ok(Progress::NeedsInput | Progress::NeedsOutput) => {
                    // Goes on to read when its write is pending: two ends that both wait to write
                    // would wait for ever.
                    let _ = self.poll_send(transport, task, cx)?;
                    // A flood must not keep the clock from being looked at.
                    if self.deadline.is_some_and(|deadline| now() >= deadline) {
                        return Poll::Ready(Err(Error::new(ErrorKind::Timeout(Phase::Handshake))));
                    }
                    match self.poll_receive(transport, task, cx)? {
                        Poll::Ready(()) => {}
                        Poll::Pending => return self.poll_deadline(task, cx),
                    }
                }
                Err(error) => return self.poll_fail(transport, task, cx, error),
            }
        }
        match self.connection.failure().cloned() {
            Some(error) => self.poll_fail(transport, task, cx, error),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Reads plaintext; 0 when the peer has closed.
    pub(super) fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        ready!(self.poll_handshake(transport, LastFlight::Needed, Task::Reader, cx))?;
        loop {
            match self.connection.read(buf) {
                Ok(Progress::Ready(n)) => return Poll::Ready(Ok(n)),
                Ok(Progress::NeedsInput) => {
                    let _ = self.poll_send(transport, Task::Reader, cx)?;
                    ready!(self.poll_receive(transport, Task::Reader, cx))?;
                }
                Ok(Progress::NeedsOutput) => {
                    ready!(self.poll_send(transport, Task::Reader, cx))?;
                }
                Err(error) => return self.poll_fail(transport, Task::Reader, cx, error),
            }
        }
    }

    /// Encrypts what there is room for, and starts to send it.
    pub(super) fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        ready!(self.poll_handshake(transport, LastFlight::Needed, Task::Writer, cx))?;
        loop {
            self.connection.check_late()?;
            self.connection.check_output()?;
            match self.connection.write_vectored(parts) {
                Ok(Progress::Ready(n)) => {
                    // The plaintext is taken: whatever the transport says is for the next call.
                    if let Poll::Ready(Err(error)) = self.poll_send(transport, Task::Writer, cx) {
                        self.connection.keep_late(error);
                    }
                    return Poll::Ready(Ok(n));
                }
                Ok(Progress::NeedsOutput) => {
                    ready!(self.poll_send(transport, Task::Writer, cx))?;
                }
                Ok(Progress::NeedsInput) => {
                    let _ = self.poll_send(transport, Task::Writer, cx)?;
                    ready!(self.poll_receive(transport, Task::Writer, cx))?;
                }
                Err(error) => return self.poll_fail(transport, Task::Writer, cx, error),
            }
        }
    }

    /// Hands everything written to the transport, and has it flushed.
    pub(super) fn poll_flush<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_handshake(transport, LastFlight::Needed, Task::Writer, cx))?;
        self.connection.check_late()?;
        ready!(self.poll_send(transport, Task::Writer, cx))?;
        Poll::Ready(self.connection.check_output())
    }

    /// Sends close_notify and ends the transport's write side.
    pub(super) fn poll_close<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let (handshaking, again) = (self.connection.is_handshaking(), self.connection.is_closed());
        if let Err(error) = self.connection.close() {
            return self.poll_fail(transport, Task::Writer, cx, error);
        }
        if handshaking && !again {
            // A reader may wait for a handshake that is now over.
            self.both.wake();
        }
        ready!(self.poll_end(transport, Task::Writer, cx))?;
        Poll::Ready(self.connection.check_loss())
    }

    /// [`poll_close`](Self::poll_close), which a peer that has stopped reading cannot hold for ever.
    pub(super) fn poll_shutdown<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if let Poll::Ready(result) = self.poll_close(transport, cx) {
            self.farewell = None;
            return Poll::Ready(result);
        }
        ready!(self.poll_patience(Task::Writer, cx));
        self.farewell = None;
        Poll::Ready(Err(Error::new(ErrorKind::Timeout(Phase::Close))))
    }

    /// Ends the stream without waiting, as the blocking side does: close_notify only if everything
    /// written has left, and only if the transport takes it at once.
    pub(super) fn abandon<S: AsyncRead + AsyncWrite + Unpin>(&mut self, transport: &mut S) {
        let mut cx = Context::from_waker(Waker::noop());
        if self.connection.may_say_goodbye() && self.connection.close().is_ok() {
            let _ = self.poll_end(transport, Task::Writer, &mut cx);
        }
        discard(transport);
    }

    /// Sends the output and ends the transport's write side.
    fn poll_end<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_send(transport, task, cx))?;
        if self.ended || self.connection.is_output_broken() {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.both.poll(task, cx, |cx| Pin::new(transport).poll_shutdown(cx)));
        self.ended = true;
        Poll::Ready(match result {
            Err(error) if !io_error_is_closed_transport(&error) => Err(error.into()),
            _ => Ok(()),
        })
    }

    /// Sends the output and flushes the transport. One that takes no more is remembered, not
    /// returned: what has come in already may tell why, and a reader finds that out.
    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if !self.connection.has_output() {
            return Poll::Ready(Ok(()));
        }
        // Both tasks may need this to go on, whichever of them is polling now.
        self.poll_for_both(task, cx, |this, cx| this.poll_send_with(transport, cx))
    }

    fn poll_send_with<S: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let result = loop {
            if self.connection.output().is_empty() {
                match ready!(Pin::new(&mut *transport).poll_flush(cx)) {
                    Ok(()) => self.connection.flushed(),
                    Err(error) => break Err(error),
                }
                break Ok(());
            }
            let output = self.connection.output();
            match ready!(Pin::new(&mut *transport).poll_write(cx, output)) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.connection.sent(n),
                Err(error) => break Err(error),
            }
        };
        Poll::Ready(match result {
            Ok(()) => Ok(()),
            Err(error) if io_error_is_closed_transport(&error) => {
                self.connection.break_output(error.kind());
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
    }

    /// Receives something, or learns that nothing more comes.
    fn poll_receive<S: AsyncRead + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        // Whoever receives may bring what the other one waits for: the handshake's end, or the rest of
        // a message that stands in the way of writing.
        let received =
            self.poll_for_both(task, cx, |this, cx| this.poll_receive_with(transport, cx));
        if received.is_pending() {
            self.connection.park();
        }
        received
    }

    fn poll_receive_with<S: AsyncRead + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let space = self.connection.input();
        if space.is_empty() {
            // Asking for no bytes would look like the end.
            return Poll::Ready(Err(Error::internal("records wait and no session takes them")));
        }
        let mut space = ReadBuf::new(space);
        let result = ready!(Pin::new(transport).poll_read(cx, &mut space));
        let n = space.filled().len();
        self.connection.received(n);
        match result {
            Ok(()) if n == 0 => self.connection.ended(None),
            Ok(()) => {}
            Err(error) if io_error_is_closed_transport(&error) => {
                self.connection.ended(Some(&error));
            }
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        Poll::Ready(Ok(()))
    }

    /// The connection has failed: the alert leaves first, and the transport's end behind it, so that
    /// the peer gets both rather than a reset. Then the error is returned.
    fn poll_fail<S: AsyncRead + AsyncWrite + Unpin, T>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
        error: Error,
    ) -> Poll<Result<T, Error>> {
        if self.connection.failure().is_some() && !self.ended {
            let said = self.poll_end(transport, task, cx);
            // A peer that does not listen holds up the error, but not for ever.
            if said.is_pending() {
                ready!(self.poll_patience(task, cx));
            }
            self.ended = true;
            discard(transport);
            // The other task waits for something that will not come.
            self.both.wake();
        }
        self.timer = None;
        Poll::Ready(Err(error))
    }

    fn poll_for_both<T>(
        &mut self,
        task: Task,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut both = std::mem::take(&mut self.both);
        let polled = both.poll(task, cx, |cx| poll(self, cx));
        self.both = both;
        polled
    }

    /// Waits no longer than until the handshake's deadline.
    fn poll_deadline<T>(&mut self, task: Task, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        ready!(self.both.poll(task, cx, |cx| timer.as_mut().poll(cx)));
        Poll::Ready(Err(Error::new(ErrorKind::Timeout(Phase::Handshake))))
    }

    /// Waits no longer than [`PATIENCE`], nor than the handshake's deadline while that counts.
    fn poll_patience(&mut self, task: Task, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = if self.shaken { None } else { self.deadline };
        let timer = self.farewell.get_or_insert_with(|| {
            let until = earlier(deadline, Some(PATIENCE), now());
            Box::pin(until.map_or_else(|| sleep(PATIENCE), |until| sleep_until(until.into())))
        });
        self.both.poll(task, cx, |cx| timer.as_mut().poll(cx))
    }
}

/// Throws away what has come.
fn discard<S: AsyncRead + Unpin>(transport: &mut S) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut sink = [0; 4096];
    for _ in 0..MOST_DISCARDS {
        let mut sink = ReadBuf::new(&mut sink);
        let read = Pin::new(&mut *transport).poll_read(&mut cx, &mut sink);
        if !matches!(read, Poll::Ready(Ok(()))) || sink.filled().is_empty() {
            return;
        }
    }
}
