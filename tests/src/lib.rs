//! The suite that holds every `polytls` backend to the same behaviour.
//!
//! A case is one function over a client's and a server's backend. It runs for every pair of
//! backends, in memory (as sent, byte by byte, coalesced) and on sockets (blocking and tokio), with
//! TLS 1.2 and with TLS 1.3; each combination is a test of its own name. There are no skips: where a
//! backend lacks a capability, the test observes the typed `Unsupported` instead.
//!
//! The author of a backend runs it like this, in a test with `harness = false`:
//!
//! ```no_run
//! polytls_conformance::main(polytls::backend::all())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cases`] | the cases, one file per family |
//! | [`Case`] | what a case is, and for which combinations it runs |
//! | [`Bench`] | what a case works with: contexts, connections, two scripts at the same time |
//! | [`Endpoint`] | one end of a connection, the same for every kind of stream |
//! | [`pki`] | certificates made in the run, each with one fault at most |
//! | [`transport`] | streams in memory that deliver, cut, alter and remember; sockets |
//! | [`faults`] | faults to plant in a backend: the suite is tested too |
#![forbid(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is test code: a panic fails the case that it happens in"
)]

pub mod bench;
pub mod cases;
pub mod child;
pub mod deviations;
pub mod endpoint;
pub mod failure;
pub mod faults;
pub mod pki;
pub mod runner;
pub mod sessions;
pub mod transport;
pub mod watchdog;

mod case;

pub use bench::{Bench, Verdict};
pub use case::{Case, Row};
pub use endpoint::{Endpoint, Facts};
pub use failure::{Failure, expect_error, expect_kind};
pub use runner::{capability_table, main, suite};

/// What README.md shows must compile, and run where it can.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
