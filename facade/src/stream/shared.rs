//! The state of one stream, and the two ways to reach it.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Incoming, Outgoing, StreamSocket};

use super::{close, drive};
use crate::connection::Connection;

/// A connection, its socket, and who is using what.
pub(super) struct Shared<S: StreamSocket> {
    /// `None` only after [`Shared::into_parts`], which consumes the stream.
    socket: Option<S>,
    lock: Lock,
}

/// What stands between two threads that use one stream.
struct Lock {
    state: Mutex<State>,
    /// Told when a send or a receive has ended.
    changed: Condvar,
    /// Held by whoever receives, for the whole of a read.
    reader: Mutex<()>,
    /// Held by whoever writes plaintext, for the whole of a write.
    writer: Mutex<()>,
}

/// What the lock protects.
pub(super) struct State {
    pub(super) connection: Connection,
    /// When the handshake must be over.
    pub(super) deadline: Option<Instant>,
    /// Someone has taken the output and is sending it; what is queued meanwhile is theirs to send.
    pub(super) sending: bool,
    /// How often something was received, or tried to be.
    pub(super) receives: u64,
}

impl State {
    /// Whether there is output to send, and nobody at it.
    #[inline]
    fn has_output(&mut self, claim: Claim) -> bool {
        if self.sending || !self.connection.has_output() {
            return false;
        }
        claim == Claim::All || !self.connection.owes_plaintext()
    }
}

impl<S: StreamSocket> Shared<S> {
    pub(super) fn new(connection: Connection, socket: S, deadline: Option<Instant>) -> Self {
        let state = State { connection, deadline, sending: false, receives: 0 };
        let lock = Lock {
            state: Mutex::new(state),
            changed: Condvar::new(),
            reader: Mutex::new(()),
            writer: Mutex::new(()),
        };
        Self { socket: Some(socket), lock }
    }

    pub(super) fn socket(&self) -> &S {
        there(self.socket.as_ref())
    }

    /// The state, when nobody else can reach it: without a lock.
    pub(super) fn alone(&mut self) -> (&S, Alone<'_>) {
        let state = self.lock.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        (there(self.socket.as_ref()), Alone(state))
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        self.lock.state.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, under its lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.lock.state)
    }

    /// Runs a read, as the only reader.
    pub(super) fn reading<'s, R>(
        &'s self,
        read: impl FnOnce(&mut Locked<'s>, &S) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.handshake()?;
        let _turn = lock(&self.lock.reader);
        self.ending_on_panic(read)
    }

    /// Runs a write, as the only writer.
    pub(super) fn writing<'s, R>(
        &'s self,
        write: impl FnOnce(&mut Locked<'s>, &S) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.handshake()?;
        let _turn = lock(&self.lock.writer);
        self.ending_on_panic(write)
    }

    /// Ends the connection if `work` panics, as a socket may: nobody knows how much of a buffer has
    /// gone then, and whoever waits in another thread would wait for ever.
    fn ending_on_panic<'s, R>(&'s self, work: impl FnOnce(&mut Locked<'s>, &S) -> R) -> R {
        let guard = OnPanic(|| {
            let mut state = self.lock();
            state.sending = false;
            state.connection.lose_output();
            state.connection.ended(Some(&io::ErrorKind::BrokenPipe.into()));
            state.receives += 1;
            drop(state);
            self.lock.changed.notify_all();
            // A socket that has panicked may do so again.
            let end = AssertUnwindSafe(|| self.socket().shutdown(Shutdown::Both));
            let _ = catch_unwind(end);
        });
        let result = work(&mut Locked(&self.lock), self.socket());
        std::mem::forget(guard);
        result
    }

    /// Runs `write` if nobody is writing, for an end, which must not wait for a writer that it may be
    /// there to free; otherwise `None`.
    fn writing_now<'s>(
        &'s self,
        write: impl FnOnce(&mut Locked<'s>, &S) -> Result<(), Error>,
    ) -> Option<Result<(), Error>> {
        let _turn = try_lock(&self.lock.writer)?;
        Some(self.ending_on_panic(write))
    }

    /// Says goodbye, lets whoever reads take what still comes or takes it, and ends both directions.
    ///
    /// # Errors
    ///
    /// As [`close::finish`]; `Io` when somebody is writing, who is cut off.
    pub(super) fn close(&self, timeout: Duration) -> Result<(), Error> {
        let mut clock = close::clock(timeout);
        // Without the writer's turn from then on: to a writer that comes, it is closed.
        let said = self
            .writing_now(|access, socket| close::say_goodbye(access, socket, &mut clock))
            .map(|said| {
                self.ending_on_panic(|access, socket| {
                    close::finish(access, socket, &mut clock, said)
                })
            });
        clock.stop(self.socket());
        let said = said.unwrap_or_else(|| self.cut_off());
        let ended = self.shutdown(Shutdown::Both);
        said?;
        Ok(ended?)
    }

    /// Ends one direction or both, whoever is using them.
    ///
    /// # Errors
    ///
    /// The operating system's; for `Write`, those of a write, and `Io` when somebody is writing, who is
    /// cut off.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let said = match how {
            Shutdown::Read => {
                self.lock().connection.stop_reading();
                Ok(())
            }
            Shutdown::Write => {
                self.writing_now(close::close_write).unwrap_or_else(|| self.cut_off())
            }
            Shutdown::Both => {
                let mut state = self.lock();
                close::say_goodbye_now(&mut state, self.socket());
                state.connection.ended_here();
                Ok(())
            }
        };
        let ended = self.socket().shutdown(how);
        said?;
        ended
    }

    /// What it is to have ended the connection while somebody was writing; a handshake has nothing that
    /// could be cut.
    fn cut_off(&self) -> Result<(), Error> {
        if self.lock().connection.is_handshaking() {
            return Ok(());
        }
        Err(Error::io(ErrorKind::Io, io::ErrorKind::BrokenPipe.into())
            .with_detail("another thread is writing, and is cut off"))
    }

    /// A handshake reads and writes, so it takes both turns; always in this order.
    fn handshake(&self) -> Result<(), Error> {
        let state = self.lock();
        if !state.connection.is_handshaking() {
            return Ok(());
        }
        if state.connection.is_closed() {
            return Err(Error::new(ErrorKind::Closed));
        }
        drop(state);
        let _write_turn = lock(&self.lock.writer);
        let _read_turn = lock(&self.lock.reader);
        self.ending_on_panic(drive::handshake)
    }

    /// The socket, and the bytes received that no session has taken.
    pub(super) fn into_parts(mut self) -> (S, Vec<u8>) {
        let unread = self.state_mut().connection.unread_input().to_vec();
        (there(self.socket.take()), unread)
    }
}

