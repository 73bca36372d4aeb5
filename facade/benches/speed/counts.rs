//! System calls and allocations per operation: exact, so each is counted once.

use std::process::{Command, Stdio};
use std::sync::Arc;

use polytls_benches::ends::{Client, Failure, Server, open};
use polytls_benches::operation::Operation;
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Library, Mode, Setup, Side, Version};
use polytls_benches::{Calls, Counted, transport};

use crate::report::{Row, Run, Target};

/// A fraction of an operation's allocations that comes from timing: a read that has to wait in the
/// middle of a record copies it out of the large buffer.
const BEYOND: f64 = 0.25;

/// How often an operation is done.
const COUNT: usize = 64;

/// Calls of the socket, of both ends.
pub(crate) fn system_calls(run: &mut Run) -> Result<(), Failure> {
    for library in Library::ALL {
        handshakes(run, library, "system calls", |setup, side, pki| {
            let (client, server) = (Client::new(side, setup, pki)?, Server::new(side, setup, pki)?);
            let calls = Arc::new(Calls::default());
            let (near, far) = transport::pair(None)?;
            let (near, far) = (Counted::new(near, &calls), Counted::new(far, &calls));
            let _open = open(&client, &server, near, far)?;
            Ok(calls.take() as f64)
        })?;
        for (name, operation) in Operation::COUNTED {
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

/// Allocations by Rust code, of both ends, counted by a program of their own.
pub(crate) fn allocations(run: &mut Run) -> Result<(), Failure> {
    for library in Library::ALL {
        let name = library.name();
        handshakes(run, library, "allocations", |setup, side, pki| {
            counted(pki, &[name, side.name(), setup.version.name(), "handshake"])
        })?;
        for (number, (operation, _)) in Operation::COUNTED.into_iter().enumerate() {
            for mode in Mode::ALL {
                let row = Row::new(format!("allocations: {operation}"), library, Some(mode))
                    .unit("allocations")
                    .target(Target::Beyond(BEYOND));
                if run.wants(&row) {
                    let (pki, number) = (run.pki.clone(), number.to_string());
                    let version = library.version().name();
                    run.measure(&row, 1, |side| {
                        counted(&pki, &[name, side.name(), version, mode.name(), &number])
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn counted(pki: &Pki, arguments: &[&str]) -> Result<f64, Failure> {
    let program = env!("CARGO_BIN_EXE_allocations");
    let output =
        Command::new(program).arg(pki.dir()).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("counting failed".into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// A row for each version, of what a full handshake needs.
fn handshakes(
    run: &mut Run,
    library: Library,
    what: &'static str,
    count: impl Fn(Setup, Side, &Pki) -> Result<f64, Failure>,
) -> Result<(), Failure> {
    for version in Version::ALL {
        let name = format!("{what}: handshake {}", version.name());
        let row = Row::new(name, library, Some(Mode::Blocking)).unit(what);
        if run.wants(&row) {
            let setup = Setup { version, ..Setup::of(library) };
            let pki = run.pki.clone();
            run.measure(&row, 1, |side| count(setup, side, &pki))?;
        }
    }
    Ok(())
}
