//! Errors: the same failure is the same error, whatever the backend.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
