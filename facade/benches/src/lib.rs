//! Measuring what `polytls` costs beside the plain libraries.
//!
//! | what | where | when it runs |
//! |---|---|---|
//! | times and ratios of every backend | `speed/`, and `allocations.rs` for it | by hand: `cargo bench -p polytls-benches --bench speed` |
//! | allocations and system calls per operation | `tests/` | in `./check` |
//! | the facade's own instructions | `instructions.rs` | in `./check`, where valgrind is |
//!
//! `PROFILES.md` says where the time goes. This library holds what more than one of them needs.
#![forbid(unsafe_code)]

pub mod allocations;
pub mod ends;
pub mod handshakes;
pub mod operation;
pub mod pki;
pub mod setup;
pub mod transport;

mod counted;
mod null;

pub use counted::{Calls, Counted};
pub use null::{CannedSocket, NullContext, direct};
