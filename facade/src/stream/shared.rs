//! The state of one stream, and the two ways to reach it.

use std::fmt;
use std::ops::DerefMut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use polytls_core::{Error, StreamSocket};

use super::{close, drive};
use crate::connection::Connection;

/// A connection, its socket, and who is using what.
pub(super) struct Shared<S: StreamSocket> {
    /// `None` only after [`Shared::into_parts`], which consumes the stream.
    socket: Option<S>,
    state: Mutex<State>,
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
    /// The transport takes no more output; reading may still tell why.
    pub(super) output_broken: Option<std::io::ErrorKind>,
}

impl<S: StreamSocket> Shared<S> {
    pub(super) fn new(connection: Connection, socket: S, deadline: Option<Instant>) -> Self {
        let state = State { connection, deadline, sending: false, output_broken: None };
        Self {
            socket: Some(socket),
            state: Mutex::new(state),
            reader: Mutex::new(()),
            writer: Mutex::new(()),
        }
    }

    pub(super) fn socket(&self) -> &S {
        there(self.socket.as_ref())
    }

    /// The state, when nobody else can reach it: without a lock.
    pub(super) fn alone(&mut self) -> (&S, Alone<'_>) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        (there(self.socket.as_ref()), Alone(state))
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, under its lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Runs a read, as the only reader.
    pub(super) fn reading<'s, R>(
        &'s self,
        read: impl FnOnce(&mut Locked<'s>, &S) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.handshake()?;
        let _turn = lock(&self.reader);
        read(&mut Locked(&self.state), self.socket())
    }

    /// Runs a write, as the only writer.
    pub(super) fn writing<'s, R>(
        &'s self,
        write: impl FnOnce(&mut Locked<'s>, &S) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.handshake()?;
        let _turn = lock(&self.writer);
        write(&mut Locked(&self.state), self.socket())
    }

    /// A handshake reads and writes, so it takes both turns; always in this order.
    fn handshake(&self) -> Result<(), Error> {
        if !self.lock().connection.is_handshaking() {
            return Ok(());
        }
        let _write_turn = lock(&self.writer);
        let _read_turn = lock(&self.reader);
        drive::handshake(&mut Locked(&self.state), self.socket())
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
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
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
        match self.state.try_lock() {
            Ok(state) => out.field("connection", &state.connection),
            Err(_) => out.field("connection", &"in use"),
        };
        out.finish()
    }
}

/// How a driver reaches the state: for a moment at a time, so that the other half can too.
pub(super) trait Access {
    /// Whether nobody else can reach the state.
    const ALONE: bool;

    /// Gives the state for as long as it lives.
    type Guard<'a>: DerefMut<Target = State>
    where
        Self: 'a;

    fn state(&mut self) -> Self::Guard<'_>;
}

/// Nobody else can reach the state.
pub(super) struct Alone<'a>(&'a mut State);

impl Access for Alone<'_> {
    const ALONE: bool = true;

    type Guard<'a>
        = &'a mut State
    where
        Self: 'a;

    fn state(&mut self) -> Self::Guard<'_> {
        self.0
    }
}

/// Others may want the state.
pub(super) struct Locked<'l>(&'l Mutex<State>);

impl Access for Locked<'_> {
    const ALONE: bool = false;

    type Guard<'a>
        = MutexGuard<'a, State>
    where
        Self: 'a;

    fn state(&mut self) -> Self::Guard<'_> {
        lock(self.0)
    }
}

/// A panic of another thread leaves nothing half-done here that its own error does not tell of.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
