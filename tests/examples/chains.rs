//! Public collections of certificate chains, each through a real handshake with every backend.
//!
//! ```text
//! cargo run -p polytls-conformance --example chains -- FILE.json.. [--every N] [--list]
//! ```
//!
//! A file is in the form of x509-limbo (`limbo.json`), with the private keys of the leaves: the server
//! presents leaf and intermediates as they are given, and a client that trusts exactly the given
//! certificates connects with the expected name. It must connect for SUCCESS, and refuse for FAILURE.
//! `--every N` takes each Nth case only; `--list` names each case that some backend sees otherwise.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is there for what it prints")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fmt;

use polytls::{
    Backend, Capability, ClientContext, Connection, Error, ErrorKind, Identity, Progress,
    ServerContext, ServerName, Trust, backend, insecure_client_ssl_context,
};
use serde_json::Value;

fn main() -> Result<(), Box<dyn StdError>> {
    let mut files = Vec::new();
    let (mut every, mut list) = (1, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--every" => every = arguments.next().ok_or("--every takes a number")?.parse()?,
            "--list" => list = true,
            _ => files.push(argument),
        }
    }
    if files.is_empty() {
        eprintln!("usage: chains FILE.json.. [--every N] [--list]");
        std::process::exit(2);
    }
    for file in files {
        let suite: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let cases = suite["testcases"].as_array().ok_or("no test cases")?;
        let mut report = Report::default();
        for case in cases.iter().step_by(every) {
            report.add(&Case::read(case));
        }
        println!("{file}: {} of {} cases\n", cases.len().div_ceil(every), cases.len());
        report.print(list);
    }
    Ok(())
}

/// One chain, and what is expected of it.
struct Case {
    id: String,
    /// What the suite's authors say about the case.
    features: Vec<String>,
    trusted: String,
    chain: String,
    key: String,
    name: String,
    accepted: bool,
    /// Why it cannot be run here.
    beyond: Option<&'static str>,
}

