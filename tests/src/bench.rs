//! What a case works with: contexts of the row's backends, and connections between them.

use std::io::{Read as _, Write as _};
use std::panic::resume_unwind;
use std::thread;

use polytls::{
    Backend, Capability, ClientContext, ClientContextBuilder, Error, ErrorKind, ProtocolVersion,
    ServerContext, ServerContextBuilder, StreamSocket, Trust,
};

use crate::endpoint::{Endpoint, Facts};
use crate::faults::Fault;
use crate::pki::{self, Authority, Credential, NAME};
use crate::transport::{Carrier, Transport};
use crate::{Failure, Row};

/// What a case works with.
#[derive(Debug)]
pub struct Bench {
    row: Row,
    backends: &'static [&'static dyn Backend],
    fault: Option<Fault>,
}

/// How a connection between the two backends ended on each side.
#[derive(Debug)]
pub struct Verdict {
    /// The client's.
    pub client: Result<Facts, Error>,
    /// The server's.
    pub server: Result<Facts, Error>,
}

impl Bench {
    /// A bench for one row of a case; `backends` are all there are.
    pub fn new(row: Row, backends: &'static [&'static dyn Backend]) -> Self {
        Self { row, backends, fault: None }
    }

    /// This bench, with a fault planted: in its backends, or in the contexts it hands out.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.row.client = fault.plant(self.row.client);
        self.row.server = fault.plant(self.row.server);
        self.fault = Some(fault);
        self
    }

    /// The client's backend.
    pub fn client_backend(&self) -> &'static dyn Backend {
        self.row.client
    }

    /// The server's backend.
    pub fn server_backend(&self) -> &'static dyn Backend {
        self.row.server
    }

    /// Every backend of the run, for a case that needs a peer of any.
    pub fn backends(&self) -> &'static [&'static dyn Backend] {
        self.backends
    }

    /// The version that both sides speak.
    pub fn version(&self) -> ProtocolVersion {
        self.row.version.unwrap_or(ProtocolVersion::Tls13)
    }

    /// What carries the bytes; in memory when the case does not ask.
    pub fn transport(&self) -> Transport {
        self.row.transport.unwrap_or(Transport::Whole)
    }

    /// Whether the client's backend has this capability.
    pub fn client_can(&self, capability: Capability) -> bool {
        self.row.client.capabilities().has(capability)
    }

    /// Whether the server's backend has this capability.
    pub fn server_can(&self, capability: Capability) -> bool {
        self.row.server.capabilities().has(capability)
    }

    /// A client of the row's backend and version that trusts the suite's root.
    pub fn client(&self) -> ClientContextBuilder {
        self.client_trusting(&pki::standard().root)
    }

    /// A client of the row's backend and version that trusts only this authority.
    pub fn client_trusting(&self, authority: &Authority) -> ClientContextBuilder {
        self.client_with(trust_only(authority.der()))
    }

    /// A client of the row's backend and version with this trust.
    pub fn client_with(&self, trust: Trust) -> ClientContextBuilder {
        let mut client = ClientContext::builder().backend(self.row.client).trust(trust);
        if let Some(version) = self.row.version {
            client = client.min_version(version).max_version(version);
        }
        match self.fault {
            Some(fault) => fault.loosen_client(client),
            None => client,
        }
    }

    /// A server of the row's backend and version with the suite's identity.
    pub fn server(&self) -> ServerContextBuilder {
        self.server_with(&pki::standard().server)
    }

    /// A server of the row's backend and version with this credential.
    pub fn server_with(&self, credential: &Credential) -> ServerContextBuilder {
        let mut server = ServerContext::builder(credential.identity()).backend(self.row.server);
        if let Some(version) = self.row.version {
            server = server.min_version(version).max_version(version);
        }
        match self.fault {
            Some(fault) => fault.loosen_server(server),
            None => server,
        }
    }

    /// A server with this credential, of the first backend that takes it, for what some libraries do
    /// not present themselves; `None` when each refuses it with a typed error.
    ///
    /// # Errors
    ///
    /// That one refuses it in another way.
    pub fn any_server_with(
        &self,
        credential: &Credential,
    ) -> Result<Option<ServerContext>, Failure> {
        for backend in self.backends {
            match self.server_with(credential).backend(*backend).build() {
                Ok(server) => return Ok(Some(server)),
                Err(error) => match error.kind() {
                    ErrorKind::Identity(_) | ErrorKind::Unsupported(_) => {}
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(None)
    }

    /// Connects the two over the row's transport, and runs the two scripts at the same time, each on
    /// a thread of its own. A script's end of the connection is dropped with it, so that the other
    /// never waits for one that has failed.
    ///
    /// # Errors
    ///
    /// What either script failed with.
    pub fn run<T: Send, U: Send>(
        &self,
        client: &ClientContext,
        server: &ServerContext,
        client_script: impl FnOnce(&mut Endpoint) -> Result<T, Failure> + Send,
        server_script: impl FnOnce(&mut Endpoint) -> Result<U, Failure> + Send,
    ) -> Result<(T, U), Failure> {
        self.run_for(NAME, client, server, client_script, server_script)
    }

    /// [`Bench::run`], for a server of this name.
    ///
    /// # Errors
    ///
    /// What either script failed with.
    pub fn run_for<T: Send, U: Send>(
        &self,
        name: &str,
        client: &ClientContext,
        server: &ServerContext,
        client_script: impl FnOnce(&mut Endpoint) -> Result<T, Failure> + Send,
        server_script: impl FnOnce(&mut Endpoint) -> Result<U, Failure> + Send,
    ) -> Result<(T, U), Failure> {
        let (near, far) = self.transport().pair();
        self.run_over((near, far), name, client, server, client_script, server_script)
    }

    /// [`Bench::run_for`], over these two ends of a transport, the client's first.
    ///
    /// # Errors
    ///
    /// What either script failed with.
    pub fn run_over<T: Send, U: Send>(
        &self,
        (near, far): (Carrier, Carrier),
        name: &str,
        client: &ClientContext,
        server: &ServerContext,
        client_script: impl FnOnce(&mut Endpoint) -> Result<T, Failure> + Send,
        server_script: impl FnOnce(&mut Endpoint) -> Result<U, Failure> + Send,
    ) -> Result<(T, U), Failure> {
        let transport = self.transport();
        both(
            || client_script(&mut Endpoint::client(near, transport, client, name)),
            || server_script(&mut Endpoint::server(far, transport, server)),
        )
    }

    /// Runs a client against a peer that speaks by hand.
    ///
    /// # Errors
    ///
    /// What either script failed with.
    pub fn client_against<T: Send, U: Send>(
        &self,
        client: &ClientContext,
        client_script: impl FnOnce(&mut Endpoint) -> Result<T, Failure> + Send,
        peer: impl FnOnce(&dyn StreamSocket) -> Result<U, Failure> + Send,
    ) -> Result<(T, U), Failure> {
        let transport = self.transport();
        let (near, far) = transport.pair();
        let far = far.into_stream();
        both(
            || client_script(&mut Endpoint::client(near, transport, client, NAME)),
            move || peer(&*far),
        )
    }

    /// Runs a server against a peer that speaks by hand.
    ///
    /// # Errors
    ///
    /// What either script failed with.
    pub fn server_against<T: Send, U: Send>(
        &self,
        server: &ServerContext,
        peer: impl FnOnce(&dyn StreamSocket) -> Result<T, Failure> + Send,
        server_script: impl FnOnce(&mut Endpoint) -> Result<U, Failure> + Send,
    ) -> Result<(T, U), Failure> {
        let transport = self.transport();
        let (near, far) = transport.pair();
        let near = near.into_stream();
        both(move || peer(&*near), || server_script(&mut Endpoint::server(far, transport, server)))
    }

    /// Connects the two, exchanges a word each way, closes on both sides, and tells how that went.
    ///
    /// # Errors
    ///
    /// That something else than TLS went wrong.
    pub fn verdict(
        &self,
        client: &ClientContext,
        server: &ServerContext,
    ) -> Result<Verdict, Failure> {
        self.verdict_for(NAME, client, server)
    }

    /// [`Bench::verdict`], for a server of this name.
    ///
    /// # Errors
    ///
    /// That something else than TLS went wrong.
    pub fn verdict_for(
        &self,
        name: &str,
        client: &ClientContext,
        server: &ServerContext,
    ) -> Result<Verdict, Failure> {
        let (client, server) = self.run_for(
            name,
            client,
            server,
            |client| outcome(client_exchange(client)),
            |server| outcome(server_exchange(server)),
        )?;
        Ok(Verdict { client, server })
    }

    /// Connects the two, exchanges a word each way and closes; everything must go well.
    ///
    /// # Errors
    ///
    /// What went wrong on either side.
    pub fn connects(
        &self,
        client: &ClientContext,
        server: &ServerContext,
    ) -> Result<(Facts, Facts), Failure> {
        self.connects_to(NAME, client, server)
    }

    /// [`Bench::connects`], for a server of this name.
    ///
    /// # Errors
    ///
    /// What went wrong on either side.
    pub fn connects_to(
        &self,
        name: &str,
        client: &ClientContext,
        server: &ServerContext,
    ) -> Result<(Facts, Facts), Failure> {
        let verdict = self.verdict_for(name, client, server)?;
        match (verdict.client, verdict.server) {
            (Ok(client), Ok(server)) => Ok((client, server)),
            (client, server) => {
                let text = |side: Result<Facts, Error>| {
                    side.map_or_else(|error| format!("{error:?}"), |_| "fine".into())
                };
                Err(Failure::new(format!("client: {}; server: {}", text(client), text(server))))
            }
        }
    }
}

/// Trust in these certificates alone.
pub fn trust_only(der: &[u8]) -> Trust {
    Trust::only_bytes(der).unwrap()
}

/// Bytes of this length, without a short period, so that a lost or doubled one shows.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let next = |state: &mut u32| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next(&mut state)).collect()
}

fn client_exchange(client: &mut Endpoint) -> Result<Facts, Failed> {
    client.handshake()?;
    let asked = client.say(b"ping");
    let mut answer = [0; 4];
    // A server that refuses late may be gone before it is asked; what it said last tells why.
    client.read_exact(&mut answer)?;
    asked?;
    if &answer != b"pong" {
        return Err(Failed::Other(Failure::new(format!("not a pong: {answer:?}"))));
    }
    let facts = client.facts();
    client.close()?;
    Ok(facts)
}

fn server_exchange(server: &mut Endpoint) -> Result<Facts, Failed> {
    server.handshake()?;
    let mut question = [0; 4];
    server.read_exact(&mut question)?;
    if &question != b"ping" {
        return Err(Failed::Other(Failure::new(format!("not a ping: {question:?}"))));
    }
    server.write_all(b"pong")?;
    server.flush()?;
    let facts = server.facts();
    if server.read(&mut [0; 1])? != 0 {
        return Err(Failed::Other(Failure::new("more than a ping")));
    }
    server.close()?;
    Ok(facts)
}

/// Why an exchange ended.
enum Failed {
    Tls(Error),
    Other(Failure),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

impl From<std::io::Error> for Failed {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        match Error::find(&error) {
            Some(found) => Self::Tls(found.clone()),
            None => Self::Other(error.into()),
        }
    }
}

fn outcome(result: Result<Facts, Failed>) -> Result<Result<Facts, Error>, Failure> {
    match result {
        Ok(facts) => Ok(Ok(facts)),
        Err(Failed::Tls(error)) => Ok(Err(error)),
        Err(Failed::Other(failure)) => Err(failure),
    }
}

/// Runs two scripts at the same time; when both fail, tells of both.
///
/// # Errors
///
/// What either script failed with.
pub fn both<T: Send, U: Send>(
    client: impl FnOnce() -> Result<T, Failure> + Send,
    server: impl FnOnce() -> Result<U, Failure> + Send,
) -> Result<(T, U), Failure> {
    let (client, server) = thread::scope(|scope| {
        let server = scope.spawn(server);
        let client = client();
        (client, server.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match (client, server) {
        (Ok(client), Ok(server)) => Ok((client, server)),
        (Err(client), Ok(_)) => Err(client.at("client")),
        (Ok(_), Err(server)) => Err(server.at("server")),
        (Err(client), Err(server)) => {
            Err(Failure::new(format!("client: {client}; server: {server}")))
        }
    }
}
