//! Moving bytes between a connection and its socket.
//!
//! No buffer is in the connection while a system call runs: it is taken out, the state is let go,
//! and it is put back after the call, so that neither half of a stream ever waits for the other's
//! I/O.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, StreamSocket, io_error_is_closed_transport};

use super::close;
use super::shared::Access;
use crate::connection::Progress;

/// Takes the handshake to its end, and hands everything it says to the kernel.
pub(super) fn handshake<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    ensure_handshake(access, socket)?;
    send(access, socket, Phase::Handshake)
}

/// Takes the handshake to its end, before a read or write.
fn ensure_handshake<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    let state = access.state();
    if let Some(error) = state.connection.failure() {
        return Err(error.clone());
    }
    if !state.connection.is_handshaking() {
        return Ok(());
    }
    drop(state);
    let mut clock = HandshakeClock::start(socket, access.state().deadline);
    let result = handshake_steps(access, socket, &mut clock);
    clock.stop(socket);
    result
}

fn handshake_steps<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut HandshakeClock,
) -> Result<(), Error> {
    loop {
        let progress = access.state().connection.handshake();
        match progress {
            Ok(Progress::Ready(())) => {
                if access.state().connection.peer_waits_for_output() {
                    send(access, socket, Phase::Handshake)?;
                }
                return Ok(());
            }
            Ok(Progress::NeedsInput | Progress::NeedsOutput) => {
                clock.tick(socket)?;
                send(access, socket, Phase::Handshake)?;
                clock.tick(socket)?;
                receive(access, socket, Phase::Handshake)?;
            }
            Err(error) => return Err(fail(access, socket, error)),
        }
    }
}

/// Reads plaintext; 0 when the peer has closed.
pub(super) fn read<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    buf: &mut [u8],
) -> Result<usize, Error> {
    ensure_handshake(access, socket)?;
    loop {
        let mut state = access.state();
        let progress = state.connection.read(buf);
        let sending = state.sending;
        drop(state);
        match progress {
            Ok(Progress::Ready(n)) => return Ok(n),
            Ok(Progress::NeedsInput) => {
                send(access, socket, Phase::Read)?;
                receive(access, socket, Phase::Read)?;
            }
            // The other half is stuck sending, and the answers that the peer asks for pile up
            // behind it: the peer makes us talk and does not listen.
            Ok(Progress::NeedsOutput) if sending => {
                let error = Error::new(ErrorKind::Protocol)
                    .with_detail("the peer asks for more answers than it reads");
                return Err(error);
            }
            Ok(Progress::NeedsOutput) => send(access, socket, Phase::Read)?,
            Err(error) => return Err(fail(access, socket, error)),
        }
    }
}

/// Encrypts and sends what there is room for, and returns how much plaintext that was.
pub(super) fn write<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    parts: &[IoSlice<'_>],
) -> Result<usize, Error> {
    ensure_handshake(access, socket)?;
    if parts.iter().all(|part| part.is_empty()) {
        return Ok(0);
    }
    loop {
        let mut state = access.state();
        if let Some(kind) = state.output_broken {
            return Err(Error::io(ErrorKind::Io, kind.into()));
        }
        let progress = state.connection.write_vectored(parts);
        drop(state);
        match progress {
            Ok(Progress::Ready(n)) => {
                // The plaintext is taken: whatever the transport says now is for the next call.
                let _ = send(access, socket, Phase::Write);
                return Ok(n);
            }
            Ok(Progress::NeedsOutput) => send(access, socket, Phase::Write)?,
            Ok(Progress::NeedsInput) => receive_for_writer(access, socket)?,
            Err(error) => return Err(fail(access, socket, error)),
        }
    }
}

/// Hands everything written to the kernel.
pub(super) fn flush<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    ensure_handshake(access, socket)?;
    send(access, socket, Phase::Write)?;
    let broken = access.state().output_broken;
    match broken {
        Some(kind) => Err(Error::io(ErrorKind::Io, kind.into())),
        None => Ok(()),
    }
}

