//! Halves: two threads at one connection, neither waiting for the other.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
