//! One deadline over many system calls, laid on a socket that only knows how long one may take.

use std::io;
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, StreamSocket};

/// A deadline, or none, and what is being done.
pub(super) struct Clock {
    deadline: Option<Instant>,
    phase: Phase,
    /// The socket's own timeouts for reading and writing, to be put back.
    own: [Option<Duration>; 2],
    /// Those hold as well.
    own_hold: bool,
    /// What the socket is set to now.
    set: Option<Duration>,
    /// The socket takes timeouts.
    works: bool,
}

impl Clock {
    /// No deadline but the socket's own timeouts.
    pub(super) fn none(phase: Phase) -> Self {
        Self { deadline: None, phase, own: [None; 2], own_hold: true, set: None, works: true }
    }

    /// A deadline. Call [`Clock::stop`] when it is over.
    pub(super) fn start<S: StreamSocket + ?Sized>(
        socket: &S,
        deadline: Option<Instant>,
        phase: Phase,
    ) -> Self {
        let mut clock = Self::none(phase);
        if deadline.is_some() {
            clock.deadline = deadline;
            clock.own = [
                socket.read_timeout().unwrap_or_default(),
                socket.write_timeout().unwrap_or_default(),
            ];
        }
        clock
    }

    /// This clock, in place of the socket's own timeouts.
    pub(super) fn instead_of_own(mut self) -> Self {
        self.own_hold = false;
        self
    }

    /// Called before each system call.
    ///
    /// # Errors
    ///
    /// `Timeout` once the deadline has passed.
    pub(super) fn tick<S: StreamSocket + ?Sized>(&mut self, socket: &S) -> Result<(), Error> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Timeout(self.phase)));
        }
        // Setting a timeout is a system call of its own; a sixteenth late is near enough.
        let near_enough = |set: Duration| set <= left + left / 16;
        if !self.set.is_some_and(near_enough) {
            self.works = self.apply(socket, Some(left));
            self.set = Some(left);
        }
        Ok(())
    }

    /// Whether the deadline ends a system call that waits. A stream without timeouts is held to it
    /// between two calls only.
    pub(super) fn ends_waiting(&self) -> bool {
        self.works
    }

    /// Puts the socket's own timeouts back.
    pub(super) fn stop<S: StreamSocket + ?Sized>(&self, socket: &S) {
        if self.set.is_some() {
            self.apply(socket, None);
        }
    }

    /// The error for one of the transport, seen while this clock ran.
    pub(super) fn judge(&self, error: io::Error) -> Error {
        // The kernel gives up a connection with the same kind as a timeout, but a number of its own.
        let gave_up = error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_some();
        match (error.kind(), Error::find(&error)) {
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, _)
                if !gave_up || cfg!(windows) =>
            {
                Error::new(ErrorKind::Timeout(self.phase)).with_source(error)
            }
            // TLS inside TLS: what happened to the outer connection is what happened.
            (_, Some(outer)) => outer.clone(),
            (_, None) => Error::io(ErrorKind::Io, error),
        }
    }

    fn apply<S: StreamSocket + ?Sized>(&self, socket: &S, left: Option<Duration>) -> bool {
        let least = |own: Option<Duration>| match (own, left) {
            (Some(own), Some(left)) if self.own_hold => Some(own.min(left)),
            (own, left) => left.or(own),
        };
        let read = socket.set_read_timeout(least(self.own[0]));
        let write = socket.set_write_timeout(least(self.own[1]));
        read.is_ok() && write.is_ok()
    }
}
