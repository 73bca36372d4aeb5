//! One deadline over many system calls, laid on a socket that only knows how long one may take.

use std::io;
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, Socket, StreamSocket};

/// A deadline, or none, and what is being done.
pub(crate) struct Clock {
    deadline: Option<Instant>,
    phase: Phase,
    /// The socket's own timeouts hold as well.
    own_hold: bool,
    receiving: Timer,
    sending: Timer,
}

/// What a system call that waits is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Receive,
    Send,
}

impl Clock {
    /// No deadline but the socket's own timeouts.
    pub(crate) fn none(phase: Phase) -> Self {
        Self::until(None, phase)
    }

    /// A deadline. Call [`Clock::stop`] when it is over.
    pub(super) fn until(deadline: Option<Instant>, phase: Phase) -> Self {
        Self {
            deadline,
            phase,
            own_hold: true,
            receiving: Timer::new(Direction::Receive),
            sending: Timer::new(Direction::Send),
        }
    }

    /// This clock, in place of the socket's own timeouts.
    pub(super) fn instead_of_own(mut self) -> Self {
        self.own_hold = false;
        self
    }

    /// The deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The error for a deadline that has passed.
    pub(super) fn timeout(&self) -> Error {
        Error::new(ErrorKind::Timeout(self.phase))
    }

    /// Called before each system call that may wait.
    ///
    /// # Errors
    ///
    /// `Timeout` once the deadline has passed.
    pub(super) fn tick<S: StreamSocket + ?Sized>(
        &mut self,
        socket: &S,
        direction: Direction,
    ) -> Result<(), Error> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timeout());
        }
        for timer in [&mut self.receiving, &mut self.sending] {
            if timer.direction == direction || !socket.directions_are_independent() {
                timer.set(socket, left, self.own_hold);
            }
        }
        Ok(())
    }

    /// Whether the deadline has passed.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether the deadline ends a system call that waits. A stream without timeouts is held to it
    /// between two calls only.
    pub(super) fn ends_waiting(&self) -> bool {
        self.receiving.works && self.sending.works
    }

    /// Puts the socket's own timeouts back.
    pub(super) fn stop<S: StreamSocket + ?Sized>(&self, socket: &S) {
        self.receiving.put_back(socket);
        self.sending.put_back(socket);
    }

    /// The error for one of the transport, seen while this clock ran.
    pub(crate) fn judge<S: Socket + ?Sized>(&self, socket: &S, error: io::Error) -> Error {
        // The kernel gives up a connection with the same kind as a timeout, but a number of its own.
        let gave_up = error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_some();
        match error.kind() {
            io::ErrorKind::WouldBlock if never_waits(socket) => Error::new(ErrorKind::Config)
                .with_detail("the socket is in non-blocking mode; call set_nonblocking(false)"),
            // Without its source: the system's words are "resource temporarily unavailable".
            io::ErrorKind::WouldBlock => self.timeout(),
            io::ErrorKind::TimedOut if !gave_up || cfg!(windows) => self.timeout(),
            // TLS inside TLS: what happened to the outer connection is what happened.
            _ => error.into(),
        }
    }
}

/// Whether a socket is in non-blocking mode, where that can be asked.
fn never_waits<S: Socket + ?Sized>(socket: &S) -> bool {
    #[cfg(unix)]
    let mode = socket.options().and_then(|options| options.nonblocking().ok());
    #[cfg(not(unix))]
    let mode = socket.options().and(None);
    mode.unwrap_or(false)
}

/// The socket's timeout for one direction.
struct Timer {
    direction: Direction,
    /// What it is set to now, if it has been set.
    set: Option<Duration>,
    /// What it was before, to be put back.
    own: Option<Duration>,
    /// The socket takes timeouts.
    works: bool,
}

impl Timer {
    fn new(direction: Direction) -> Self {
        Self { direction, set: None, own: None, works: true }
    }

    fn set<S: StreamSocket + ?Sized>(&mut self, socket: &S, left: Duration, own_holds: bool) {
        // Setting a timeout is a system call of its own; a sixteenth late is near enough.
        if self.set.is_some_and(|set| set <= left + left / 16) {
            return;
        }
        if self.set.is_none() {
            let own = match self.direction {
                Direction::Receive => socket.read_timeout(),
                Direction::Send => socket.write_timeout(),
            };
            self.own = own.unwrap_or_default();
        }
        self.set = Some(left);
        let least = self.own.filter(|_| own_holds).map_or(left, |own| own.min(left));
        self.works = self.apply(socket, Some(least)).is_ok();
    }

    fn put_back<S: StreamSocket + ?Sized>(&self, socket: &S) {
        if self.set.is_some() {
            // A socket that did not take the other one has kept this.
            let _ = self.apply(socket, self.own);
        }
    }

    fn apply<S: StreamSocket + ?Sized>(
        &self,
        socket: &S,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match self.direction {
            Direction::Receive => socket.set_read_timeout(timeout),
            Direction::Send => socket.set_write_timeout(timeout),
        }
    }
}
