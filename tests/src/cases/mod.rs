//! The cases, by family. To add one, write it in its family's file and add it to that file's list.

mod accept;
mod alpn;
mod client_auth;
mod close;
mod contract;
mod data;
mod deadline;
mod errors;
mod halves;
mod handshake;
mod hostile;
mod mode;
mod name;
mod nested;
mod resumption;
mod select;
mod upgrade;
mod verification;

use crate::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        accept::CASES,
        alpn::CASES,
        client_auth::CASES,
        close::CASES,
        contract::CASES,
        data::CASES,
        deadline::CASES,
        errors::CASES,
        halves::CASES,
        handshake::CASES,
        hostile::CASES,
        mode::CASES,
        name::CASES,
        nested::CASES,
        resumption::CASES,
        select::CASES,
        upgrade::CASES,
        verification::CASES,
    ]
    .concat()
}

/// The case of this name.
pub fn by_name(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name() == name)
}
