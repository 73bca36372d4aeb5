//! Runs the suite for every pair of the backends that are compiled in.

use polytls_conformance::{runner, suite};

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, suite(polytls::backend::all()));
    let (passed, observed) = runner::counts();
    let names: Vec<_> = polytls::backend::all().iter().map(|backend| backend.name()).collect();
    println!(
        "backends {}: {passed} tests passed, {observed} observed that a capability is absent",
        names.join(", ")
    );
    conclusion.exit();
}
