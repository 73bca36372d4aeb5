//! Ciphertext on its way in and out.

use std::fmt;
use std::io::{self, Read, Write};

use crate::pool;
use crate::record::{self, Front};

/// The ciphertext of one connection: what has come and what is to go.
///
/// The facade owns it and lends it to the session for each call. A session takes records by
/// [`Read`], which serves complete records only and answers [`io::ErrorKind::WouldBlock`] when
/// there is none, and leaves records by [`Write`], which always takes everything.
///
/// A library that keeps the stream object it is given can be given the wire itself: move it in with
/// [`std::mem::take`] and out again when the call is over.
///
/// Bounds: incoming 128 KiB, more only for bytes that were handed over with an upgrade; outgoing
/// [`Wire::LIMIT`] and one record, once for what is written and once for answers to what the peer
/// asks for. An empty wire holds no buffer.
#[derive(Debug, Default)]
pub struct Wire {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Wire {
    /// With this many bytes of output waiting, no more plaintext is taken: three full records.
    pub const LIMIT: usize = 3 << 14;

    /// Whether a complete record, or something that cannot be one, has come.
    #[inline]
    pub fn has_record(&self) -> bool {
        self.incoming.complete > 0
    }

    /// How long the record at the front is, header included; 0 while it is not complete. Of what
    /// cannot be a record, as much as shows that.
    pub fn record_length(&self) -> usize {
        match record::front(self.input()) {
            Front::Record(length) => length,
            Front::Partial => 0,
            Front::Garbage => self.input().len().min(record::HEADER),
        }
    }

    /// How many bytes of plaintext a write may take now.
    #[inline]
    pub fn room(&self) -> usize {
        Self::LIMIT.saturating_sub(self.outgoing.len())
    }

    /// What has come.
    #[inline]
    pub fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// What is to go.
    #[inline]
    pub fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    /// The bytes that are to go.
    #[inline]
    pub fn output(&self) -> &[u8] {
        self.outgoing.bytes()
    }

    /// The bytes that have come and that no session has taken yet.
    #[inline]
    pub fn input(&self) -> &[u8] {
        self.incoming.bytes()
    }
}

impl Read for Wire {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buf)
    }
}

impl Write for Wire {
    #[inline]
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.outgoing.push(data);
        Ok(data.len())
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        for part in parts {
            self.outgoing.push(part);
        }
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ciphertext that has come.
#[derive(Default)]
pub struct Incoming {
    buffer: Buffer,
    /// How many bytes at the front are complete records.
    complete: usize,
}

impl Incoming {
    /// Whether nothing has come that was not taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Where the transport's next bytes go; not empty unless the buffer is full of records that
    /// nobody takes.
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.space(pool::INCOMING_SIZE)
    }

    /// Takes note of `n` bytes that were stored at the front of [`Incoming::space`], and returns
    /// the records that became complete by them.
    #[inline]
    pub fn received(&mut self, n: usize) -> &[u8] {
        self.buffer.end = (self.buffer.end + n).min(self.buffer.data.len());
        self.frame()
    }

    /// Appends bytes that came by another way, and returns the records that became complete.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> &[u8] {
        self.buffer.push(bytes, pool::INCOMING_SIZE);
        self.frame()
    }

    /// Gives a buffer back that holds nothing, and shrinks one that holds part of a record to its
    /// size, so that a slow sender cannot pin a large buffer. For a connection that now waits.
    #[inline]
    pub fn park(&mut self) {
        self.buffer.park();
    }

    #[inline]
    fn frame(&mut self) -> &[u8] {
        let before = self.complete;
        self.complete += record::complete(&self.buffer.bytes()[before..]);
        &self.buffer.bytes()[before..self.complete]
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.complete == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = buf.len().min(self.complete);
        buf[..n].copy_from_slice(&self.buffer.bytes()[..n]);
        self.buffer.consume(n);
        self.complete -= n;
        Ok(n)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, complete) = (self.buffer.bytes().len(), self.complete);
        f.debug_struct("Incoming").field("waiting", &waiting).field("complete", &complete).finish()
    }
}

/// Ciphertext that is to go.
#[derive(Default)]
pub struct Outgoing {
    buffer: Buffer,
    /// How many bytes at the front reach to the end of the last record of written plaintext.
    owed: usize,
}

impl Outgoing {
    /// Whether nothing is to go.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How many bytes are to go.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// The bytes that are to go.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Takes note of `n` bytes that the transport has taken from the front.
    #[inline]
    pub fn sent(&mut self, n: usize) {
        self.buffer.consume(n);
        self.owed = self.owed.saturating_sub(n);
    }

    /// Drops everything: the transport takes nothing any more.
    pub fn clear(&mut self) {
        self.sent(usize::MAX);
    }

    /// Takes note that what stands last is plaintext that somebody has written and relies on,
    /// rather than a ticket or an answer of the protocol's own.
    #[inline]
    pub fn mark_written(&mut self) {
        self.owed = self.len();
    }

    /// Whether written plaintext is among what is to go.
    #[inline]
    pub fn owes_plaintext(&self) -> bool {
        self.owed > 0
    }

    /// Puts what was queued later behind this.
    pub fn append(&mut self, newer: &Self) {
        if newer.owes_plaintext() {
            self.owed = self.len() + newer.owed;
        }
        self.push(newer.bytes());
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes, pool::OUTGOING_SIZE);
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("waiting", &self.len()).finish()
    }
}

/// Bytes between `start` and `end` of a buffer that comes from the pool with the first byte and
/// goes back with the last.
#[derive(Default)]
struct Buffer {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    #[inline]
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The free end of the buffer, after moving what is there to its start.
    #[inline]
    fn space(&mut self, size: usize) -> &mut [u8] {
        if self.data.len() < size {
            // Empty, or part of a record that was parked.
            let mut data = pool::take(size);
            let kept = self.end - self.start;
            data[..kept].copy_from_slice(self.bytes());
            *self = Self { data, start: 0, end: kept };
        } else if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.data[self.end..]
    }

    #[inline]
    fn push(&mut self, bytes: &[u8], size: usize) {
        if self.data.len() - self.end < bytes.len() {
            let space = self.space(size).len();
            if space < bytes.len() {
                self.grow(bytes.len());
            }
        }
        self.data[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Makes room for so many bytes more than the pool's buffers have.
    #[cold]
    fn grow(&mut self, more: usize) {
        let mut data = vec![0; self.end + more.max(self.end)].into_boxed_slice();
        data[..self.end].copy_from_slice(&self.data[..self.end]);
        self.data = data;
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        if self.is_empty() {
            self.release();
        }
    }

    fn park(&mut self) {
        if self.is_empty() {
            self.release();
        } else if self.data.len() > self.end - self.start {
            let data = Box::from(self.bytes());
            let end = self.end - self.start;
            *self = Self { data, start: 0, end };
        }
    }

    #[inline]
    fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        self.give_back();
    }

    #[inline]
    fn give_back(&mut self) {
        // Most have given theirs back, or lent it.
        if !self.data.is_empty() {
            pool::give(std::mem::take(&mut self.data));
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}
