//! Moving bytes between a connection and its socket.
//!
//! Where two halves share a connection, no buffer is in it while a system call runs: [`Access`] takes
//! it out, lets the state go, and puts it back after the call, so that neither half ever waits for
//! the other's I/O.

use std::io::{self, IoSlice};
use std::time::Instant;

use polytls_core::{
    Error, ErrorKind, Incoming, Outgoing, Phase, StreamSocket, io_error_is_closed_transport,
};

use super::clock::{Clock, Direction};
use super::close;
use super::shared::{Access, Claim};
use crate::connection::Progress;
use crate::connection::output::PATIENCE;
use crate::upgrade::earlier;

/// Takes the handshake to its end, and hands everything it says to the kernel.
pub(super) fn handshake<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    let state = access.state();
    let deadline = state.deadline.filter(|_| state.connection.is_handshaking());
    drop(state);
    ensure_handshake(access, socket)?;
    let mut clock = Clock::until(deadline, Phase::Handshake);
    let sent = send_all(access, socket, &mut clock);
    clock.stop(socket);
    sent
}

/// Takes the handshake to its end, before a read or write.
#[inline]
fn ensure_handshake<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    if access.state().connection.is_open() { Ok(()) } else { begin(access, socket) }
}

#[cold]
fn begin<S: StreamSocket + ?Sized>(access: &mut impl Access, socket: &S) -> Result<(), Error> {
    let state = access.state();
    if let Some(error) = state.connection.failure() {
        return Err(error.clone());
    }
    let deadline = state.deadline;
    drop(state);
    let mut clock = Clock::until(deadline, Phase::Handshake);
    let result = handshake_steps(access, socket, &mut clock);
    clock.stop(socket);
    result
}

fn handshake_steps<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    loop {
        let progress = access.state().connection.handshake();
        match progress {
            Ok(Progress::Ready(())) => {
                if access.state().connection.peer_waits_for_output() {
                    send_all(access, socket, clock)?;
                }
                return Ok(());
            }
            Ok(Progress::NeedsInput | Progress::NeedsOutput) => {
                send_all(access, socket, clock)?;
                receive(access, socket, clock)?;
            }
            Err(error) => return Err(fail(access, socket, error, clock)),
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
    let clock = &mut Clock::none(Phase::Read);
    loop {
        let mut state = access.state();
        let progress = state.connection.read(buf);
        let sending = state.sending;
        drop(state);
        match progress {
            Ok(Progress::Ready(n)) => return Ok(n),
            Ok(Progress::NeedsInput) => {
                send_answers(access, socket, clock)?;
                // The peer may be waiting for what it has not got.
                access.check_late()?;
                receive(access, socket, clock)?;
            }
            // The other half is stuck sending, and the answers that the peer asks for pile up
            // behind it: the peer makes us talk and does not listen.
            Ok(Progress::NeedsOutput) if sending => {
                let error = Error::new(ErrorKind::Protocol)
                    .with_detail("the peer asks for more answers than it reads");
                let error = access.state().connection.abort(error);
                return Err(fail(access, socket, error, clock));
            }
            Ok(Progress::NeedsOutput) => send_all(access, socket, clock)?,
            Err(error) => return Err(fail(access, socket, error, clock)),
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
    let clock = &mut Clock::none(Phase::Write);
    loop {
        let mut state = access.state();
        state.connection.check_output()?;
        state.connection.check_late()?;
        match state.connection.write_vectored(parts) {
            Ok(Progress::Ready(n)) => {
                drop(state);
                // The plaintext is taken: whatever the transport says now is for the next call.
                if let Err(error) = send_all(access, socket, clock) {
                    access.state().connection.keep_late(error);
                }
                return Ok(n);
            }
            Ok(Progress::NeedsOutput) => {
                drop(state);
                send_all(access, socket, clock)?;
            }
            Ok(Progress::NeedsInput) => {
                drop(state);
                // The library wants the rest of a message that the peer has begun, and only one may
                // receive, or what comes gets out of order.
                if let Some(_turn) = access.turn_to_receive() {
                    receive(access, socket, clock)?;
                }
            }
            Err(error) => {
                drop(state);
                return Err(fail(access, socket, error, clock));
            }
        }
    }
}

/// Hands everything written to the kernel.
pub(super) fn flush<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    ensure_handshake(access, socket)?;
    access.state().connection.forget_late();
    send_all(access, socket, &mut Clock::none(Phase::Write))?;
    access.state().connection.check_output()
}

/// Sends the output, and waits for whoever else is sending.
pub(super) fn send_all<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    loop {
        send(access, socket, clock)?;
        if !access.state().sending {
            return Ok(());
        }
        if !access.wait_until_sent(clock.deadline()) {
            return Err(clock.timeout());
        }
    }
}

/// Sends the output, unless another half is at it and will.
fn send<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    // Looks again after each turn: whoever queued output meanwhile relied on that.
    while let Some(sent) = send_claimed(access, socket, Claim::All, clock) {
        sent?;
    }
    Ok(())
}

