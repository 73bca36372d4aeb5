//! Ending a stream, with and without waiting.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use polytls_core::{Error, Phase, StreamSocket};

use super::clock::{Clock, Direction};
use super::drive;
use super::shared::{Access, State};
use crate::connection::Progress;
use crate::connection::output::{MOST_DISCARDS, MOST_DRAINED};

/// Sends close_notify, ends the transport's write side, and drains until the peer ends too.
pub(super) fn close<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    timeout: Duration,
) -> Result<(), Error> {
    let mut clock = clock(timeout);
    let said = say_goodbye(access, socket, &mut clock);
    let finished = finish(access, socket, &mut clock, said);
    clock.stop(socket);
    finished
}

/// The clock of a close, which needs no other bound.
pub(super) fn clock(timeout: Duration) -> Clock {
    Clock::until(Instant::now().checked_add(timeout), Phase::Close).instead_of_own()
}

/// What is left of a close once goodbye has been said, or has failed.
pub(super) fn finish<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
    said: Result<(), Error>,
) -> Result<(), Error> {
    match said {
        Err(error) if error.phase() == Some(Phase::Close) => Err(error),
        // Why the peer did not want what was lost is worth more than that it was lost.
        said => drain(access, socket, clock).and(said),
    }
}

/// Sends close_notify and ends the transport's write side.
pub(super) fn close_write<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    say_goodbye(access, socket, &mut Clock::none(Phase::Close))
}

/// Sends close_notify and ends the transport's write side, by this clock.
pub(super) fn say_goodbye<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    let mut state = access.state();
    state.connection.close()?;
    state.connection.forget_late();
    drop(state);
    drive::send_all(access, socket, clock)?;
    let state = access.state();
    state.connection.check_loss()?;
    let broken = state.connection.is_output_broken();
    drop(state);
    if broken {
        return Ok(());
    }
    tick_before_end(socket, clock)?;
    Ok(socket.shutdown(Shutdown::Write)?)
}

/// Ends a stream that nobody uses any more, without waiting.
pub(super) fn abandon<S: StreamSocket + ?Sized>(state: &mut State, socket: &S) {
    say_goodbye_now(state, socket);
    discard(socket);
}

/// Sends close_notify only if everything written has left, and only if the socket takes it at once.
pub(super) fn say_goodbye_now<S: StreamSocket + ?Sized>(state: &mut State, socket: &S) {
    let connection = &mut state.connection;
    if state.sending || !connection.may_say_goodbye() || connection.close().is_err() {
        return;
    }
    if connection.output().is_empty() {
        // It was said before.
        return;
    }
    if let Ok(n) = socket.send_now(connection.output()) {
        connection.sent(n);
    }
    if connection.output().is_empty() {
        let _ = socket.shutdown(Shutdown::Write);
    }
}

/// Lays the clock on an end of the write side that may wait: where TLS is beneath, it says goodbye.
pub(super) fn tick_before_end<S: StreamSocket + ?Sized>(
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    if socket.directions_are_independent() {
        return Ok(());
    }
    clock.tick(socket, Direction::Send)
}

/// Ends the write side of a connection that has failed, so that the peer gets the alert rather than a
/// reset; if that could not be `said`, both, for that waits for nobody.
pub(super) fn end_after_failure<S: StreamSocket + ?Sized>(socket: &S, said: Result<(), Error>) {
    let _ = socket.shutdown(if said.is_ok() { Shutdown::Write } else { Shutdown::Both });
    discard(socket);
}

/// Throws away what has come.
fn discard<S: StreamSocket + ?Sized>(socket: &S) {
    for _ in 0..MOST_DISCARDS {
        if !matches!(socket.discard_now(), Ok(n) if n > 0) {
            return;
        }
    }
}

/// Takes what still comes, until the transport ends.
///
/// A fatal alert among it says that what was written was for nothing: in TLS 1.3 a server refuses a
/// client's certificate after the client's handshake, and a client that only writes learns it here.
fn drain<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    clock: &mut Clock,
) -> Result<(), Error> {
    // Whoever reads takes what comes.
    let _turn = loop {
        match access.turn_to_receive() {
            Some(turn) => break turn,
            None if clock.is_over() => return Ok(()),
            None => {}
        }
    };
    let mut sink = [0; 8 << 10];
    let mut drained = 0;
    let mut listening = !access.state().connection.is_handshaking();
    while drained < MOST_DRAINED {
        if listening {
            let heard = access.state().connection.read(&mut sink);
            match heard {
                Ok(Progress::Ready(n)) if n > 0 => {
                    drained += n;
                    continue;
                }
                Ok(Progress::NeedsInput) => {}
                Err(error) if error.alert().is_some() => return Err(error),
                // The peer's end, or nothing that can be read.
                _ => listening = false,
            }
        }
        // Without timeouts, waiting for a peer that stays could be for ever.
        if clock.tick(socket, Direction::Receive).is_err() || !clock.ends_waiting() {
            return Ok(());
        }
        if listening {
            if drive::receive(access, socket, clock).is_err() {
                return Ok(());
            }
            continue;
        }
        match socket.recv(&mut sink) {
            Ok(n) if n > 0 => drained += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return Ok(()),
        }
    }
    Ok(())
}