#[expect(clippy::expect_used, reason = "only `into_parts` takes it, and consumes the stream")]
fn there<T>(socket: Option<T>) -> T {
    socket.expect("the socket is there until the stream is consumed")
}

impl<S: StreamSocket> Drop for Shared<S> {
    fn drop(&mut self) {
        let state = self.lock.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A panic may have cut a message short: an end that looks proper would be a lie.
        if let (Some(socket), false) = (&self.socket, std::thread::panicking()) {
            close::abandon(state, socket);
        }
    }
}

impl<S: StreamSocket> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Shared");
        out.field("socket", &self.socket);
        match self.lock.state.try_lock() {
            Ok(state) => out.field("connection", &state.connection),
            Err(_) => out.field("connection", &"in use"),
        };
        out.finish()
    }
}

/// Which output is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    All,
    /// Only while no written plaintext is among it.
    Answers,
}

/// How a driver reaches the state: for a moment at a time, so that the other half can too.
pub(super) trait Access {
    /// Gives the state for as long as it lives.
    type Guard<'a>: DerefMut<Target = State>
    where
        Self: 'a;

    /// Keeps everyone else from receiving for as long as it lives.
    type Turn;

    fn state(&mut self) -> Self::Guard<'_>;

    /// Lets `send` have the output, while others may have the rest of the state, and `then` look at
    /// what came of it; `None` when there is nothing to send, or someone is at it.
    fn sending<R>(
        &mut self,
        claim: Claim,
        send: impl FnOnce(&mut Outgoing) -> R,
        then: impl FnOnce(&mut State, R) -> R,
    ) -> Option<R>;

    /// Lets `receive` store bytes at the input's end, while others may have the rest of the state,
    /// and `then` look at what came of it.
    fn receiving<R>(
        &mut self,
        receive: impl FnOnce(&mut Incoming) -> io::Result<usize>,
        then: impl FnOnce(&mut State, io::Result<usize>) -> R,
    ) -> R;

    /// Waits until nobody is sending, or until the deadline; whether nobody is.
    fn wait_until_sent(&mut self, deadline: Option<Instant>) -> bool;

    /// Tells a reader why what was written could not be sent, if nobody is writing on.
    ///
    /// # Errors
    ///
    /// That error.
    fn check_late(&mut self) -> Result<(), Error>;

