//! The cases, by family. To add one, write it in its family's file and add it to that file's list.

mod handshake;

use crate::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [handshake::CASES].concat()
}

/// The case of this name.
pub fn by_name(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name() == name)
}
