use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polytls::{Socket, StreamSocket};
use socket2::{SockAddr, SockRef};

/// How the bytes that were sent arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Each piece as it was sent.
    #[default]
    Whole,
    /// One byte at a time.
    OneByte,
    /// Everything that was sent until the sender waits for an answer, ends or has no more room.
    Coalesced,
}

/// What a pipe is like, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct PipeOptions {
    /// How bytes arrive.
    pub delivery: Delivery,
    /// How many bytes may wait before the sender has to.
    pub capacity: usize,
    /// Whether its ends say that they are as a socket's: two directions, and no buffer.
    pub as_a_socket: bool,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self { delivery: Delivery::Whole, capacity: 256 << 10, as_a_socket: false }
    }
}

/// Two ends of a stream in memory.
pub fn pipe(delivery: Delivery) -> (Pipe, Pipe) {
    pipe_with(PipeOptions { delivery, ..PipeOptions::default() })
}

/// Two ends of a stream in memory, of this kind.
pub fn pipe_with(options: PipeOptions) -> (Pipe, Pipe) {
    let one = Arc::new(Channel::new(options));
    let other = Arc::new(Channel::new(options));
    (
        Pipe::new(Tap { channel: one.clone() }, Tap { channel: other.clone() }),
        Pipe::new(Tap { channel: other }, Tap { channel: one }),
    )
}

/// One end of a stream in memory.
///
/// Dropped, it ends both directions; what was sent before still arrives.
#[derive(Debug)]
pub struct Pipe {
    outgoing: Tap,
    incoming: Tap,
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
}

/// A hand on one direction of a pipe: sees what passes, and can change it.
///
/// What it is told holds for bytes that are sent after; positions count from the first byte ever
/// sent.
#[derive(Clone, Debug)]
pub struct Tap {
    channel: Arc<Channel>,
}

#[derive(Debug)]
struct Channel {
    options: PipeOptions,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was sent and has not arrived, in pieces.
    pieces: VecDeque<VecDeque<u8>>,
    waiting: usize,
    /// The sender has ended this direction.
    ended: bool,
    /// The receiver takes nothing any more.
    abandoned: bool,
    /// The receiver is told of a reset in place of an end.
    reset: bool,
    /// How many threads wait for bytes of this direction.
    readers: usize,
    /// How many threads wait for room in it.
    writers: usize,
    /// The sender waits for an answer, so that coalesced bytes may arrive.
    sender_waits: bool,
    /// Everything that was ever sent, as it was sent.
    passed: Vec<u8>,
    cut_at: Option<usize>,
    alter: Option<(usize, u8)>,
}

/// How long coalesced bytes are held at most, for a sender that waits for something else than an
/// answer.
const HELD: Duration = Duration::from_millis(20);