    /// The right to receive, unless a reader has it; then waits for what that one receives.
    fn turn_to_receive(&mut self) -> Option<Self::Turn>;
}

/// Nobody else can reach the state.
pub(super) struct Alone<'a>(&'a mut State);

impl Access for Alone<'_> {
    type Guard<'a>
        = &'a mut State
    where
        Self: 'a;

    type Turn = ();

    #[inline]
    fn state(&mut self) -> Self::Guard<'_> {
        self.0
    }

    #[inline]
    fn sending<R>(
        &mut self,
        claim: Claim,
        send: impl FnOnce(&mut Outgoing) -> R,
        then: impl FnOnce(&mut State, R) -> R,
    ) -> Option<R> {
        if !self.0.has_output(claim) {
            return None;
        }
        let result = self.0.connection.sending(send);
        Some(then(self.0, result))
    }

    #[inline]
    fn receiving<R>(
        &mut self,
        receive: impl FnOnce(&mut Incoming) -> io::Result<usize>,
        then: impl FnOnce(&mut State, io::Result<usize>) -> R,
    ) -> R {
        let result = self.0.connection.receiving(receive);
        then(self.0, result)
    }

    fn wait_until_sent(&mut self, _deadline: Option<Instant>) -> bool {
        true
    }

    fn check_late(&mut self) -> Result<(), Error> {
        self.0.connection.tell_reader_late()
    }

    fn turn_to_receive(&mut self) -> Option<()> {
        Some(())
    }
}

/// Others may want the state.
pub(super) struct Locked<'l>(&'l Lock);

impl<'l> Access for Locked<'l> {
    type Guard<'a>
        = MutexGuard<'a, State>
    where
        Self: 'a;

    type Turn = MutexGuard<'l, ()>;

    fn state(&mut self) -> Self::Guard<'_> {
        lock(&self.0.state)
    }

    fn sending<R>(
        &mut self,
        claim: Claim,
        send: impl FnOnce(&mut Outgoing) -> R,
        then: impl FnOnce(&mut State, R) -> R,
    ) -> Option<R> {
        let mut state = lock(&self.0.state);
        if !state.has_output(claim) {
            return None;
        }
        state.sending = true;
        let mut output = state.connection.lend_outgoing();
        drop(state);
        let result = send(&mut output);
        let mut state = lock(&self.0.state);
        state.connection.return_outgoing(output);
        state.sending = false;
        let result = then(&mut state, result);
        drop(state);
        self.0.changed.notify_all();
        Some(result)
    }

    fn receiving<R>(
        &mut self,
        receive: impl FnOnce(&mut Incoming) -> io::Result<usize>,
        then: impl FnOnce(&mut State, io::Result<usize>) -> R,
    ) -> R {
        let mut incoming = lock(&self.0.state).connection.lend_incoming();
        let received = receive(&mut incoming);
        let mut state = lock(&self.0.state);
        state.connection.return_incoming(incoming, *received.as_ref().unwrap_or(&0));
        state.receives += 1;
        let result = then(&mut state, received);
        drop(state);
        self.0.changed.notify_all();
        result
    }

    fn wait_until_sent(&mut self, deadline: Option<Instant>) -> bool {
        let state = lock(&self.0.state);
        let sending = |state: &mut State| state.sending;
        let Some(deadline) = deadline else {
            let waited = self.0.changed.wait_while(state, sending);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            return true;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.0.changed.wait_timeout_while(state, left, sending);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.sending
    }

    fn check_late(&mut self) -> Result<(), Error> {
        // Else the writer's turn is not even tried for: an end that tries for it at the same time would
        // take this reader for a writer.
        if !lock(&self.0.state).connection.is_late() {
            return Ok(());
        }
        match try_lock(&self.0.writer) {
            Some(_turn) => lock(&self.0.state).connection.tell_reader_late(),
            None => Ok(()),
        }
    }

    fn turn_to_receive(&mut self) -> Option<Self::Turn> {
        let state = lock(&self.0.state);
        if let Some(turn) = try_lock(&self.0.reader) {
            return Some(turn);
        }
        // A reader that finds what it wants without receiving tells nobody, hence the bound.
        let (patience, seen) = (Duration::from_millis(10), state.receives);
        let unchanged = |state: &mut State| state.receives == seen;
        let _received = self.0.changed.wait_timeout_while(state, patience, unchanged);
        None
    }
}

/// Does something when a panic passes.
struct OnPanic<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A panic of another thread leaves nothing half-done here that its own error does not tell of.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, unless somebody has it.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
