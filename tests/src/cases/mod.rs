//! The cases, by family. To add one, write it in its family's file and add it to that file's list.

mod close;
mod contract;
mod data;
mod handshake;
mod mode;
mod name;
mod verification;

use crate::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        close::CASES,
        contract::CASES,
        data::CASES,
        handshake::CASES,
        mode::CASES,
        name::CASES,
        verification::CASES,
    ]
    .concat()
}

/// The case of this name.
pub fn by_name(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name() == name)
}
