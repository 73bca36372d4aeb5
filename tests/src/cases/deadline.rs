//! Deadlines: in every phase, always as `Timeout`, and nothing is lost by one.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
