//! Certificates of clients: asked for, verified, refused.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
