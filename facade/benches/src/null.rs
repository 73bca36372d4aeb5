//! A session that encrypts nothing, and a socket that sends nowhere: what is left is the facade.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use polytls::contract::{
    Acceptor, ClientConfig, Connector, Handshake, Read, ServerConfig, Session, Wire,
};
use polytls::{
    Backend, Capabilities, Certificate, Error, Negotiated, ServerName, Socket, StreamSocket,
};
use socket2::{SockAddr, SockRef};

/// A context of either side whose sessions frame records and leave the payload as it is.
#[derive(Debug)]
pub struct NullContext;

impl NullContext {
    /// A client's context.
    pub fn connector() -> Arc<dyn Connector> {
        Arc::new(Self)
    }

    /// A server's context.
    pub fn acceptor() -> Arc<dyn Acceptor> {
        Arc::new(Self)
    }
}

impl Backend for NullContext {
    fn name(&self) -> &'static str {
        "null"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    fn connector(&'static self, _: &ClientConfig) -> Result<Arc<dyn Connector>, Error> {
        Ok(Self::connector())
    }

    fn acceptor(&'static self, _: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error> {
        Ok(Self::acceptor())
    }
}

impl Connector for NullContext {
    fn backend(&self) -> &'static dyn Backend {
        &Self
    }

    fn start(&self, _: &ServerName) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(NullSession))
    }
}

impl Acceptor for NullContext {
    fn backend(&self) -> &'static dyn Backend {
        &Self
    }

    fn start(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(NullSession))
    }
}

/// Bytes of a record before its payload.
const HEADER: usize = 5;

#[derive(Debug)]
struct NullSession;

impl Session for NullSession {
    fn handshake(&mut self, _: &mut Wire) -> Result<Handshake, Error> {
        Ok(Handshake::Done)
    }

    // Small, and outlined, so that a profile shows it by itself.
    #[inline(never)]
    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        let mut header = [0; HEADER];
        if !wire.has_record() || wire.read(&mut header).is_err() {
            return Ok(Read::NeedsInput);
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let n = length.min(buf.len());
        let n = wire.read(&mut buf[..n]).unwrap_or(0);
        Ok(Read::Data { n, more: wire.has_record() })
    }

    #[inline(never)]
    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        let n = data.len().min(wire.room()).min(1 << 14);
        let taken = wire.write(&header(n)).and_then(|_| wire.write(&data[..n]));
        Ok(taken.unwrap_or(0))
    }

    fn close(&mut self, _: &mut Wire) -> Result<(), Error> {
        Ok(())
    }

    fn negotiated(&self) -> Negotiated {
        Negotiated::default()
    }

    fn peer_certificates(&self) -> Vec<Certificate> {
        Vec::new()
    }
}

/// A record with `payload`, as a null session reads and writes it.
fn record(payload: &[u8]) -> Vec<u8> {
    [&header(payload.len()), payload].concat()
}

fn header(length: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [23, 3, 3, high, low]
}

/// What a read and a write cost without the facade: session, wire and socket called by hand.
pub mod direct {
    use super::{CannedSocket, NullSession, Read, Session, StreamSocket, Wire};

    /// Session and wire.
    #[derive(Debug)]
    pub struct Direct {
        session: Box<dyn Session>,
        wire: Wire,
    }

    impl Default for Direct {
        fn default() -> Self {
            Self { session: Box::new(NullSession), wire: Wire::default() }
        }
    }

    impl Direct {
        /// Writes one message.
        pub fn write(&mut self, socket: &CannedSocket, data: &[u8]) -> usize {
            let n = self.session.write(&mut self.wire, data).unwrap_or(0);
            let sent = socket.send(self.wire.output()).unwrap_or(0);
            self.wire.outgoing().sent(sent);
            n
        }

        /// Reads one message.
        pub fn read(&mut self, socket: &CannedSocket, buf: &mut [u8]) -> usize {
            let received = socket.recv(self.wire.incoming().space()).unwrap_or(0);
            self.wire.incoming().received(received);
            match self.session.read(&mut self.wire, buf) {
                Ok(Read::Data { n, .. }) => n,
                _ => 0,
            }
        }
    }
}

/// A socket that always has the same record to receive, and takes whatever is sent.
#[derive(Debug)]
pub struct CannedSocket {
    record: Vec<u8>,
}

impl CannedSocket {
    /// A socket that receives records of this payload.
    pub fn new(payload: &[u8]) -> Self {
        Self { record: record(payload) }
    }
}

impl Socket for CannedSocket {
    fn local_addr(&self) -> io::Result<SockAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn options(&self) -> Option<SockRef<'_>> {
        None
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }
}

impl StreamSocket for CannedSocket {
    fn peer_addr(&self) -> io::Result<SockAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[inline(never)]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.record.len().min(buf.len());
        buf[..n].copy_from_slice(&self.record[..n]);
        Ok(n)
    }

    #[inline(never)]
    fn send(&self, data: &[u8]) -> io::Result<usize> {
        Ok(std::hint::black_box(data).len())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}
