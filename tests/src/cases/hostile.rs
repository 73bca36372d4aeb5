//! Peers that do not speak TLS, or abuse it.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
