//! Ending a stream, with and without waiting.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use polytls_core::{Error, ErrorKind, Phase, StreamSocket};

use super::drive;
use super::shared::{Access, State};

/// How long `close` waits for the peer's end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How many bytes `close` drains.
const MOST_DRAINED: usize = 64 << 20;

/// How many times what has come is thrown away after a failure, a few KiB each.
const MOST_DISCARDS: usize = 64;

/// Sends close_notify, ends the transport's write side, and drains until the peer ends too.
pub(super) fn close<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
    timeout: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now().checked_add(timeout);
    let own = (socket.read_timeout(), socket.write_timeout());
    // A stream without timeouts waits as long as its own calls do.
    let _ = socket.set_write_timeout(at_least_a_little(timeout));
    let result = close_write(access, socket);
    if result.is_ok() {
        drain(socket, deadline);
    }
    let _ = socket.set_read_timeout(own.0.unwrap_or_default());
    let _ = socket.set_write_timeout(own.1.unwrap_or_default());
    result
}

/// Sends close_notify and ends the transport's write side.
pub(super) fn close_write<S: StreamSocket + ?Sized>(
    access: &mut impl Access,
    socket: &S,
) -> Result<(), Error> {
    access.state().connection.close()?;
    drive::send(access, socket, Phase::Close)?;
    let state = access.state();
    let broken = state.output_broken;
    // The other half is sending: the end goes with what it has in hand.
    let sending = state.sending;
    drop(state);
    match broken {
        // Both ends may close at the same time; only data that was lost is an error.
        Some(_) => return Ok(()),
        None if sending => return Ok(()),
        None => {}
    }
    socket.shutdown(Shutdown::Write).map_err(|error| Error::io(ErrorKind::Io, error))
}

/// Ends a stream without waiting: close_notify only if everything written has left, and only if the
/// socket takes it at once.
pub(super) fn abandon<S: StreamSocket + ?Sized>(state: &mut State, socket: &S) {
    let connection = &mut state.connection;
    let all_has_left = connection.output().is_empty() && !state.sending;
    let may_speak = !connection.is_handshaking() && connection.failure().is_none();
    if !all_has_left || !may_speak || connection.is_closed() || state.output_broken.is_some() {
        return;
    }
    if connection.close().is_err() {
        return;
    }
    if let Ok(n) = socket.send_now(connection.output()) {
        connection.sent(n);
    }
    if connection.output().is_empty() {
        // Bytes that lie unread when a socket is closed reset it, and take close_notify with them.
        let _ = socket.shutdown(Shutdown::Write);
        discard(socket);
    }
}

/// Ends the write side of a connection that has failed, without waiting, so that the peer gets the
/// alert rather than a reset.
pub(super) fn end_after_failure<S: StreamSocket + ?Sized>(socket: &S) {
    let _ = socket.shutdown(Shutdown::Write);
    discard(socket);
}

fn discard<S: StreamSocket + ?Sized>(socket: &S) {
    for _ in 0..MOST_DISCARDS {
        if !matches!(socket.discard_now(), Ok(n) if n > 0) {
            return;
        }
    }
}

fn drain<S: StreamSocket + ?Sized>(socket: &S, deadline: Option<Instant>) {
    let mut sink = [0; 8 << 10];
    let mut drained = 0;
    while drained < MOST_DRAINED {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return;
        }
        // Without timeouts, waiting for a peer that stays could be for ever.
        if socket.set_read_timeout(left).is_err() {
            return;
        }
        match socket.recv(&mut sink) {
            Ok(n) if n > 0 => drained += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

fn at_least_a_little(timeout: Duration) -> Option<Duration> {
    Some(timeout.max(Duration::from_millis(1)))
}
