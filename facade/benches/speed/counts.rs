//! System calls and allocations per operation: exact, so each is counted once.

use std::sync::Arc;

use polytls_benches::ends::{Client, Failure, Server, open, open_async};
use polytls_benches::operation::Operation;
use polytls_benches::setup::{Key, Library, Mode, Setup, Version};
use polytls_benches::{Calls, Counted, transport};
use stats_alloc::Region;
use tokio::runtime::Runtime;

use crate::report::{Row, Run, Target};
use crate::rows::many;

const OPERATIONS: [(&str, Operation); 4] = [
    ("write 64 B", Operation::Send(64)),
    ("round trip 1 KiB", Operation::RoundTrip(1 << 10)),
    ("round trip 16 KiB", Operation::RoundTrip(16 << 10)),
    ("bulk 256 KiB", Operation::Send(256 << 10)),
];

/// A fraction of an operation's allocations that comes from timing: a read that has to wait in the
/// middle of a record copies it out of the large buffer.
const BEYOND: f64 = 0.25;

/// How often an operation is done.
const COUNT: usize = 64;

/// Calls of the socket, of both ends.
pub(crate) fn system_calls(run: &mut Run) -> Result<(), Failure> {
    for library in Library::ALL {
        handshakes(run, library, "system calls", |client, server| {
            let calls = Arc::new(Calls::default());
            let (near, far) = transport::pair(None)?;
            let (near, far) = (Counted::new(near, &calls), Counted::new(far, &calls));
            let _open = open(client, server, near, far)?;
            Ok(calls.take() as f64)
        })?;
        for (name, operation) in OPERATIONS {
            let name = format!("system calls: {name}");
            let row = Row::new(name, library, Some(Mode::Blocking)).unit("system calls");
            if run.wants(&row) {
                let setup = Setup::of(library);
                let pki = run.pki.clone();
                run.measure(&row, 1, |side| {
                    let client = Client::new(side, setup, &pki)?;
                    let server = Server::new(side, setup, &pki)?;
                    let calls = Arc::new(Calls::default());
                    let (near, far) = transport::pair(Some(192 << 10))?;
                    let (near, far) = (Counted::new(near, &calls), Counted::new(far, &calls));
                    let mut ends = open(&client, &server, near, far)?;
                    operation.run(&mut *ends.0, &mut *ends.1, 4)?;
                    calls.take();
                    operation.run(&mut *ends.0, &mut *ends.1, COUNT)?;
                    Ok(calls.take() as f64 / COUNT as f64)
                })?;
            }
        }
    }
    Ok(())
}

/// Allocations by Rust code, of both ends; OpenSSL's own are not seen.
pub(crate) fn allocations(run: &mut Run, runtime: &Runtime) -> Result<(), Failure> {
    for library in Library::ALL {
        handshakes(run, library, "allocations", handshake_allocations)?;
        for (name, operation) in OPERATIONS {
            for mode in Mode::ALL {
                let row = Row::new(format!("allocations: {name}"), library, Some(mode))
                    .unit("allocations")
                    .target(Target::Beyond(BEYOND));
                if run.wants(&row) {
                    let pki = run.pki.clone();
                    run.measure(&row, 1, |side| {
                        let setup = Setup::of(library);
                        let client = Client::new(side, setup, &pki)?;
                        let server = Server::new(side, setup, &pki)?;
                        allocations_of(operation, mode, &client, &server, runtime)
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// A row for each version, of what a full handshake needs.
fn handshakes(
    run: &mut Run,
    library: Library,
    what: &'static str,
    count: impl Fn(&Client, &Server) -> Result<f64, Failure>,
) -> Result<(), Failure> {
    for version in Version::ALL {
        let name = format!("{what}: handshake {}", version.name());
        let row = Row::new(name, library, Some(Mode::Blocking)).unit(what);
        if run.wants(&row) {
            let setup = Setup { library, version, key: Key::P256, resumption: false };
            let pki = run.pki.clone();
            run.measure(&row, 1, |side| {
                let client = Client::new(side, setup, &pki)?;
                count(&client, &Server::new(side, setup, &pki)?)
            })?;
        }
    }
    Ok(())
}

/// Of one handshake among several, so that what a thread allocates once is not counted.
fn handshake_allocations(client: &Client, server: &Server) -> Result<f64, Failure> {
    let listener = transport::listener(None)?;
    let servers = std::slice::from_ref(server);
    // The first one allocates what stays.
    drop(many(client, servers, &listener, 1)?);
    let mut counts = [0; 2];
    for (count, times) in counts.iter_mut().zip([1, 1 + COUNT]) {
        let region = Region::new(crate::ALLOCATOR);
        let streams = many(client, servers, &listener, times)?;
        *count = region.change().allocations;
        drop(streams);
    }
    Ok((counts[1] as f64 - counts[0] as f64) / COUNT as f64)
}

fn allocations_of(
    operation: Operation,
    mode: Mode,
    client: &Client,
    server: &Server,
    runtime: &Runtime,
) -> Result<f64, Failure> {
    let (near, far) = transport::pair(None)?;
    // What a run of no operation costs: the harness's own buffers and thread.
    let mut counts = [0; 2];
    match mode {
        Mode::Blocking => {
            let mut ends = open(client, server, near, far)?;
            operation.run(&mut *ends.0, &mut *ends.1, COUNT)?;
            for (count, times) in counts.iter_mut().zip([1, 1 + COUNT]) {
                let region = Region::new(crate::ALLOCATOR);
                operation.run(&mut *ends.0, &mut *ends.1, times)?;
                *count = region.change().allocations;
            }
        }
        Mode::Tokio => runtime.block_on(async {
            let (near, far) = (transport::for_tokio(near)?, transport::for_tokio(far)?);
            let mut ends = open_async(client, server, near, far).await?;
            ends = operation.run_async(ends, COUNT).await?;
            for (count, times) in counts.iter_mut().zip([1, 1 + COUNT]) {
                let region = Region::new(crate::ALLOCATOR);
                ends = operation.run_async(ends, times).await?;
                *count = region.change().allocations;
            }
            Ok::<_, Failure>(())
        })?,
    }
    Ok((counts[1] as f64 - counts[0] as f64) / COUNT as f64)
}
