//! The suite that holds every `polytls` backend to the same behaviour.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is test code: a panic fails the case that it happens in"
)]

pub mod failure;
pub mod pki;
pub mod transport;
pub mod watchdog;

pub use failure::Failure;
