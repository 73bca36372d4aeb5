//! Sessions that are resumed, and those that must not be.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
