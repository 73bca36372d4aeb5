//! What a case is, and for which combinations it runs.

use std::fmt;

use polytls::{Backend, Capabilities, Capability, ProtocolVersion};

use crate::transport::Transport;
use crate::{Bench, Failure};

/// One case: a function over a [`Bench`], and what it runs for.
///
/// ```
/// use polytls_conformance::{Bench, Case, Failure};
///
/// fn greets(bench: &Bench) -> Result<(), Failure> {
///     let (client, server) = (bench.client().build()?, bench.server().build()?);
///     bench.run(
///         &client,
///         &server,
///         |client| Ok(std::io::Write::write_all(client, b"hello")?),
///         |server| Ok(std::io::Read::read_exact(server, &mut [0; 5])?),
///     )?;
///     Ok(())
/// }
///
/// let case = Case::new("example::greets", greets);
/// assert_eq!(case.rows(&[]).len(), 0);
/// ```
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: fn(&Bench) -> Result<(), Failure>,
    pairs: Pairs,
    versions: &'static [ProtocolVersion],
    transports: &'static [Transport],
    client_needs: Capabilities,
    server_needs: Capabilities,
    holds: &'static [&'static str],
}

/// Which backends a case is tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairs {
    Every,
    EachClient,
    EachServer,
    Once,
}

impl Case {
    /// A case that runs for every client, server, version and transport.
    pub const fn new(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Self {
        Self {
            name,
            run,
            pairs: Pairs::Every,
            versions: ProtocolVersion::ALL,
            transports: Transport::ALL,
            client_needs: Capabilities::NONE,
            server_needs: Capabilities::NONE,
            holds: &[],
        }
    }

    /// Only the client's backend matters; the server is the first backend that can serve it.
    pub const fn each_client(mut self) -> Self {
        self.pairs = Pairs::EachClient;
        self
    }

    /// Only the server's backend matters; the client is the first backend that can talk to it.
    pub const fn each_server(mut self) -> Self {
        self.pairs = Pairs::EachServer;
        self
    }

    /// No backend matters: runs with the first one.
    pub const fn once(mut self) -> Self {
        self.pairs = Pairs::Once;
        self
    }

    /// For these versions only.
    pub const fn versions(mut self, versions: &'static [ProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// The version does not matter, or the case chooses it by itself: contexts offer all.
    pub const fn any_version(self) -> Self {
        self.versions(&[])
    }

    /// For these transports only.
    pub const fn transports(mut self, transports: &'static [Transport]) -> Self {
        self.transports = transports;
        self
    }

    /// In memory only, each piece as it was sent.
    pub const fn in_memory(self) -> Self {
        self.transports(&[Transport::Whole])
    }

    /// One transport in memory and one of each kind of socket.
    pub const fn one_of_each(self) -> Self {
        self.transports(&[Transport::Whole, Transport::Tcp, Transport::Tokio])
    }

    /// On real sockets only.
    pub const fn on_sockets(self) -> Self {
        self.transports(&[Transport::Tcp, Transport::Tokio])
    }

    /// Nothing is carried, or the case brings its own transport.
    pub const fn no_transport(self) -> Self {
        self.transports(&[])
    }

    /// The client's backend must have this capability.
    pub const fn client_needs(mut self, capability: Capability) -> Self {
        self.client_needs = self.client_needs.with(capability);
        self
    }

    /// The server's backend must have this capability.
    pub const fn server_needs(mut self, capability: Capability) -> Self {
        self.server_needs = self.server_needs.with(capability);
        self
    }

    /// Holds a backend to these clauses of the contract, which name this case.
    pub const fn holds(mut self, clauses: &'static [&'static str]) -> Self {
        self.holds = clauses;
        self
    }

    /// The clauses of the contract that this case holds a backend to.
    pub fn clauses(&self) -> &'static [&'static str] {
        self.holds
    }

    /// The name, `family::case`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case on a bench, whatever the capabilities.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub fn run(&self, bench: &Bench) -> Result<(), Failure> {
        (self.run)(bench)
    }

    /// What a row of this case asks of its client and of its server.
    pub fn needs(&self, version: Option<ProtocolVersion>) -> (Capabilities, Capabilities) {
        use Capability as C;
        let (client, server) = (self.client_needs, self.server_needs);
        match version {
            Some(ProtocolVersion::Tls12) => {
                (client.with(C::ClientTls12), server.with(C::ServerTls12))
            }
            Some(_) => (client.with(C::ClientTls13), server.with(C::ServerTls13)),
            None => (client, server),
        }
    }

    /// The combinations that this case runs for.
    pub fn rows(&self, backends: &'static [&'static dyn Backend]) -> Vec<Row> {
        let mut rows = Vec::new();
        for version in some_or_none(self.versions) {
            for (client, server) in self.pairs(version, backends) {
                for transport in some_or_none(self.transports) {
                    let name = self.row_name(client, server, version, transport);
                    rows.push(Row { name, client, server, version, transport });
                }
            }
        }
        rows
    }

    fn pairs(
        &self,
        version: Option<ProtocolVersion>,
        backends: &'static [&'static dyn Backend],
    ) -> Vec<(&'static dyn Backend, &'static dyn Backend)> {
        let (client_needs, server_needs) = self.needs(version);
        let able = |needs: Capabilities| {
            backends.iter().copied().find(|b| b.capabilities().first_missing(needs).is_none())
        };
        let each = backends.iter().copied();
        match self.pairs {
            Pairs::Every => each
                .flat_map(|client| backends.iter().map(move |server| (client, *server)))
                .collect(),
            Pairs::EachClient => each.map(|b| (b, able(server_needs).unwrap_or(b))).collect(),
            Pairs::EachServer => each.map(|b| (able(client_needs).unwrap_or(b), b)).collect(),
            Pairs::Once => each.take(1).map(|b| (b, b)).collect(),
        }
    }

    fn row_name(
        &self,
        client: &dyn Backend,
        server: &dyn Backend,
        version: Option<ProtocolVersion>,
        transport: Option<Transport>,
    ) -> String {
        let mut name = self.name.to_owned();
        match self.pairs {
            Pairs::Every => name.push_str(&format!("/{}-{}", client.name(), server.name())),
            Pairs::EachClient => name.push_str(&format!("/{}", client.name())),
            Pairs::EachServer => name.push_str(&format!("/{}", server.name())),
            Pairs::Once => {}
        }
        if let Some(version) = version {
            name.push_str(if version == ProtocolVersion::Tls12 { "/tls12" } else { "/tls13" });
        }
        if let Some(transport) = transport {
            name.push_str(&format!("/{transport}"));
        }
        name
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One combination that a case runs for: a test of its own name.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the test.
    pub name: String,
    /// The client's backend.
    pub client: &'static dyn Backend,
    /// The server's backend.
    pub server: &'static dyn Backend,
    /// The only version that both offer; `None` for all.
    pub version: Option<ProtocolVersion>,
    /// What carries the bytes; `None` when the case does not ask.
    pub transport: Option<Transport>,
}

/// Each value, or once nothing.
fn some_or_none<T: Copy>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().copied().map(Some).collect() }
}
