//! Which backend serves.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
