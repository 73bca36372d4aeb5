//! Plants each fault and expects the case that is meant for it to fail; and to pass without it.

use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use polytls::Backend;
use polytls_conformance::cases;
use polytls_conformance::faults::Fault;
use polytls_conformance::{Bench, Case, Row, watchdog};

fn main() {
    let backends = polytls::backend::all();
    let mut trials = Vec::new();
    for (fault, name) in Fault::ALL.iter().copied() {
        for backend in backends {
            let title = format!("{fault:?}/{}", backend.name());
            trials.push(Trial::test(title, move || caught(fault, name, *backend)));
        }
    }
    for (fault, name) in Fault::COVERED.iter().copied() {
        for backend in backends {
            let title = format!("{fault:?}/{}/covered", backend.name());
            trials.push(Trial::test(title, move || covered(fault, name, *backend)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A case that a fault makes wait for ever is caught by the watchdog, which need not be patient.
const LIMIT: Duration = Duration::from_secs(5);

fn caught(fault: Fault, name: &str, backend: &'static dyn Backend) -> Result<(), Failed> {
    let (case, rows) = rows(name, backend)?;
    // What the backend cannot do, it cannot do wrong.
    let mut noticed = rows.is_empty();
    for row in rows {
        let sound = Bench::new(row.clone(), polytls::backend::all());
        watchdog::run(&row.name, watchdog::LIMIT, move || case.run(&sound))
            .map_err(|failure| format!("without the fault: {failure}"))?;
        let faulty = Bench::new(row.clone(), polytls::backend::all()).with_fault(fault);
        if watchdog::run(&row.name, LIMIT, move || case.run(&faulty)).is_err() {
            noticed = true;
            break;
        }
    }
    if noticed { Ok(()) } else { Err(format!("{name} does not notice {fault:?}").into()) }
}

/// The case passes all the same: the facade does what the backend leaves undone.
fn covered(fault: Fault, name: &str, backend: &'static dyn Backend) -> Result<(), Failed> {
    let (case, rows) = rows(name, backend)?;
    for row in rows {
        let faulty = Bench::new(row.clone(), polytls::backend::all()).with_fault(fault);
        watchdog::run(&row.name, watchdog::LIMIT, move || case.run(&faulty))
            .map_err(|failure| format!("{fault:?} is not made good: {failure}"))?;
    }
    Ok(())
}

/// The case, and its combinations that this backend takes part in and can do.
fn rows(name: &str, backend: &dyn Backend) -> Result<(Case, Vec<Row>), Failed> {
    let case = cases::by_name(name).ok_or_else(|| format!("there is no case {name}"))?;
    let takes_part = |row: &Row| [row.client.name(), row.server.name()].contains(&backend.name());
    let rows = case.rows(polytls::backend::all()).into_iter();
    Ok((case, rows.filter(takes_part).filter(|row| able(&case, row)).collect()))
}

fn able(case: &Case, row: &Row) -> bool {
    let (client, server) = case.needs(row.version);
    row.client.capabilities().first_missing(client).is_none()
        && row.server.capabilities().first_missing(server).is_none()
}
