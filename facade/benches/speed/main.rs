//! Facade and plain libraries side by side, in one process and in turns.
//!
//! ```text
//! cargo bench -p polytls-benches --bench speed -- [--quick] [--rows FILTER] [--rounds N] [--json FILE] [--side SIDE] [--two-cores]
//! ```
//!
//! Times are CPU time of both ends, not the clock's, and both ends share a core. With `--two-cores`,
//! tokio's have one each, and what is measured is mostly who waits for whom: a reader that is done
//! sooner sleeps more often, each time for the price of a wake-up, so that the same library takes
//! anything from one to three times as long. Each figure is the median of its rounds, and the ratio
//! is that of the two medians. `--rows` takes words, of which a
//! row must contain all (`openssl+bulk+tokio`), and alternatives between commas. `--rounds` takes more
//! of them than usual, and `--side facade` or `--side plain` runs one side only: for a profiler.
//!
//! | file | holds |
//! |---|---|
//! | `rows`, `child`, `counts` | the rows: in this process, in one of their own, not timed |
//! | `report` | medians, the table, the JSON |
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod child;
mod counts;
mod report;
mod rows;

use std::path::PathBuf;

use polytls_benches::ends::Failure;
use polytls_benches::pki::Pki;
use polytls_benches::setup::Side;
use report::Run;
use tokio::runtime::Runtime;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [first, rest @ ..] if first == child::FLAG => {
            pin();
            child::main(rest)
        }
        _ => {
            let options = Options::parse(&arguments)?;
            let mut runtime = match options.two_cores {
                true => tokio::runtime::Builder::new_multi_thread(),
                false => tokio::runtime::Builder::new_current_thread(),
            };
            // Its threads, if any, are not pinned.
            let runtime = runtime.worker_threads(2).enable_all().build()?;
            pin();
            parent(&options, &runtime)
        }
    }
}

/// Both ends share a core, so that neither waking the other nor a cache miss depends on where the
/// scheduler puts them; threads made later inherit it.
fn pin() {
    if let Some(core) = core_affinity::get_core_ids().unwrap_or_default().last() {
        core_affinity::set_for_current(*core);
    }
}

fn parent(options: &Options, runtime: &Runtime) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let pki = Pki::create(dir.path()).map_err(|error| error.to_string())?;
    let mut run = Run::new(pki, options);
    rows::handshakes(&mut run, runtime)?;
    rows::data(&mut run, runtime)?;
    child::rows(&mut run)?;
    counts::system_calls(&mut run)?;
    counts::allocations(&mut run)?;
    run.finish(options.json.as_deref())
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rows: Option<String>,
    pub(crate) rounds: Option<usize>,
    pub(crate) side: Option<Side>,
    two_cores: bool,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--two-cores" => options.two_cores = true,
                "--rows" => options.rows = Some(value()?.clone()),
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--side" => options.side = Some(value()?.parse()?),
                "--json" => options.json = Some(value()?.into()),
                // Cargo adds it.
                "--bench" => {}
                other => return Err(format!("{other}: no such option").into()),
            }
        }
        Ok(options)
    }
}
