//! A small pool of I/O buffers for each thread.
//!
//! A fresh buffer must be zeroed, which costs more than a round trip of 1 KiB; a buffer kept per
//! connection costs ten times the memory of the connection. So buffers are borrowed while bytes
//! are in flight.

use std::cell::RefCell;
use std::fmt;
use std::io::IoSlice;
use std::ops::Deref;
use std::sync::Mutex;

/// How many buffers of each size a thread keeps.
const KEPT: usize = 4;

/// How many of each size are kept of threads that have ended: a server may have a thread for each
/// connection.
const INHERITED: usize = 8;

/// The sizes of the two kinds of buffer, in bytes.
pub(crate) const INCOMING_SIZE: usize = 128 << 10;
pub(crate) const OUTGOING_SIZE: usize = 64 << 10;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool(EMPTY)) };
}

static LEFT: Mutex<Shelves> = Mutex::new(EMPTY);

type Shelves = [Vec<Box<[u8]>>; 2];

const EMPTY: Shelves = [Vec::new(), Vec::new()];

struct Pool(Shelves);

impl Drop for Pool {
    fn drop(&mut self) {
        let Ok(mut left) = LEFT.try_lock() else { return };
        for (kept, left) in self.0.iter_mut().zip(&mut *left) {
            let room = INHERITED.saturating_sub(left.len());
            left.extend(kept.drain(..).take(room));
        }
    }
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
        .and_then(|shelf| POOL.try_with(|pool| pool.borrow_mut().0[shelf].pop()).ok().flatten());
    kept.unwrap_or_else(|| make(size))
}

#[cold]
fn make(size: usize) -> Box<[u8]> {
    let left = shelf(size).and_then(|shelf| LEFT.try_lock().ok()?[shelf].pop());
    left.unwrap_or_else(|| vec![0; size].into())
}

/// Gives a buffer back; one of another size, or one too many, is freed.
#[inline]
pub(crate) fn give(buffer: Box<[u8]>) {
    let Some(shelf) = shelf(buffer.len()) else { return };
    let _ = POOL.try_with(|pool| {
        let kept = &mut pool.borrow_mut().0[shelf];
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    });
}

/// Several pieces of plaintext, gathered into one so that they share a record; in a buffer of the
/// pool.
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

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes, which are somebody's secrets.
        f.debug_struct("Gathered").field("length", &self.end).finish()
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since the shelf is the process's.
    #[test]
    fn threads_leave_a_bounded_number_of_buffers() {
        for _ in 0..2 * INHERITED {
            let give_all = || (0..KEPT).for_each(|_| give(vec![7; INCOMING_SIZE].into()));
            std::thread::spawn(give_all).join().unwrap();
        }
        assert_eq!(LEFT.lock().unwrap()[0].len(), INHERITED);
        let inherits = || take(INCOMING_SIZE)[0] == 7;
        assert!(std::thread::spawn(inherits).join().unwrap());
    }
}
