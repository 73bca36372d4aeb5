//! Cases that change what belongs to the whole process run in a child: this program again.

use std::ffi::OsStr;
use std::process::{Command, exit};

use polytls::Backend;

use crate::{Failure, cases};

/// The first argument of a child.
const MARK: &str = "--polytls-conformance-child";

/// What a child can be asked to do.
pub type Task = fn(&'static dyn Backend, &str) -> Result<(), Failure>;

/// Runs a task of `cases::TASKS` for a backend in a child process with these environment
/// variables, and without `SSL_CERT_FILE` and `SSL_CERT_DIR` otherwise.
///
/// # Errors
///
/// What the task failed with.
pub fn run<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    task: &str,
    backend: &dyn Backend,
    argument: &str,
    environment: impl IntoIterator<Item = (N, V)>,
) -> Result<(), Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args([MARK, task, backend.name(), argument])
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .envs(environment)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(said.trim()).at(format_args!("child ({})", output.status)))
}

/// Does what a child is asked to do and ends the process, when this process is one.
pub(crate) fn serve(backends: &'static [&'static dyn Backend]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mark, task, backend, argument] = arguments.as_slice() else { return };
    if mark != MARK {
        return;
    }
    let backend = backends.iter().find(|known| known.name() == backend);
    let task = cases::TASKS.iter().find(|(name, _)| name == task);
    let outcome = match (backend, task) {
        (Some(backend), Some((_, task))) => task(*backend, argument),
        _ => Err(Failure::new("no such backend or task")),
    };
    if let Err(failure) = outcome {
        eprintln!("{failure}");
        exit(1);
    }
    exit(0);
}
