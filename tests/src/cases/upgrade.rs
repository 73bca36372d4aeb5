//! STARTTLS: TLS over a stream on which something else was spoken before.

use crate::Case;

pub(super) const CASES: &[Case] = &[];
