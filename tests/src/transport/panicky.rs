use std::io;
use std::net::Shutdown;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polytls::{Socket, StreamSocket};
use socket2::{SockAddr, SockRef};

/// A stream whose next call in one direction panics, once it is told to.
#[derive(Debug)]
pub struct Panicky {
    stream: Box<dyn StreamSocket>,
    fuses: Arc<Fuses>,
}

/// Where a [`Panicky`] stream panics next.
#[derive(Debug, Default)]
pub struct Fuses {
    recv: AtomicBool,
    send: AtomicBool,
}

impl Panicky {
    /// A panicky stream, and what lights its fuses.
    pub fn new(stream: Box<dyn StreamSocket>) -> (Self, Arc<Fuses>) {
        let fuses = Arc::<Fuses>::default();
        (Self { stream, fuses: Arc::clone(&fuses) }, fuses)
    }
}

impl Fuses {
    /// The next call that receives panics.
    pub fn light_recv(&self) {
        self.recv.store(true, Ordering::Relaxed);
    }

    /// The next call that sends panics.
    pub fn light_send(&self) {
        self.send.store(true, Ordering::Relaxed);
    }
}

/// Panics without a word on the terminal, where it would look like a failed test.
fn burn(fuse: &AtomicBool) {
    if fuse.swap(false, Ordering::Relaxed) {
        resume_unwind(Box::new("a planted panic"));
    }
}

impl Socket for Panicky {
    fn local_addr(&self) -> io::Result<SockAddr> {
        self.stream.local_addr()
    }

    fn options(&self) -> Option<SockRef<'_>> {
        self.stream.options()
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.stream.read_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.stream.write_timeout()
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.stream.close()
    }
}

impl StreamSocket for Panicky {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.stream.peer_addr()
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        burn(&self.fuses.recv);
        self.stream.recv(buf)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        burn(&self.fuses.send);
        self.stream.send(data)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }
}
