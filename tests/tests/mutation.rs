//! No path from untrusted bytes to a panic, a hang or wrong data (clause S5 of the contract).
//!
//! In a live handshake and in data records after it, each byte in each direction is changed, one run
//! each, and each prefix is cut. The outcome is an error or a correct result. Single-threaded: two
//! `Connection`s whose bytes pass through here, so that a run cannot hang, only come to a standstill,
//! which is told from the ends' own answers.
#![expect(clippy::print_stdout, reason = "the number of runs is part of the result")]

use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Failed, Trial};
use polytls::{
    Backend, Capabilities, Capability, ClientContext, Connection, Error, Progress, ProtocolVersion,
    ServerContext, ServerName,
};
use polytls_conformance::bench::{pattern, trust_only};
use polytls_conformance::{pki, watchdog};

static RUNS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for client in polytls::backend::all().iter().copied() {
        for server in polytls::backend::all().iter().copied() {
            for version in ProtocolVersion::ALL.iter().copied() {
                if able(client, server, version) {
                    trials.extend(trials_of(client, server, version));
                }
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        println!("mutation and truncation: {} runs", RUNS.load(Ordering::Relaxed));
    }
    conclusion.exit();
}

/// What a backend does not speak is refused when the context is built: `capability::table_is_true`.
fn able(client: &dyn Backend, server: &dyn Backend, version: ProtocolVersion) -> bool {
    use Capability as C;
    let (near, far) = match version {
        ProtocolVersion::Tls12 => (C::ClientTls12, C::ServerTls12),
        _ => (C::ClientTls13, C::ServerTls13),
    };
    Capabilities::has(client.capabilities(), near) && Capabilities::has(server.capabilities(), far)
}

fn trials_of(
    client: &'static dyn Backend,
    server: &'static dyn Backend,
    version: ProtocolVersion,
) -> Vec<Trial> {
    let pair = format!("{}-{}/{}", client.name(), server.name(), short(version));
    let mut trials = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        for damage in [Damage::Cut, Damage::Flip(0x01), Damage::Flip(0x80), Damage::Flip(0xff)] {
            let name = format!("{pair}/{direction:?}/{damage}");
            let title = name.clone();
            trials.push(Trial::test(title, move || {
                watchdog::run(&name, std::time::Duration::from_secs(300), move || {
                    everywhere(client, server, version, direction, damage)
                        .map_err(polytls_conformance::Failure::new)
                })
                .map_err(|failure| Failed::from(failure.to_string()))
            }));
        }
    }
    trials
}

fn short(version: ProtocolVersion) -> &'static str {
    if version == ProtocolVersion::Tls12 { "tls12" } else { "tls13" }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The stream ends before this byte.
    Cut,
    /// These bits of the byte are changed.
    Flip(u8),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cut => f.write_str("cut"),
            Self::Flip(mask) => write!(f, "xor_{mask:02x}"),
        }
    }
}

/// Damages every byte of what passes in this direction, one run each.
fn everywhere(
    client: &'static dyn Backend,
    server: &'static dyn Backend,
    version: ProtocolVersion,
    direction: Direction,
    damage: Damage,
) -> Result<(), String> {
    let standard = pki::standard();
    // Without resumption, so that all runs are alike.
    let client = ClientContext::builder()
        .backend(client)
        .trust(trust_only(standard.root.der()))
        .resumption(polytls::Resumption::Disabled)
        .min_version(version)
        .max_version(version)
        .build()
        .map_err(|error| error.to_string())?;
    let server = ServerContext::builder(standard.server.identity())
        .backend(server)
        .resumption(polytls::Resumption::Disabled)
        .min_version(version)
        .max_version(version)
        .build()
        .map_err(|error| error.to_string())?;
    let sound = run(&client, &server, None)?;
    let length = match direction {
        Direction::ToServer => sound.to_server,
        Direction::ToClient => sound.to_client,
    };
    if sound.outcomes.iter().any(Result::is_err) {
        return Err(format!("undamaged: {:?}", sound.outcomes));
    }
    for position in 0..length {
        RUNS.fetch_add(1, Ordering::Relaxed);
        let outcome = run(&client, &server, Some((direction, position, damage)));
        let run = outcome.map_err(|error| format!("byte {position}: {error}"))?;
        // A cut stream can never pass for a whole one. (Not every run is as long as the first: the
        // length of a signature varies.)
        let unnoticed = run.cut && run.outcomes.iter().all(Result::is_ok);
        if unnoticed {
            return Err(format!("cut at byte {position} of {length}, and nobody noticed"));
        }
    }
    Ok(())
}

struct Run {
    outcomes: [Result<(), Error>; 2],
    to_server: usize,
    to_client: usize,
    cut: bool,
}

/// What each side says: a few records of different lengths.
fn words() -> [Vec<u8>; 2] {
    [pattern(40), pattern(90)]
}

