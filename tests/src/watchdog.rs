//! A case that hangs fails, with its name.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::Failure;

/// How long a case may take. Far above what any needs, also on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs `case` on a thread of its own and fails when it panics or takes longer than `limit`; a
/// thread that hangs is left behind.
///
/// # Errors
///
/// The case's own; a panic's message; that the time is over.
pub fn run(
    name: &str,
    limit: Duration,
    case: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name(name.into());
    thread
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(case))
                .unwrap_or_else(|panic| Err(Failure::new(panic_text(&*panic))));
            // Nobody listens any more once the time is over.
            let _ = sender.send(outcome);
        })
        .unwrap();
    match receiver.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(format!("{name} hangs: not over after {limit:?}"))),
    }
}

/// What a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_hang_a_panic_and_a_failure_apart() {
        let (_keep, never) = mpsc::channel::<()>();
        let hangs = run("hangs", Duration::from_millis(5), move || {
            let _ = never.recv();
            Ok(())
        });
        assert!(hangs.unwrap_err().to_string().contains("hangs: not over"));
        let panics = run("panics", LIMIT, || panic!("with {}", "a reason"));
        assert!(panics.unwrap_err().to_string().contains("with a reason"));
        assert!(run("passes", LIMIT, || Ok(())).is_ok());
    }
}