/// Sends the output, unless another half is at it and will.
///
/// A transport that takes no more is remembered, not returned: what has come in already may tell
/// why, and a reader finds that out.
pub(super) fn send<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    phase: Phase,
) -> Result<(), Error> {
    loop {
        let mut state = access.state();
        if state.sending || state.connection.output().is_empty() {
            return Ok(());
        }
        if state.output_broken.is_some() {
            state.connection.drop_output();
            return Ok(());
        }
        state.sending = true;
        let mut output = state.connection.lend_outgoing();
        drop(state);

        let mut result = Ok(());
        while result.is_ok() && !output.is_empty() {
            result = send_some(socket, output.bytes()).map(|n| output.sent(n));
        }
        if result.is_ok() {
            result = socket.flush();
        }

        let mut state = access.state();
        state.connection.return_outgoing(output);
        // Inside the lock: whoever queued output meanwhile relied on this loop to look again.
        state.sending = false;
        match result {
            Ok(()) => {}
            Err(error) if io_error_is_closed_transport(&error) => {
                state.output_broken = Some(error.kind());
                state.connection.drop_output();
                return Ok(());
            }
            Err(error) => return Err(transport_error(error, phase)),
        }
    }
}

fn send_some<S: StreamSocket + ?Sized>(socket: &S, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.send(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Receives something, or learns that nothing more comes.
fn receive<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    phase: Phase,
) -> Result<(), Error> {
    let mut incoming = access.state().connection.lend_incoming();
    let result = loop {
        let space = incoming.space();
        if space.is_empty() {
            // Asking for no bytes would look like the end.
            break Err(io::Error::other("records wait and no session takes them"));
        }
        match socket.recv(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    let mut state = access.state();
    if result.is_err() {
        incoming.park();
    }
    state.connection.return_incoming(incoming, *result.as_ref().unwrap_or(&0));
    match result {
        Ok(0) => state.connection.ended(None),
        Ok(_) => {}
        Err(error) if io_error_is_closed_transport(&error) => state.connection.ended(Some(&error)),
        Err(error) => return Err(transport_error(error, phase)),
    }
    Ok(())
}

/// Receives although plaintext is to be written, for a library that first wants the rest of a message
/// which the peer has begun.
fn receive_for_writer<A: Access, S: StreamSocket + ?Sized>(
    access: &mut A,
    socket: &S,
) -> Result<(), Error> {
    if A::ALONE {
        return receive(access, socket, Phase::Write);
    }
    // Receiving is the other half's; two at once would mix up the order of what comes.
    Err(Error::new(ErrorKind::Protocol)
        .with_detail("the peer holds back the rest of a message that must be read before writing"))
}

/// The connection has failed: lets the alert leave, and tells the peer that nothing follows.
fn fail<S: StreamSocket + ?Sized>(access: &mut impl Access, socket: &S, error: Error) -> Error {
    if access.state().connection.failure().is_some() {
        let _ = send(access, socket, Phase::Write);
        close::end_after_failure(socket);
    }
    error
}

fn transport_error(error: io::Error, phase: Phase) -> Error {
    // An inner TLS stream's errors come as io::Error; so do a caller's own streams'.
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::new(ErrorKind::Timeout(phase)).with_source(error)
        }
        _ => Error::io(ErrorKind::Io, error),
    }
}

/// The one deadline over a handshake, laid on a socket that only knows how long a call may take.
struct HandshakeClock {
    deadline: Option<Instant>,
    /// The socket's own timeouts, which hold as well, and are put back.
    own: [Option<Duration>; 2],
    /// What the socket is set to now.
    set: Option<Duration>,
}

impl HandshakeClock {
    fn start<S: StreamSocket + ?Sized>(socket: &S, deadline: Option<Instant>) -> Self {
        let own = match deadline {
            Some(_) => [
                socket.read_timeout().unwrap_or_default(),
                socket.write_timeout().unwrap_or_default(),
            ],
            None => [None, None],
        };
        Self { deadline, own, set: None }
    }

    /// Called before each system call.
    fn tick<S: StreamSocket + ?Sized>(&mut self, socket: &S) -> Result<(), Error> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Timeout(Phase::Handshake)));
        }
        // Setting a timeout is a system call of its own; a sixteenth late is near enough.
        let near_enough = |set: Duration| set <= left + left / 16;
        if !self.set.is_some_and(near_enough) {
            self.apply(socket, Some(left));
            self.set = Some(left);
        }
        Ok(())
    }

    fn stop<S: StreamSocket + ?Sized>(&self, socket: &S) {
        if self.set.is_some() {
            self.apply(socket, None);
        }
    }

    /// A stream without timeouts keeps its deadline by the look at the clock alone.
    fn apply<S: StreamSocket + ?Sized>(&self, socket: &S, left: Option<Duration>) {
        let least = |own: Option<Duration>| match (own, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        };
        let _ = socket.set_read_timeout(least(self.own[0]));
        let _ = socket.set_write_timeout(least(self.own[1]));
    }
}
