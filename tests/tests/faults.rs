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
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A case that a fault makes wait for ever is caught by the watchdog, which need not be patient.
const LIMIT: Duration = Duration::from_secs(5);

fn caught(fault: Fault, name: &str, backend: &'static dyn Backend) -> Result<(), Failed> {
    let backends = polytls::backend::all();
    let case = cases::by_name(name).ok_or_else(|| format!("there is no case {name}"))?;
    let rows: Vec<Row> = case
        .rows(backends)
        .into_iter()
        .filter(|row| row.client.name() == backend.name() || row.server.name() == backend.name())
        .filter(|row| able(&case, row))
        .collect();
    if rows.is_empty() {
        return Ok(()); // what the backend cannot do, it cannot do wrong
    }
    let mut failures = 0;
    for row in rows {
        let sound = Bench::new(row.clone(), backends);
        watchdog::run(&row.name, watchdog::LIMIT, move || case.run(&sound))
            .map_err(|failure| format!("without the fault: {failure}"))?;
        let faulty = Bench::new(row.clone(), backends).with_fault(fault);
        if watchdog::run(&row.name, LIMIT, move || case.run(&faulty)).is_err() {
            failures += 1;
            break;
        }
    }
    if failures == 0 { Err(format!("{name} does not notice {fault:?}").into()) } else { Ok(()) }
}

fn able(case: &Case, row: &Row) -> bool {
    let (client, server) = case.needs(row.version);
    row.client.capabilities().first_missing(client).is_none()
        && row.server.capabilities().first_missing(server).is_none()
}