/// Sends what the protocol has to say before a reader waits for input.
///
/// A writer's plaintext is the writer's to send: it may be more than the peer takes before it is read
/// from, and a reader that waits for it to leave may wait for ever. So of that, only what goes
/// without waiting.
fn send_answers<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    while let Some(sent) = send_claimed(access, socket, Claim::Answers, clock) {
        sent?;
    }
    let send_now = |output: &mut Outgoing| {
        if let Ok(n) = socket.send_now(output.bytes()) {
            output.sent(n);
        }
    };
    access.sending(Claim::All, send_now, |state, ()| {
        if keeps_nothing(socket) {
            state.connection.flushed();
        }
    });
    Ok(())
}

/// Sends the output that is claimed; `None` when there is none.
///
/// A transport that takes no more is remembered, not returned: what has come in already may tell
/// why, and a reader finds that out.
fn send_claimed<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    claim: Claim,
    clock: &mut Clock,
) -> Option<Result<(), Error>> {
    let sent = access.sending(
        claim,
        |output| send_out(socket, output, clock),
        |state, sent| {
            if sent.is_ok() || keeps_nothing(socket) {
                state.connection.flushed();
            }
            match sent {
                Err(Unsent::Transport(error)) if io_error_is_closed_transport(&error) => {
                    state.connection.break_output(error.kind());
                    Ok(())
                }
                sent => sent,
            }
        },
    )?;
    Some(sent.map_err(|unsent| match unsent {
        Unsent::Late(error) => error,
        Unsent::Transport(error) => clock.judge(socket, error),
    }))
}

/// Whether what a socket has taken is the kernel's: only streams around other streams have buffers.
fn keeps_nothing<S: StreamSocket + ?Sized>(socket: &S) -> bool {
    socket.directions_are_independent()
}

/// Why output is left.
enum Unsent {
    Late(Error),
    Transport(io::Error),
}

fn send_out<S: StreamSocket + ?Sized>(
    socket: &S,
    output: &mut Outgoing,
    clock: &mut Clock,
) -> Result<(), Unsent> {
    while !output.is_empty() {
        match send_some(socket, output.bytes(), clock).map_err(Unsent::Late)? {
            Ok(0) => return Err(Unsent::Transport(io::ErrorKind::WriteZero.into())),
            Ok(n) => output.sent(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unsent::Transport(error)),
        }
    }
    if keeps_nothing(socket) {
        return Ok(());
    }
    clock.tick(socket, Direction::Send).map_err(Unsent::Late)?;
    while let Err(error) = socket.flush() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(Unsent::Transport(error));
        }
    }
    Ok(())
}

/// Before a deadline, what goes without waiting goes first: to wait takes a timeout, and setting one
/// is a system call of its own.
fn send_some<S: StreamSocket + ?Sized>(
    socket: &S,
    data: &[u8],
    clock: &mut Clock,
) -> Result<io::Result<usize>, Error> {
    // Where a flag cannot say so, not waiting takes system calls too.
    if cfg!(unix) && clock.deadline().is_some() {
        match socket.send_now(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                clock.tick(socket, Direction::Send)?;
            }
            sent => return Ok(sent),
        }
    }
    Ok(socket.send(data))
}

/// Receives something, or learns that nothing more comes.
pub(super) fn receive<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    clock.tick(socket, Direction::Receive)?;
    let received = access.receiving(
        |incoming| receive_into(incoming, socket),
        |state, received| match received {
            Ok(0) => {
                state.connection.ended(None);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if io_error_is_closed_transport(&error) => {
                state.connection.ended(Some(&error));
                Ok(())
            }
            Err(error) => Err(error),
        },
    );
    received.map_err(|error| clock.judge(socket, error))
}

fn receive_into<S: StreamSocket + ?Sized>(
    incoming: &mut Incoming,
    socket: &S,
) -> io::Result<usize> {
    loop {
        let space = incoming.space();
        if space.is_empty() {
            // Asking for no bytes would look like the end.
            return Err(Error::internal("records wait and no session takes them").into());
        }
        match socket.recv(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                incoming.park();
                return Err(error);
            }
            received => return received,
        }
    }
}

/// The connection has failed: lets the alert leave, and tells the peer that nothing follows.
fn fail<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    error: Error,
    clock: &Clock,
) -> Error {
    if access.state().connection.failure().is_some() {
        // A peer that does not listen holds up the error, but not for ever.
        let until = earlier(clock.deadline(), Some(PATIENCE), Instant::now());
        let mut patience = Clock::until(until, Phase::Close);
        let said = send(access, socket, &mut patience)
            .and_then(|()| close::tick_before_end(socket, &mut patience));
        close::end_after_failure(socket, said);
        patience.stop(socket);
    }
    error
}
