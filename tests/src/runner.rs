//! From cases to tests: one of its own name for each combination.

use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Trial};
use polytls::{
    Backend, Capability, ClientAuth, ClientContext, ErrorKind, ProtocolVersion, ServerContext,
    Verification,
};

use crate::bench::trust_only;
use crate::deviations::{self, Deviation};
use crate::failure::expect_kind;
use crate::pki;
use crate::transport::Transport;
use crate::{Bench, Case, Failure, Row, cases, child, ensure, watchdog};

/// Runs the suite for these backends and ends the process: the whole of a test's `main`, with
/// `harness = false`. Takes the arguments that `cargo test` passes on.
///
/// Cases about the environment run this program again as their child.
pub fn main(backends: &'static [&'static dyn Backend]) -> ! {
    child::serve(backends);
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, suite(backends));
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    let (passed, observed) = counts();
    if !arguments.list {
        println!(
            "{} cases, backends {}: {passed} tests passed, and {observed} observed that a \
             capability is absent",
            cases::all().len(),
            names.join(", "),
        );
    }
    conclusion.exit()
}

/// Every case of the suite, for these backends, as tests for `libtest_mimic::run`.
///
/// A test passes when the case does; or when a capability is absent that it needs, and that absence
/// is *observed* as the contract says: a typed `Unsupported`, or a fact that is not told. A test that
/// a known deviation is about passes when it fails.
pub fn suite(backends: &'static [&'static dyn Backend]) -> Vec<Trial> {
    let rows: Vec<(Case, Row)> = cases::all()
        .into_iter()
        .flat_map(|case| case.rows(backends).into_iter().map(move |row| (case, row)))
        .collect();
    let deviations = deviations::known();
    let mut trials: Vec<Trial> = deviations
        .iter()
        .filter(|deviation| is_about_these(deviation, backends))
        .map(|deviation| stale_unless_used(deviation, &rows))
        .collect();
    for (case, row) in rows {
        let deviation = deviations.iter().find(|it| row.name.starts_with(&it.test)).cloned();
        trials.push(trial(case, row, deviation, backends));
    }
    trials
}

fn trial(
    case: Case,
    row: Row,
    deviation: Option<Deviation>,
    backends: &'static [&'static dyn Backend],
) -> Trial {
    let name = row.name.clone();
    Trial::test(row.name.clone(), move || {
        let outcome = watchdog::run(&name, watchdog::LIMIT, move || run(&case, row, backends));
        match (outcome, deviation) {
            (outcome, None) => outcome.map_err(|failure| failure.to_string().into()),
            (Err(_), Some(_)) => Ok(()),
            (Ok(()), Some(deviation)) => {
                Err(format!("no longer deviates, take the line out: {deviation:?}").into())
            }
        }
    })
}

/// Whether the backends that a deviation names take part in this run.
fn is_about_these(deviation: &Deviation, backends: &[&dyn Backend]) -> bool {
    let Some(pair) = deviation.test.split('/').nth(1) else { return true };
    pair.split('-').all(|name| backends.iter().any(|backend| backend.name() == name))
}

fn stale_unless_used(deviation: &Deviation, rows: &[(Case, Row)]) -> Trial {
    let used = rows.iter().any(|(_, row)| row.name.starts_with(&deviation.test));
    let line = format!("{deviation:?}");
    Trial::test(format!("deviations::is_used/{}", deviation.test), move || match used {
        true => Ok(()),
        false => Err(format!("no test starts like this, take the line out: {line}").into()),
    })
}

static PASSED: AtomicUsize = AtomicUsize::new(0);
static OBSERVED: AtomicUsize = AtomicUsize::new(0);

/// How many tests passed so far, and of how many the absence of a capability was observed instead.
pub fn counts() -> (usize, usize) {
    (PASSED.load(Ordering::Relaxed), OBSERVED.load(Ordering::Relaxed))
}