impl Case {
    fn read(case: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(text).collect()
        };
        let beyond = if !case["validation_time"].is_null() {
            Some("wants another time than now")
        } else if case["validation_kind"] != "SERVER" {
            Some("is about a client's certificate")
        } else if !texts(&case["crls"]).is_empty() {
            Some("wants revocation lists")
        } else if !case["max_chain_depth"].is_null() {
            Some("wants a bound for the chain's length")
        } else if case["expected_peer_name"].is_null() {
            Some("expects no name")
        } else {
            None
        };
        let intermediates = texts(&case["untrusted_intermediates"]);
        Self {
            id: text(&case["id"]),
            features: texts(&case["features"]),
            trusted: texts(&case["trusted_certs"]).join("\n"),
            chain: [vec![text(&case["peer_certificate"])], intermediates].concat().join("\n"),
            key: text(&case["peer_certificate_key"]),
            name: text(&case["expected_peer_name"]["value"]),
            accepted: case["expected_result"] == "SUCCESS",
            beyond,
        }
    }

    /// What the case is about: the suite, and the family in it.
    fn family(&self) -> String {
        let parts: Vec<&str> = self.id.split("::").collect();
        let family = parts.get(..parts.len().saturating_sub(1)).unwrap_or_default().join("::");
        match self.features.as_slice() {
            [] => family,
            features => format!("{family} ({})", features.join(", ")),
        }
    }

    fn expectation(&self) -> &'static str {
        if self.accepted { "accept" } else { "refuse" }
    }

    /// A server that presents the chain, of the first backend that serves TLS 1.3 and does.
    fn server(&self) -> Result<ServerContext, Error> {
        let identity = Identity::from_bytes(self.chain.as_bytes(), self.key.as_bytes())?;
        let mut refused = Error::new(ErrorKind::NoBackend);
        for backend in backend::all() {
            if !backend.capabilities().has(Capability::ServerTls13) {
                continue;
            }
            let server = ServerContext::builder(identity.clone()).backend(*backend).build();
            // Some take a chain and fail only when they are to send it.
            match server.and_then(|server| self.is_presented(&server).map(|()| server)) {
                Ok(server) => return Ok(server),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whether a client that verifies nothing gets the chain.
    fn is_presented(&self, server: &ServerContext) -> Result<(), Error> {
        let anyone = ServerName::parse("localhost")?;
        shake_hands(&insecure_client_ssl_context()?, &anyone, server)
    }

    fn verdict(&self, backend: &'static dyn Backend, server: &ServerContext) -> Verdict {
        match self.connect(backend, server) {
            Ok(()) => Verdict::Accepted,
            Err(error) => match error.certificate_reason() {
                Some(reason) => Verdict::Refused(reason.to_string()),
                None => Verdict::Refused(format!("{:?}", error.kind())),
            },
        }
    }

    fn connect(&self, backend: &'static dyn Backend, server: &ServerContext) -> Result<(), Error> {
        let trust = Trust::only_bytes(self.trusted.as_bytes())?;
        let client = ClientContext::builder().backend(backend).trust(trust).build()?;
        shake_hands(&client, &ServerName::parse(&self.name)?, server)
    }
}

/// A handshake in memory, as the client sees it.
fn shake_hands(
    client: &ClientContext,
    name: &ServerName,
    server: &ServerContext,
) -> Result<(), Error> {
    let mut client = Connection::client(client, name)?;
    let mut server = Connection::server(server)?;
    for _ in 0..16 {
        if client.handshake()? == Progress::Ready(()) {
            return Ok(());
        }
        carry(&mut client, &mut server);
        // What the server thinks of it, the client hears by its alert.
        let _ = server.handshake();
        carry(&mut server, &mut client);
    }
    Err(Error::internal("the handshake comes to no end"))
}

fn carry(from: &mut Connection, to: &mut Connection) {
    let output = from.output().to_vec();
    from.sent(output.len());
    to.received_before(&output);
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Accepted,
    Refused(String),
}

impl Verdict {
    fn accepts(&self) -> bool {
        *self == Self::Accepted
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepts"),
            Self::Refused(why) => write!(f, "refuses ({why})"),
        }
    }
}

/// Everything that has been seen.
#[derive(Default)]
struct Report {
    not_run: BTreeMap<String, usize>,
    run: usize,
    /// By backend: how many verdicts are as expected.
    agree: BTreeMap<&'static str, usize>,
    /// By what differs from the expectation: the cases.
    otherwise: BTreeMap<String, Vec<String>>,
    /// By how the backends differ among each other: the cases.
    divided: BTreeMap<String, Vec<String>>,
    /// The same verdict, for different reasons.
    reasons: BTreeMap<String, Vec<String>>,
}

impl Report {
    fn add(&mut self, case: &Case) {
        if let Some(why) = case.beyond {
            *self.not_run.entry(why.into()).or_default() += 1;
            return;
        }
        let server = match case.server() {
            Ok(server) => server,
            Err(error) => {
                let why = format!("no backend presents it: {:?}", error.kind());
                *self.not_run.entry(why).or_default() += 1;
                return;
            }
        };
        self.run += 1;
        let family = case.family();
        let mut verdicts = Vec::new();
        for backend in backend::all() {
            let verdict = case.verdict(*backend, &server);
            let agree = self.agree.entry(backend.name()).or_default();
            if verdict.accepts() == case.accepted {
                *agree += 1;
            } else {
                let class =
                    format!("{family}: {}, {} {verdict}", case.expectation(), backend.name());
                self.otherwise.entry(class).or_default().push(case.id.clone());
            }
            verdicts.push((backend.name(), verdict));
        }
        let distinct: BTreeSet<_> = verdicts.iter().map(|(_, verdict)| verdict).collect();
        if distinct.len() > 1 {
            let said: Vec<_> =
                verdicts.iter().map(|(name, said)| format!("{name} {said}")).collect();
            let class = format!("{family}: {}", said.join(", "));
            let acceptance: BTreeSet<_> = distinct.iter().map(|said| said.accepts()).collect();
            let differing =
                if acceptance.len() > 1 { &mut self.divided } else { &mut self.reasons };
            differing.entry(class).or_default().push(case.id.clone());
        }
    }

    fn print(&self, list: bool) {
        println!("{:>6} run", self.run);
        for (why, cases) in &self.not_run {
            println!("{cases:>6} not run: {why}");
        }
        for (backend, agree) in &self.agree {
            println!("{agree:>6} as expected by {backend}, {} otherwise", self.run - agree);
        }
        for (title, classes) in [
            ("other than expected", &self.otherwise),
            ("accepted by one backend, refused by another", &self.divided),
            ("refused by all, for different reasons", &self.reasons),
        ] {
            let cases: usize = classes.values().map(Vec::len).sum();
            println!("\n{cases} {title}");
            for (class, ids) in classes {
                println!("{:>6} {class}", ids.len());
                let shown = if list { ids.len() } else { 0 };
                ids.iter().take(shown).for_each(|id| println!("         {id}"));
            }
        }
        println!();
    }
}
