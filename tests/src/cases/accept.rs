//! Accepting: one bad client never concerns another.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
