use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polytls::StreamSocket as _;

use super::Pipe;

/// A stream of which every other call times out, and the others move little; once it is told to.
#[derive(Debug)]
pub struct Stingy {
    stream: Pipe,
    on: Arc<AtomicBool>,
    calls: usize,
}

impl Stingy {
    /// A stingy stream, and the switch that makes it so.
    pub fn new(stream: Pipe) -> (Self, Arc<AtomicBool>) {
        let on = Arc::new(AtomicBool::new(false));
        (Self { stream, on: Arc::clone(&on), calls: 0 }, on)
    }

    /// How much of this many bytes may move.
    fn share(&mut self, length: usize) -> io::Result<usize> {
        if !self.on.load(Ordering::Relaxed) {
            return Ok(length);
        }
        self.calls += 1;
        if self.calls % 2 == 0 { Ok(length.min(17)) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

impl io::Read for Stingy {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let share = self.share(buf.len())?;
        self.stream.recv(&mut buf[..share])
    }
}

impl io::Write for Stingy {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let share = self.share(data.len())?;
        self.stream.send(&data[..share])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
