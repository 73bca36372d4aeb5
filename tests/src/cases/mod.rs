//! The cases, by family. To add one, write it in its family's file and add it to that file's list.

mod accept;
mod alpn;
mod capability;
mod client_auth;
mod close;
mod connect;
mod constraint;
mod contract;
mod data;
mod deadline;
mod environment;
mod errors;
mod halves;
mod handshake;
mod hostile;
mod identity;
mod mode;
mod name;
mod nested;
mod resumption;
mod select;
mod socket;
mod trust;
mod upgrade;
mod verification;
mod version;

use crate::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        accept::CASES,
        alpn::CASES,
        capability::CASES,
        client_auth::CASES,
        close::CASES,
        connect::CASES,
        constraint::CASES,
        contract::CASES,
        data::CASES,
        deadline::CASES,
        environment::CASES,
        errors::CASES,
        halves::CASES,
        handshake::CASES,
        hostile::CASES,
        identity::CASES,
        mode::CASES,
        name::CASES,
        nested::CASES,
        resumption::CASES,
        select::CASES,
        socket::CASES,
        trust::CASES,
        upgrade::CASES,
        verification::CASES,
        version::CASES,
    ]
    .concat()
}

/// The case of this name.
pub fn by_name(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name() == name)
}

/// What the children of the suite's process do.
pub(crate) const TASKS: &[(&str, crate::child::Task)] = environment::TASKS;