impl Channel {
    fn new(options: PipeOptions) -> Self {
        Self { options, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` or the deadline; true when ready.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&State) -> bool,
    ) -> (MutexGuard<'a, State>, bool) {
        loop {
            if ready(&state) {
                return (state, true);
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return (state, false);
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Tap {
    /// Everything that was sent so far, before any cut or change.
    pub fn passed(&self) -> Vec<u8> {
        self.channel.lock().passed.clone()
    }

    /// Ends the direction once this many bytes have been sent; what follows is taken and lost.
    pub fn cut_at(&self, position: usize) {
        self.channel.update(|state| state.cut_at = Some(position));
    }

    /// Changes the bits of `mask` in the byte at this position.
    pub fn alter(&self, position: usize, mask: u8) {
        self.channel.update(|state| state.alter = Some((position, mask)));
    }

    /// Ends the direction now: what was sent arrives, and then the end.
    pub fn end(&self) {
        self.channel.update(|state| state.ended = true);
    }

    /// Ends the direction now as a reset does: what has not arrived is lost.
    pub fn reset(&self) {
        self.channel.update(|state| {
            state.ended = true;
            state.reset = true;
            state.abandoned = true;
            state.pieces.clear();
            state.waiting = 0;
        });
    }

    /// Waits until the receiver waits for bytes and none are on their way.
    pub fn wait_until_idle(&self) {
        let state = self.channel.lock();
        let idle = |state: &State| state.readers > 0 && state.waiting == 0;
        drop(self.channel.wait(state, None, idle));
    }

    /// Waits until a sender waits for room.
    pub fn wait_until_full(&self) {
        drop(self.channel.wait(self.channel.lock(), None, |state| state.writers > 0));
    }

    /// Waits until the sender has ended this direction.
    pub fn wait_until_ended(&self) {
        drop(self.channel.wait(self.channel.lock(), None, |state| state.ended));
    }

    fn send(&self, data: &[u8], deadline: Option<Instant>) -> io::Result<usize> {
        let channel = &*self.channel;
        if data.is_empty() {
            return Ok(0);
        }
        let capacity = channel.options.capacity;
        let room = |state: &State| {
            state.waiting < capacity || state.ended || state.abandoned || state.is_cut()
        };
        let mut state = channel.lock();
        state.writers += 1;
        if !room(&state) {
            channel.changed.notify_all();
        }
        let (mut state, ready) = channel.wait(state, deadline, room);
        state.writers -= 1;
        if state.ended || state.abandoned {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !ready {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = if state.is_cut() { data.len() } else { data.len().min(capacity - state.waiting) };
        state.take(&data[..n]);
        channel.changed.notify_all();
        Ok(n)
    }

    fn recv(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let channel = &*self.channel;
        if buf.is_empty() {
            return Ok(0);
        }
        let mut state = channel.lock();
        state.readers += 1;
        channel.changed.notify_all();
        let (mut state, mut ready) =
            channel.wait(state, deadline, |state| state.waiting > 0 || state.is_over());
        if ready && channel.options.delivery == Delivery::Coalesced {
            let full = channel.options.capacity;
            let hold = Instant::now() + HELD;
            let until = deadline.map_or(hold, |deadline| deadline.min(hold));
            let settled =
                |state: &State| state.sender_waits || state.is_over() || state.waiting >= full;
            (state, _) = channel.wait(state, Some(until), settled);
            ready = true;
        }
        state.readers -= 1;
        let n = state.give(buf, channel.options.delivery);
        channel.changed.notify_all();
        match n {
            0 if state.reset => Err(io::ErrorKind::ConnectionReset.into()),
            0 if state.is_over() => Ok(0),
            0 if !ready => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl State {
    fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|at| self.passed.len() >= at)
    }

    fn is_over(&self) -> bool {
        self.ended || self.abandoned || self.is_cut()
    }

    fn take(&mut self, data: &[u8]) {
        let start = self.passed.len();
        self.passed.extend_from_slice(data);
        let arrives = self.cut_at.map_or(data.len(), |at| at.saturating_sub(start).min(data.len()));
        let mut piece: VecDeque<u8> = data[..arrives].iter().copied().collect();
        if let Some((at, mask)) = self.alter {
            if let Some(byte) = at.checked_sub(start).and_then(|at| piece.get_mut(at)) {
                *byte ^= mask;
            }
        }
        self.waiting += piece.len();
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    fn give(&mut self, buf: &mut [u8], delivery: Delivery) -> usize {
        let most = if delivery == Delivery::OneByte { 1 } else { buf.len() };
        let mut n = 0;
        while let Some(piece) = self.pieces.front_mut() {
            let part = piece.len().min(most - n);
            for (to, from) in buf[n..].iter_mut().zip(piece.drain(..part)) {
                *to = from;
            }
            n += part;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            if n == most || delivery == Delivery::Whole {
                break;
            }
        }
        self.waiting -= n;
        n
    }
}

impl Pipe {
    fn new(outgoing: Tap, incoming: Tap) -> Self {
        Self { outgoing, incoming, read_timeout: Mutex::default(), write_timeout: Mutex::default() }
    }

    /// A hand on what this end sends.
    pub fn outgoing(&self) -> Tap {
        self.outgoing.clone()
    }

    /// A hand on what this end receives.
    pub fn incoming(&self) -> Tap {
        self.incoming.clone()
    }

    fn deadline(timeout: &Mutex<Option<Duration>>) -> Option<Instant> {
        let timeout = *timeout.lock().unwrap_or_else(PoisonError::into_inner);
        timeout.map(|timeout| Instant::now() + timeout)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

fn no_address<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe in memory has no address"))
}

impl Socket for Pipe {
    fn local_addr(&self) -> io::Result<SockAddr> {
        no_address()
    }

    fn options(&self) -> Option<SockRef<'_>> {
        None
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(*self.read_timeout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.read_timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout;
        Ok(())
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(*self.write_timeout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.write_timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout;
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Both)
    }
}

impl StreamSocket for Pipe {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        no_address()
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        // Whoever waits for an answer has sent what is to be sent.
        self.outgoing.channel.update(|state| state.sender_waits = true);
        let received = self.incoming.recv(buf, Self::deadline(&self.read_timeout));
        self.outgoing.channel.update(|state| state.sender_waits = false);
        received
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.outgoing.send(data, Self::deadline(&self.write_timeout))
    }

    fn discard_now(&self) -> io::Result<usize> {
        self.incoming.recv(&mut [0; 4096], Some(Instant::now()))
    }

    fn directions_are_independent(&self) -> bool {
        self.outgoing.channel.options.as_a_socket
    }

    fn send_now(&self, data: &[u8]) -> io::Result<usize> {
        self.outgoing.send(data, Some(Instant::now()))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.outgoing.channel.update(|state| state.ended = true);
        }
        if how != Shutdown::Write {
            self.incoming.channel.update(|state| state.abandoned = true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(end: &Pipe) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = [0; 16];
        loop {
            match end.recv(&mut buf).unwrap() {
                0 => return all,
                n => all.push(buf[..n].to_vec()),
            }
        }
    }

    #[test]
    fn delivers_as_it_is_told() {
        for (delivery, pieces) in [
            (Delivery::Whole, vec![b"ab".to_vec(), b"c".to_vec()]),
            (Delivery::OneByte, vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]),
            (Delivery::Coalesced, vec![b"abc".to_vec()]),
        ] {
            let (one, other) = pipe(delivery);
            one.send(b"ab").unwrap();
            one.send(b"c").unwrap();
            drop(one);
            assert_eq!(received(&other), pieces, "{delivery:?}");
        }
    }

    #[test]
    fn coalesces_until_the_sender_waits() {
        let (one, other) = pipe(Delivery::Coalesced);
        let reader = std::thread::spawn(move || {
            let mut buf = [0; 16];
            let n = other.recv(&mut buf).unwrap();
            other.send(b"!").unwrap();
            buf[..n].to_vec()
        });
        one.send(b"a").unwrap();
        one.send(b"b").unwrap();
        one.recv(&mut [0; 1]).unwrap();
        assert_eq!(reader.join().unwrap(), b"ab");
    }

    #[test]
    fn cuts_alters_and_remembers() {
        let (one, other) = pipe(Delivery::Whole);
        let tap = one.outgoing();
        tap.alter(1, 0x80);
        tap.cut_at(3);
        assert_eq!(one.send(b"abcdef").unwrap(), 6);
        assert_eq!(received(&other), [b"a\xe2c".to_vec()]);
        assert_eq!(tap.passed(), b"abcdef");
    }

    #[test]
    fn waits_no_longer_than_it_is_told() {
        let (one, other) = pipe_with(PipeOptions { capacity: 2, ..PipeOptions::default() });
        one.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        one.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!(one.recv(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(one.send(b"abcd").unwrap(), 2);
        assert_eq!(one.send(b"cd").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(other);
        assert_eq!(one.send(b"cd").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(one.recv(&mut [0; 4]).unwrap(), 0);
    }
}
