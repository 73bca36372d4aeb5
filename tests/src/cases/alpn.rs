//! Application protocols: the server's choice, and what happens without one.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
