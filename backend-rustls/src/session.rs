//! One connection over the lent wire, by rustls' buffered interface.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use polytls_core::observe::Side;
use polytls_core::{
    Certificate, CipherSuite, Error, Handshake, Negotiated, ProtocolVersion, Read, Session, Wire,
};
use rustls::{Connection, HandshakeKind, IoState};

use crate::{error, trust};

/// Either side of one connection.
pub(crate) struct TlsSession {
    tls: Connection,
    /// Bytes of plaintext that rustls holds.
    plaintext: usize,
    /// The peer's close_notify has been read.
    ended: bool,
    /// Ours is queued.
    closed: bool,
    /// Why the library must not be called again: for every later call to tell, since the call that
    /// saw it may have moved plaintext first.
    failed: Option<Error>,
}

impl TlsSession {
    pub(crate) fn new(mut tls: Connection) -> Self {
        // The wire has the limit: what rustls takes must be in it when the call is over.
        tls.set_buffer_limit(None);
        Self { tls, plaintext: 0, ended: false, closed: false, failed: None }
    }

    /// Gives rustls the first record, and queues its answers. After an error it must not be called
    /// again.
    fn advance(&mut self, wire: &mut Wire) -> Result<(), Error> {
        self.take_record(wire).map_err(|error| self.fail(error))
    }

    /// One record, never two: whatever follows the peer's close_notify must stay in the wire.
    ///
    /// The answers are bounded by rustls: it holds one reply to however many key updates, and ends
    /// a connection that asks for too many of them, or for renegotiation.
    fn take_record(&mut self, wire: &mut Wire) -> Result<(), Error> {
        let mut left = wire.record_length();
        // It takes 4 KiB at a time.
        while left > 0 {
            let mut record = std::io::Read::take(&mut *wire, left as u64);
            match self.tls.read_tls(&mut record) {
                Ok(0) => return Err(error::protocol("a record that rustls does not take")),
                Ok(taken) => left = left.saturating_sub(taken),
                Err(error) => return Err(error::protocol(error)),
            }
        }
        let outcome = self.process();
        self.flush(wire)?;
        let state = outcome.map_err(|error| self.refusal(error))?;
        self.plaintext = state.plaintext_bytes_to_read();
        self.ended = state.peer_has_closed();
        Ok(())
    }

    /// Has rustls look at what it took.
    ///
    /// Built with debug assertions, rustls panics when it has to alert the peer after an alert of
    /// its own, and close_notify counts as one (rustls#222, rustls#959). Half-closed, that is within
    /// the peer's reach: it only has to send garbage.
    fn process(&mut self) -> Result<IoState, rustls::Error> {
        if !self.closed {
            return self.tls.process_new_packets();
        }
        catch_unwind(AssertUnwindSafe(|| self.tls.process_new_packets()))
            .unwrap_or(Err(rustls::Error::DecryptError))
    }

    /// Queues what rustls has to send.
    fn flush(&mut self, wire: &mut Wire) -> Result<(), Error> {
        while self.tls.wants_write() {
            self.tls.write_tls(wire).map_err(error::internal)?;
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.clone());
        error
    }

    fn check_failed(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn refusal(&self, error: rustls::Error) -> Error {
        let side = match self.tls {
            Connection::Client(_) => Side::Client,
            Connection::Server(_) => Side::Server,
        };
        match (trust::take_refusal(), &error) {
            (Some(refusal), rustls::Error::InvalidCertificate(_)) => refusal.with_source(error),
            _ => error::translate(error, side),
        }
    }
}

impl Session for TlsSession {
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error> {
        self.check_failed()?;
        loop {
            self.flush(wire)?;
            if !self.tls.is_handshaking() {
                return Ok(Handshake::Done);
            }
            if !wire.has_record() {
                return Ok(Handshake::NeedsInput);
            }
            match self.advance(wire) {
                Err(error) if self.tls.is_handshaking() => return Err(error),
                // What comes behind the last message of the handshake does not undo it.
                _ => {}
            }
        }
    }

    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error> {
        self.check_failed()?;
        let mut n = 0;
        // rustls refuses ciphertext while it holds much plaintext: plaintext first, then feed on.
        while n < buf.len() {
            if self.plaintext > 0 {
                let stored = self.tls.reader().read(&mut buf[n..]);
                let stored = stored.map_err(error::internal)?;
                self.plaintext =
                    if stored == 0 { 0 } else { self.plaintext.saturating_sub(stored) };
                n += stored;
            } else if self.ended || !wire.has_record() || self.advance(wire).is_err() {
                break;
            }
        }
        if n > 0 {
            let inside = self.plaintext > 0 || self.ended || self.failed.is_some();
            return Ok(Read::Data { n, more: inside || wire.has_record() });
        }
        self.check_failed()?;
        Ok(if self.ended { Read::Closed } else { Read::NeedsInput })
    }

    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error> {
        self.check_failed()?;
        let data = &data[..data.len().min(wire.room())];
        if data.is_empty() {
            return Ok(0);
        }
        let n = self.tls.writer().write(data).map_err(error::internal)?;
        self.flush(wire)?;
        Ok(n)
    }

    fn close(&mut self, wire: &mut Wire) -> Result<(), Error> {
        self.check_failed()?;
        // In the handshake there is nothing to end yet.
        if self.tls.is_handshaking() || mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.tls.send_close_notify();
        self.flush(wire)
    }

    fn negotiated(&self) -> Negotiated {
        let mut negotiated = Negotiated::default();
        negotiated.version = self
            .tls
            .protocol_version()
            .and_then(|version| ProtocolVersion::from_number(version.into()));
        negotiated.cipher_suite =
            self.tls.negotiated_cipher_suite().map(|suite| CipherSuite::new(suite.suite().into()));
        negotiated.alpn = self.tls.alpn_protocol().map(Into::into);
        if let Connection::Server(server) = &self.tls {
            negotiated.server_name = server.server_name().map(|n| n.to_ascii_lowercase().into());
        }
        negotiated.resumed = self.tls.handshake_kind().map(|kind| kind == HandshakeKind::Resumed);
        negotiated
    }

    fn peer_certificates(&self) -> Vec<Certificate> {
        let sent = self.tls.peer_certificates().unwrap_or_default();
        sent.iter().cloned().map(Certificate::from).collect()
    }

    fn peer_certificate(&self) -> Option<Certificate> {
        self.tls.peer_certificates()?.first().cloned().map(Certificate::from)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.tls.export_keying_material(output, label, context).map(|_| ()).map_err(error::internal)
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("handshaking", &self.tls.is_handshaking())
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
