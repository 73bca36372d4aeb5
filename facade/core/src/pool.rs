//! A small per-thread pool of I/O buffers.
//!
//! A fresh buffer must be zeroed, which costs more than a round trip of 1 KiB; a buffer kept per
//! connection costs ten times the memory of the connection. So buffers are borrowed while bytes
//! are in flight.

use std::cell::RefCell;
use std::io::IoSlice;
use std::ops::Deref;

/// How many buffers of each size a thread keeps.
const KEPT: usize = 4;

/// The sizes of the two kinds of buffer, in bytes.
pub(crate) const INCOMING_SIZE: usize = 128 << 10;
pub(crate) const OUTGOING_SIZE: usize = 64 << 10;

thread_local! {
    static POOL: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

#[inline]
fn shelf(size: usize) -> Option<usize> {
    match size {
        INCOMING_SIZE => Some(0),
        OUTGOING_SIZE => Some(1),
        _ => None,
    }
}

/// A buffer of `size` initialised bytes, of unspecified content.
#[inline]
pub(crate) fn take(size: usize) -> Box<[u8]> {
    // A thread that is being torn down has no pool any more.
    let kept = shelf(size)
        .and_then(|shelf| POOL.try_with(|pool| pool.borrow_mut()[shelf].pop()).ok().flatten());
    kept.unwrap_or_else(|| vec![0; size].into())
}

/// Gives a buffer back; one of another size, or one too many, is freed.
#[inline]
pub(crate) fn give(buffer: Box<[u8]>) {
    let Some(shelf) = shelf(buffer.len()) else { return };
    let _ = POOL.try_with(|pool| {
        let kept = &mut pool.borrow_mut()[shelf];
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    });
}

/// Several pieces of plaintext, gathered into one so that they share a record; in a buffer of the
/// pool.
#[derive(Debug)]
pub struct Gathered {
    buffer: Box<[u8]>,
    end: usize,
}

impl Gathered {
    /// Copies from the start of `parts` as much as `limit` allows, 64 KiB at most.
    pub fn new(parts: &[IoSlice<'_>], limit: usize) -> Self {
        let mut buffer = take(OUTGOING_SIZE);
        let limit = limit.min(buffer.len());
        let mut end = 0;
        for part in parts {
            let n = part.len().min(limit - end);
            buffer[end..end + n].copy_from_slice(&part[..n]);
            end += n;
        }
        Self { buffer, end }
    }
}

impl Deref for Gathered {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.end]
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.buffer));
    }
}
