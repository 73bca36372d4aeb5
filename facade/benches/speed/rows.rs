//! The rows that run in this process.

use std::any::Any;
use std::sync::Arc;

use tokio::runtime::Runtime;

use polytls_benches::ends::{Client, Failure, Server, open, open_async};
use polytls_benches::handshakes::{many, many_async};
use polytls_benches::operation::Operation;
use polytls_benches::setup::{Key, Library, Mode, Setup, Side, Version};
use polytls_benches::transport::{self, BUFFERS, Buffer};

use crate::report::{Row, Run, Target, cpu_of};

/// Contexts of both sides, in the order of [`Side`]: a client's, and those of the servers that it goes
/// to in turns.
struct Contexts([(Client, Vec<Server>); 2]);

impl Contexts {
    fn new(setup: Setup, run: &Run) -> Result<Self, Failure> {
        let of = |side| -> Result<_, Failure> {
            Ok((Client::new(side, setup, &run.pki)?, vec![Server::new(side, setup, &run.pki)?]))
        };
        Ok(Self([of(Side::Facade)?, of(Side::Plain)?]))
    }

    /// With servers whose certificates the client does not remember.
    fn of_strangers(setup: Setup, run: &Run) -> Result<Self, Failure> {
        let of = |side| -> Result<_, Failure> {
            Ok((Client::new(side, setup, &run.pki)?, Server::strangers(side, setup, &run.pki)?))
        };
        Ok(Self([of(Side::Facade)?, of(Side::Plain)?]))
    }

    fn of(&self, side: Side) -> &(Client, Vec<Server>) {
        &self.0[side as usize]
    }
}

/// Whom a client meets, and whether it resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acquaintance {
    /// The same server each time.
    Full,
    /// Another one each time.
    Stranger,
    /// The same, with its session.
    Resumed,
}

