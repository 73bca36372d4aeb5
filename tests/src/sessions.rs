//! Two sessions over two wires, without the facade: for the clauses that hold below it.

use polytls::contract::{ClientConfig, Handshake, Read, ServerConfig, Session, Wire};
use polytls::{Error, ServerName};

use crate::bench::trust_only;
use crate::pki::{self, Credential, NAME};
use crate::{Bench, Failure, ensure};

/// One end: a session and the wire that is lent to it.
#[derive(Debug)]
pub struct Side {
    /// The session.
    pub session: Box<dyn Session>,
    /// Its wire.
    pub wire: Wire,
}

impl Side {
    fn new(session: Box<dyn Session>) -> Self {
        Self { session, wire: Wire::default() }
    }

    /// Takes the handshake as far as it goes.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn handshake(&mut self) -> Result<Handshake, Error> {
        self.session.handshake(&mut self.wire)
    }

    /// Writes everything, as far as there is room.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        self.session.write(&mut self.wire, data)
    }

    /// Reads once.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Read, Error> {
        self.session.read(&mut self.wire, buf)
    }

    /// Queues close_notify.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn close(&mut self) -> Result<(), Error> {
        self.session.close(&mut self.wire)
    }

    /// Takes the output out of the wire.
    pub fn output(&mut self) -> Vec<u8> {
        let output = self.wire.output().to_vec();
        self.wire.outgoing().clear();
        output
    }

    /// Reads until more input is needed, or the end: what was read, and whether the end has come.
    ///
    /// # Errors
    ///
    /// The session's.
    pub fn read_all(&mut self) -> Result<(Vec<u8>, bool), Error> {
        let (mut all, mut buf) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.read(&mut buf)? {
                Read::Data { n, .. } => all.extend_from_slice(&buf[..n]),
                Read::NeedsInput => return Ok((all, false)),
                Read::Closed => return Ok((all, true)),
            }
        }
    }
}

/// Two ends.
#[derive(Debug)]
pub struct Sessions {
    /// The client's.
    pub client: Side,
    /// The server's.
    pub server: Side,
}

impl Sessions {
    /// Two fresh sessions of the row's backends and version.
    ///
    /// # Errors
    ///
    /// What building the contexts fails with.
    pub fn start(bench: &Bench) -> Result<Self, Failure> {
        Self::start_with(bench, &pki::standard().server)
    }

    /// Two fresh sessions, with another credential for the server.
    ///
    /// # Errors
    ///
    /// What building the contexts fails with.
    pub fn start_with(bench: &Bench, server: &Credential) -> Result<Self, Failure> {
        let version = bench.version();
        let client = ClientConfig::default()
            .with_trust(trust_only(pki::standard().root.der()))
            .with_min_version(version)
            .with_max_version(version);
        let server = ServerConfig::new(server.identity())
            .with_min_version(version)
            .with_max_version(version);
        let name = ServerName::parse(NAME)?;
        Ok(Self {
            client: Side::new(client.connector(bench.client_backend())?.start(&name)?),
            server: Side::new(server.acceptor(bench.server_backend())?.start()?),
        })
    }

    /// Two sessions whose handshake is done, with nothing left on the way.
    ///
    /// # Errors
    ///
    /// What the handshake fails with.
    pub fn connected(bench: &Bench) -> Result<Self, Failure> {
        let mut pair = Self::start(bench)?;
        for _ in 0..8 {
            let near = pair.client.handshake()?;
            pair.to_server();
            let far = pair.server.handshake()?;
            pair.to_client();
            if (near, far) == (Handshake::Done, Handshake::Done) {
                // The server's tickets, which a client meets at its first read.
                let (early, ended) = pair.client.read_all()?;
                ensure!(early.is_empty() && !ended, "the server spoke first");
                return Ok(pair);
            }
        }
        Err(Failure::new("the handshake comes to no end"))
    }

    /// Moves what the client has to say into the server's wire.
    pub fn to_server(&mut self) {
        let output = self.client.output();
        self.server.wire.incoming().push(&output);
    }

    /// Moves what the server has to say into the client's wire.
    pub fn to_client(&mut self) {
        let output = self.server.output();
        self.client.wire.incoming().push(&output);
    }
}

/// The records that some bytes are, each with its header.
pub fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let [_, _, _, high, low, ..] = *bytes {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        let (record, rest) = bytes.split_at(length.min(bytes.len()));
        records.push(record);
        bytes = rest;
    }
    records
}
