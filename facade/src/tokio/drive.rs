//! Moving bytes between a connection and its transport, by polling.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use polytls_core::{Error, ErrorKind, Phase, io_error_is_closed_transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::wake::{Both, Task};
use crate::connection::{Connection, Progress};

/// What a stream needs beside its transport.
pub(super) struct Driver {
    pub(super) connection: Connection,
    /// When the handshake must be over.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    both: Both,
    /// Bytes went to the transport that it may keep in a buffer of its own.
    unflushed: bool,
    /// The transport takes no more output; reading may still tell why.
    output_broken: Option<io::ErrorKind>,
}

impl Driver {
    pub(super) fn new(connection: Connection, deadline: Option<Instant>) -> Self {
        Self {
            connection,
            deadline,
            timer: None,
            both: Both::default(),
            unflushed: false,
            output_broken: None,
        }
    }

    /// Moves the handshake's deadline.
    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.timer = None;
    }

    /// Takes the handshake to its end, and sends what the peer needs to finish its own.
    pub(super) fn poll_handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if !self.connection.is_handshaking() && self.timer.is_none() {
            return Poll::Ready(Ok(()));
        }
        loop {
            match self.connection.handshake() {
                Ok(Progress::Ready(())) => {
                    if self.connection.peer_waits_for_output() {
                        match self.poll_send(transport, task, cx)? {
                            Poll::Ready(()) => {}
                            Poll::Pending => return self.poll_deadline(task, cx),
                        }
                    }
                    self.timer = None;
                    return Poll::Ready(Ok(()));
                }
                Ok(Progress::NeedsInput | Progress::NeedsOutput) => {
                    // Goes on to read when its write is pending: two ends that both wait to write
                    // would wait for ever.
                    let _ = self.poll_send(transport, task, cx)?;
                    match self.poll_receive(transport, task, cx)? {
                        Poll::Ready(()) => {}
                        Poll::Pending => return self.poll_deadline(task, cx),
                    }
                }
                Err(error) => return self.poll_fail(transport, task, cx, error),
            }
        }
    }

    /// Reads plaintext; 0 when the peer has closed.
    pub(super) fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        ready!(self.poll_handshake(transport, Task::Reader, cx))?;
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
                Err(error) => {
                    ready!(self.poll_fail::<S, ()>(transport, Task::Reader, cx, error))?;
                }
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
        ready!(self.poll_handshake(transport, Task::Writer, cx))?;
        loop {
            self.check_output()?;
            match self.connection.write_vectored(parts) {
                Ok(Progress::Ready(n)) => {
                    // The plaintext is taken: whatever the transport says is for the next call.
                    let _ = self.poll_send(transport, Task::Writer, cx);
                    return Poll::Ready(Ok(n));
                }
                Ok(Progress::NeedsOutput) => {
                    ready!(self.poll_send(transport, Task::Writer, cx))?;
                }
                Ok(Progress::NeedsInput) => {
                    ready!(self.poll_receive(transport, Task::Writer, cx))?;
                }
                Err(error) => {
                    ready!(self.poll_fail::<S, ()>(transport, Task::Writer, cx, error))?;
                }
            }
        }
    }

    /// Hands everything written to the transport, and has it flushed.
    pub(super) fn poll_flush<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_handshake(transport, Task::Writer, cx))?;
        ready!(self.poll_send(transport, Task::Writer, cx))?;
        Poll::Ready(self.check_output())
    }

    /// Sends close_notify and ends the transport's write side.
    pub(super) fn poll_close<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let closed = self.connection.close();
        ready!(self.poll_send(transport, Task::Writer, cx))?;
        if self.output_broken.is_none() {
            let ended = ready!(Pin::new(transport).poll_shutdown(cx));
            if let Err(error) = ended {
                if !io_error_is_closed_transport(&error) {
                    return Poll::Ready(Err(Error::io(ErrorKind::Io, error)));
                }
            }
        }
        Poll::Ready(closed)
    }

    /// Ends the stream without waiting, as the blocking side does: close_notify only if everything
    /// written has left, and only if the transport takes it at once.
    pub(super) fn abandon<S: AsyncRead + AsyncWrite + Unpin>(&mut self, transport: &mut S) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let connection = &mut self.connection;
        let all_has_left = connection.output().is_empty() && self.output_broken.is_none();
        let may_speak = !connection.is_handshaking() && connection.failure().is_none();
        if all_has_left && may_speak && !connection.is_closed() && connection.close().is_ok() {
            let _ = self.poll_send(transport, Task::Writer, &mut cx);
            let _ = Pin::new(&mut *transport).poll_shutdown(&mut cx);
        }
        // Bytes that lie unread when a socket is closed reset it, and take what was sent with them.
        let mut sink = [0; 4096];
        for _ in 0..64 {
            let mut sink = ReadBuf::new(&mut sink);
            let read = Pin::new(&mut *transport).poll_read(&mut cx, &mut sink);
            if !matches!(read, Poll::Ready(Ok(()))) || sink.filled().is_empty() {
                return;
            }
        }
    }

    /// Sends the output and flushes the transport. One that takes no more is remembered, not
    /// returned: what has come in already may tell why, and a reader finds that out.
    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.output_broken.is_some() {
            self.connection.drop_output();
            return Poll::Ready(Ok(()));
        }
        if self.connection.output().is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match self.poll_send_with(transport, cx) {
            Poll::Pending => {
                // Both tasks may need this to go on, whichever of them is polling now.
                let waker = self.both.waker(task, cx);
                self.poll_send_with(transport, &mut Context::from_waker(&waker))
            }
            done => done,
        }
    }

    fn poll_send_with<S: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let result = loop {
            if self.connection.output().is_empty() {
                match ready!(Pin::new(&mut *transport).poll_flush(cx)) {
                    Ok(()) => self.unflushed = false,
                    Err(error) => break Err(error),
                }
                break Ok(());
            }
            let output = self.connection.output();
            match ready!(Pin::new(&mut *transport).poll_write(cx, output)) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.connection.sent(n);
                    self.unflushed = true;
                }
                Err(error) => break Err(error),
            }
        };
        Poll::Ready(match result {
            Ok(()) => Ok(()),
            Err(error) if io_error_is_closed_transport(&error) => {
                self.output_broken = Some(error.kind());
                self.connection.drop_output();
                Ok(())
            }
            Err(error) => Err(Error::io(ErrorKind::Io, error)),
        })
    }

    /// Receives something, or learns that nothing more comes.
    fn poll_receive<S: AsyncRead + Unpin>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let received = if self.connection.is_handshaking() {
            let waker = self.both.waker(task, cx);
            self.poll_receive_with(transport, &mut Context::from_waker(&waker))
        } else {
            self.poll_receive_with(transport, cx)
        };
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
            Err(error) => return Poll::Ready(Err(Error::io(ErrorKind::Io, error))),
        }
        Poll::Ready(Ok(()))
    }

    /// The connection has failed: the alert leaves first, then the error is returned.
    fn poll_fail<S: AsyncRead + AsyncWrite + Unpin, T>(
        &mut self,
        transport: &mut S,
        task: Task,
        cx: &mut Context<'_>,
        error: Error,
    ) -> Poll<Result<T, Error>> {
        if self.connection.failure().is_some() && self.poll_send(transport, task, cx)?.is_pending()
        {
            // A peer that does not listen holds up the error, but not past the deadline.
            if self.deadline.is_none_or(|deadline| Instant::now() < deadline) {
                return self.poll_deadline(task, cx);
            }
        }
        self.timer = None;
        Poll::Ready(Err(error))
    }

    /// Waits no longer than until the handshake's deadline.
    fn poll_deadline<T>(&mut self, task: Task, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        let waker = self.both.waker(task, cx);
        ready!(timer.as_mut().poll(&mut Context::from_waker(&waker)));
        Poll::Ready(Err(Error::new(ErrorKind::Timeout(Phase::Handshake))))
    }

    fn check_output(&self) -> Result<(), Error> {
        match self.output_broken {
            Some(kind) => Err(Error::io(ErrorKind::Io, kind.into())),
            None => Ok(()),
        }
    }
}