/// Handshakes of all kinds.
pub(crate) fn handshakes(run: &mut Run, runtime: &Runtime) -> Result<(), Failure> {
    for acquaintance in [Acquaintance::Full, Acquaintance::Stranger, Acquaintance::Resumed] {
        for key in Key::ALL {
            for version in Version::ALL {
                for library in Library::ALL {
                    for mode in Mode::ALL {
                        let resumption = acquaintance == Acquaintance::Resumed;
                        let setup = Setup { library, version, key, resumption };
                        handshake(run, runtime, setup, acquaintance, mode)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn handshake(
    run: &mut Run,
    runtime: &Runtime,
    setup: Setup,
    acquaintance: Acquaintance,
    mode: Mode,
) -> Result<(), Failure> {
    if acquaintance != Acquaintance::Full && setup.key != Key::P256
        || acquaintance == Acquaintance::Resumed && setup.library == Library::Native
    {
        // A resumed handshake signs nothing, and native-tls resumes nothing.
        return Ok(());
    }
    let (version, key) = (setup.version.name(), setup.key.name());
    let row =
        |kind| Row::new(format!("handshake {kind} {version} {key}"), setup.library, Some(mode));
    let row = match acquaintance {
        Acquaintance::Full => row("full").target(Target::Ratio(1.0)),
        Acquaintance::Stranger => row("with strangers"),
        // Plain users would have to write a cache, and call what the crate marks unsafe.
        Acquaintance::Resumed if setup.library == Library::Openssl => {
            row("resumed").without_plain()
        }
        Acquaintance::Resumed => row("resumed"),
    };
    if !run.wants(&row) {
        return Ok(());
    }
    let contexts = match acquaintance {
        Acquaintance::Stranger => Contexts::of_strangers(setup, run)?,
        _ => Contexts::new(setup, run)?,
    };
    let listener = transport::listener(None)?;
    let asynchronous = {
        let _guard = runtime.enter();
        let listener = listener.try_clone()?;
        Arc::new(tokio::net::TcpListener::from_std(listener)?)
    };
    let count = run.scaled(50);
    // The last connections of a side stay until the next ones stand: were all of them gone, the
    // allocator would give the memory back to the system, and take it anew.
    let mut last: [Option<Box<dyn Any>>; 2] = [None, None];
    run.measure(&row, 21, |side| {
        let (client, servers) = contexts.of(side);
        let (taken, open) = cpu_of(count, || {
            Ok(match mode {
                Mode::Blocking => {
                    listener.set_nonblocking(false)?;
                    Box::new(many(client, servers, &listener, count)?) as Box<dyn Any>
                }
                Mode::Tokio => {
                    listener.set_nonblocking(true)?;
                    let listener = Arc::clone(&asynchronous);
                    Box::new(runtime.block_on(many_async(client, servers, listener, count))?)
                }
            })
        })?;
        last[side as usize] = Some(open);
        Ok(taken)
    })
}

/// Bulk, small writes, vectored writes and round trips.
pub(crate) fn data(run: &mut Run, runtime: &Runtime) -> Result<(), Failure> {
    // Targets by mode (tokio, blocking) and library.
    type Targets = [[f64; 3]; 2];
    const BULK: Targets = [[0.90, 0.82, 0.82], [1.02, 0.88, 0.88]];
    const SMALL: Targets = [[0.76, 0.45, 0.45], [0.92, 1.03, 1.03]];
    const VECTORED: Targets = [[1.00, 0.60, 0.60], [0.68, 0.65, 0.65]];
    const ROUND_1: Targets = [[1.00, 0.87, 0.87], [1.00, 0.96, 0.96]];
    const ROUND_16: Targets = [[0.87, 0.95, 0.95], [0.87, 1.00, 1.00]];
    let all: [(&str, Operation, usize, &Targets); 7] = [
        ("bulk 16 KiB", Operation::Send(16 << 10), 400, &BULK),
        ("bulk 64 KiB", Operation::Send(64 << 10), 120, &BULK),
        ("bulk 256 KiB", Operation::Send(256 << 10), 40, &BULK),
        ("write 64 B", Operation::Send(64), 10_000, &SMALL),
        ("vectored 128 B + 1 KiB", Operation::SendParts(128, 1024), 3_000, &VECTORED),
        ("round trip 1 KiB", Operation::RoundTrip(1 << 10), 1_000, &ROUND_1),
        ("round trip 16 KiB", Operation::RoundTrip(16 << 10), 500, &ROUND_16),
    ];
    for (name, operation, count, targets) in all {
        for library in Library::ALL {
            for (mode, targets) in Mode::ALL.into_iter().zip(targets) {
                let target = Target::Ratio(targets[library as usize]);
                let row = Row::new(name, library, Some(mode)).target(target);
                if !run.wants(&row) {
                    continue;
                }
                let buffers: Vec<Buffer> = match name.starts_with("bulk") {
                    true => BUFFERS.map(Some).into(),
                    false => vec![None],
                };
                let count = run.scaled(count);
                match mode {
                    Mode::Blocking => transfer(run, &row, operation, &buffers, count)?,
                    Mode::Tokio => transfer_async(run, runtime, &row, operation, &buffers, count)?,
                }
            }
        }
    }
    Ok(())
}

fn transfer(
    run: &mut Run,
    row: &Row,
    operation: Operation,
    buffers: &[Buffer],
    count: usize,
) -> Result<(), Failure> {
    let contexts = Contexts::new(Setup::newest(row.library), run)?;
    let mut pairs = [Vec::new(), Vec::new()];
    for side in Side::BOTH {
        for buffer in buffers {
            let (client, servers) = contexts.of(side);
            let (near, far) = transport::pair(*buffer)?;
            let mut pair = open(client, &servers[0], near, far)?;
            operation.run(&mut *pair.0, &mut *pair.1, count.div_ceil(4))?;
            pairs[side as usize].push(pair);
        }
    }
    run.measure(row, 21, |side| {
        let pairs = &mut pairs[side as usize];
        let run = cpu_of(count * pairs.len(), || {
            pairs
                .iter_mut()
                .try_for_each(|(client, server)| operation.run(&mut **client, &mut **server, count))
        });
        run.map(|(taken, ())| taken)
    })
}

fn transfer_async(
    run: &mut Run,
    runtime: &Runtime,
    row: &Row,
    operation: Operation,
    buffers: &[Buffer],
    count: usize,
) -> Result<(), Failure> {
    let contexts = Contexts::new(Setup::newest(row.library), run)?;
    let mut pairs = [Vec::new(), Vec::new()];
    for side in Side::BOTH {
        for buffer in buffers {
            let (client, servers) = contexts.of(side);
            let (near, far) = transport::pair(*buffer)?;
            let mut pair = runtime.block_on(async {
                let (near, far) = (transport::for_tokio(near)?, transport::for_tokio(far)?);
                open_async(client, &servers[0], near, far).await
            })?;
            pair = runtime.block_on(operation.run_async(pair, count.div_ceil(4)))?;
            pairs[side as usize].push(Some(pair));
        }
    }
    run.measure(row, 21, |side| {
        let pairs = &mut pairs[side as usize];
        let run = cpu_of(count * pairs.len(), || {
            pairs.iter_mut().try_for_each(|slot| {
                let pair = slot.take().ok_or("a connection that failed goes on")?;
                *slot = Some(runtime.block_on(operation.run_async(pair, count))?);
                Ok(())
            })
        });
        run.map(|(taken, ())| taken)
    })
}
