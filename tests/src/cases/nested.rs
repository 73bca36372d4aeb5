//! TLS inside TLS.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