/// One connection from the first byte to both ends' close. Fails when an end takes wrong bytes for
/// right ones, or takes the end of data where none is.
fn run(
    client: &ClientContext,
    server: &ServerContext,
    damage: Option<(Direction, usize, Damage)>,
) -> Result<Run, String> {
    let name = ServerName::parse(pki::NAME).map_err(|error| error.to_string())?;
    let [question, answer] = words();
    let mut near = End::new(
        Connection::client(client, &name).map_err(|error| error.to_string())?,
        question.clone(),
        answer.clone(),
    );
    let mut far =
        End::new(Connection::server(server).map_err(|error| error.to_string())?, answer, question);
    let mut there = Way::new(Direction::ToServer, damage);
    let mut back = Way::new(Direction::ToClient, damage);
    loop {
        near.step()?;
        let moved = there.carry(&mut near, &mut far);
        far.step()?;
        let moved = back.carry(&mut far, &mut near) || moved;
        if !moved {
            // Nothing is on its way: whoever still waits is told that nothing more comes.
            near.connection.ended(None);
            far.connection.ended(None);
            near.step()?;
            far.step()?;
            break;
        }
    }
    Ok(Run {
        outcomes: [near.outcome(), far.outcome()],
        to_server: there.passed,
        to_client: back.passed,
        cut: there.cut || back.cut,
    })
}

/// One end and its part in the conversation: shakes hands, says its words, hears the other's, says
/// goodbye and waits for the other's goodbye.
struct End {
    connection: Connection,
    to_say: Vec<u8>,
    to_hear: Vec<u8>,
    heard: Vec<u8>,
    done: bool,
    failed: Option<Error>,
}

impl End {
    fn new(connection: Connection, to_say: Vec<u8>, to_hear: Vec<u8>) -> Self {
        Self { connection, to_say, to_hear, heard: Vec::new(), done: false, failed: None }
    }

    /// Goes on as far as it goes; fails only for wrong data.
    fn step(&mut self) -> Result<(), String> {
        if self.done || self.failed.is_some() {
            return Ok(());
        }
        match self.go_on() {
            Ok(done) => self.done = done,
            Err(error) => self.failed = Some(error),
        }
        if !self.to_hear.starts_with(&self.heard) {
            return Err(format!("wrong data was taken for right: {:?}", self.heard));
        }
        if self.done && self.heard != self.to_hear {
            return Err(format!("an end after {} of {}", self.heard.len(), self.to_hear.len()));
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<bool, Error> {
        while !self.to_say.is_empty() {
            // In records of 17 bytes, so that there are some.
            let part = self.to_say.len().min(17);
            match self.connection.write(&self.to_say[..part])? {
                Progress::Ready(n) => drop(self.to_say.drain(..n)),
                Progress::NeedsInput | Progress::NeedsOutput => return Ok(false),
            }
        }
        if !self.connection.is_closed() {
            self.connection.close()?;
        }
        let mut buf = [0; 64];
        loop {
            match self.connection.read(&mut buf)? {
                Progress::Ready(0) => return Ok(true),
                Progress::Ready(n) => self.heard.extend_from_slice(&buf[..n]),
                Progress::NeedsInput | Progress::NeedsOutput => return Ok(false),
            }
        }
    }

    fn outcome(self) -> Result<(), Error> {
        match self.failed {
            Some(error) => Err(error),
            None if self.done => Ok(()),
            None => Err(Error::internal("came to a standstill")),
        }
    }
}

/// One direction, and where it is damaged.
struct Way {
    damage: Option<(usize, Damage)>,
    passed: usize,
    cut: bool,
}

impl Way {
    fn new(direction: Direction, damage: Option<(Direction, usize, Damage)>) -> Self {
        let damage = damage.filter(|(which, ..)| *which == direction);
        Self { damage: damage.map(|(_, position, kind)| (position, kind)), passed: 0, cut: false }
    }

    /// Moves everything that one end has to send to the other; whether there was something.
    fn carry(&mut self, from: &mut End, to: &mut End) -> bool {
        let mut bytes = from.connection.output().to_vec();
        from.connection.sent(bytes.len());
        if bytes.is_empty() || self.cut {
            return false;
        }
        let start = self.passed;
        self.passed += bytes.len();
        match self.damage {
            Some((position, kind)) if (start..self.passed).contains(&position) => match kind {
                Damage::Flip(mask) => bytes[position - start] ^= mask,
                Damage::Cut => {
                    bytes.truncate(position - start);
                    self.cut = true;
                }
            },
            _ => {}
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let space = to.connection.input();
            let n = space.len().min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            to.connection.received(n);
            rest = &rest[n..];
        }
        if self.cut {
            to.connection.ended(None);
        }
        true
    }
}