/// Runs one row of a case, or observes what is absent.
///
/// # Errors
///
/// Why it failed.
pub fn run(
    case: &Case,
    row: Row,
    backends: &'static [&'static dyn Backend],
) -> Result<(), Failure> {
    let (client_needs, server_needs) = case.needs(row.version);
    let missing = |backend: &dyn Backend, needs| backend.capabilities().first_missing(needs);
    match (missing(row.client, client_needs), missing(row.server, server_needs)) {
        (None, None) => {
            case.run(&Bench::new(row, backends))?;
            PASSED.fetch_add(1, Ordering::Relaxed);
        }
        (Some(capability), _) => {
            observe_absence(row.client, capability, backends)?;
            OBSERVED.fetch_add(1, Ordering::Relaxed);
        }
        (None, Some(capability)) => {
            observe_absence(row.server, capability, backends)?;
            OBSERVED.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Observes that a backend says what it cannot do: building a context that asks for it fails with
/// `Unsupported`, or, for what no configuration asks for, the fact is absent from a connection.
///
/// # Errors
///
/// That the backend did it all the same, or failed in another way.
pub fn observe_absence(
    backend: &'static dyn Backend,
    capability: Capability,
    backends: &'static [&'static dyn Backend],
) -> Result<(), Failure> {
    use Capability as C;
    use ProtocolVersion::{Tls12, Tls13};
    let kind = ErrorKind::Unsupported(capability);
    let standard = pki::standard();
    let client =
        || ClientContext::builder().backend(backend).trust(trust_only(standard.root.der()));
    let server = || ServerContext::builder(standard.server.identity()).backend(backend);
    match capability {
        C::ClientTls12 => expect_kind(client().max_version(Tls12).build(), kind)?,
        C::ClientTls13 => expect_kind(client().min_version(Tls13).build(), kind)?,
        C::ServerTls12 => expect_kind(server().max_version(Tls12).build(), kind)?,
        C::ServerTls13 => expect_kind(server().min_version(Tls13).build(), kind)?,
        C::ClientAlpn => expect_kind(client().alpn(["h2"]).build(), kind)?,
        C::ServerAlpn => expect_kind(server().alpn(["h2"]).build(), kind)?,
        C::ClientIdentity => {
            expect_kind(client().identity(standard.client.identity()).build(), kind)?
        }
        C::ClientAuth => {
            let ask = ClientAuth::Required(trust_only(standard.root.der()));
            expect_kind(server().client_auth(ask).build(), kind)?
        }
        C::SkipHostname => {
            let skip = client().danger_verification(Verification::SkipHostname);
            expect_kind(skip.build(), kind)?
        }
        C::PartialChain => {
            expect_kind(client().trust(trust_only(standard.intermediate.der())).build(), kind)?
        }
        _ => return observe_absent_fact(backend, capability, backends),
    };
    Ok(())
}

/// For what no configuration asks for: connects twice and looks.
fn observe_absent_fact(
    backend: &'static dyn Backend,
    capability: Capability,
    backends: &'static [&'static dyn Backend],
) -> Result<(), Failure> {
    let row = Row {
        name: format!("absence of {capability}"),
        client: backend,
        server: backend,
        version: None,
        transport: Some(Transport::Whole),
    };
    let bench = Bench::new(row, backends);
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let mut facts = Vec::new();
    for _ in 0..2 {
        let (near, far) = bench.run(
            &client,
            &server,
            |client| {
                client.say(b"ping")?;
                client.hear(4)?;
                let told = (client.facts(), client.export(b"EXPORTER-suite", None));
                client.close()?;
                Ok(told)
            },
            |server| {
                server.hear(4)?;
                server.say(b"pong")?;
                let told = (server.facts(), server.export(b"EXPORTER-suite", None));
                server.read_all()?;
                Ok(told)
            },
        )?;
        facts.extend([near, far]);
    }
    for (facts, exported) in facts {
        match capability {
            Capability::Exporter => {
                expect_kind(exported, ErrorKind::Unsupported(capability))?;
            }
            Capability::ClientResumption | Capability::ServerResumption => {
                ensure!(facts.resumed != Some(true), "resumed, which {capability} denies");
            }
            Capability::PeerChain => {
                ensure!(facts.peer_certificates.len() <= 1, "told more than the leaf");
            }
            // Seen only in an error; `capability::table_is_true` looks there.
            _ => {}
        }
    }
    Ok(())
}

/// The capability table of these backends, as JSON: one object per capability, in their order.
pub fn capability_table(backends: &[&dyn Backend]) -> String {
    let row = |capability: Capability| {
        let cells: Vec<_> = backends
            .iter()
            .map(|backend| {
                let can = backend.capabilities().has(capability);
                format!("\"{}\": {can}", backend.name())
            })
            .collect();
        format!("  \"{}\": {{ {} }}", capability.name(), cells.join(", "))
    };
    let rows: Vec<_> = Capability::ALL.iter().copied().map(row).collect();
    format!("{{\n{}\n}}\n", rows.join(",\n"))
}
