use std::io;
use std::net::Shutdown;
use std::time::Duration;

use polytls::{Socket, StreamSocket};
use socket2::{SockAddr, SockRef};

use super::Pipe;

/// A stream that has to receive something before it sends, as TLS inside TLS may: the library of the
/// outer connection wants the rest of a message before it writes on.
#[derive(Debug)]
pub struct Entangled(Pipe);

impl Entangled {
    /// A stream over this one, which hears of its timeouts.
    pub fn new(stream: Pipe) -> Self {
        Self(stream)
    }
}

impl Socket for Entangled {
    fn local_addr(&self) -> io::Result<SockAddr> {
        self.0.local_addr()
    }

    fn options(&self) -> Option<SockRef<'_>> {
        self.0.options()
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.read_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.write_timeout()
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

impl StreamSocket for Entangled {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.0.peer_addr()
    }

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.0.recv(&mut [0])?;
        self.0.send(data)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}
