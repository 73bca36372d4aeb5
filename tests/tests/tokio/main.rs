//! What is tokio's own: cancelling, wakers, hostile transports, the listener, tokio-rustls as a peer.
//!
//! What both kinds of socket share is in the suite, which runs each of its cases on tokio as well.
//! Here, too, each pair of backends and each version is a test of its own name. Where no real socket
//! is needed, the clock is paused: it jumps to the next timer when nothing else can happen, so a lost
//! wake-up is a failure at once, and a deadline takes no time.

mod cancel;
mod deadline;
mod hostile;
mod interop;
mod listener;
mod stream;
mod support;
mod waker;

use libtest_mimic::{Arguments, Trial};
use polytls_conformance::{Case, runner, watchdog};

fn main() {
    let backends = polytls::backend::all();
    let cases: Vec<Case> = [
        cancel::CASES,
        deadline::CASES,
        hostile::CASES,
        interop::CASES,
        listener::CASES,
        stream::CASES,
        waker::CASES,
    ]
    .concat();
    let mut trials = Vec::new();
    for case in cases {
        for row in case.rows(backends) {
            let name = row.name.clone();
            trials.push(Trial::test(row.name.clone(), move || {
                watchdog::run(&name, watchdog::LIMIT, move || runner::run(&case, row, backends))
                    .map_err(|failure| failure.to_string().into())
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
