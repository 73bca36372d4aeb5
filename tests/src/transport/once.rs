use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use polytls::{ServerSocket, Socket, StreamSocket};
use socket2::{SockAddr, SockRef};

/// A listener that has one connection to give: what makes a server over any stream as lazy as one
/// that was accepted.
#[derive(Debug)]
pub struct Once(Mutex<Option<Box<dyn StreamSocket>>>);

impl Once {
    /// A listener that gives this stream.
    pub fn new(stream: Box<dyn StreamSocket>) -> Self {
        Self(Mutex::new(Some(stream)))
    }
}

impl ServerSocket for Once {
    type Stream = Box<dyn StreamSocket>;
    type Address = ();

    fn accept(&self) -> io::Result<(Self::Stream, ())> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map(|stream| (stream, ())).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn no_socket<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Socket for Once {
    fn local_addr(&self) -> io::Result<SockAddr> {
        no_socket()
    }

    fn options(&self) -> Option<SockRef<'_>> {
        None
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_read_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        no_socket()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_write_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        no_socket()
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }
}
