//! What may be asked of an exporter: what both versions and every library can answer.

use std::ops::RangeInclusive;

use polytls_core::{Error, ErrorKind};

/// Behind `tls13 ` in a string of at most 255 bytes (RFC 8446, section 7.1).
const LABEL: RangeInclusive<usize> = 1..=249;

/// In TLS 1.2 label, both randoms, length and context are one seed (RFC 5705, section 4), of which
/// OpenSSL takes 1,024 bytes (`TLS1_PRF_MAXBUF`).
const LONGEST_CONTEXT: usize = 1024 - 249 - 2 * 32 - 2;

/// What HKDF gives with the shortest hash of any cipher suite (RFC 5869, section 2.3).
const OUTPUT: RangeInclusive<usize> = 1..=255 * 32;

/// Labels that TLS 1.2 begins its own with (RFC 5705, section 4).
const RESERVED: [&[u8]; 5] = [
    b"client finished",
    b"server finished",
    b"master secret",
    b"extended master secret",
    b"key expansion",
];

/// Refuses what is out of bounds, before a library is asked.
///
/// # Errors
///
/// `Config`.
pub(super) fn check(output: &[u8], label: &[u8], context: Option<&[u8]>) -> Result<(), Error> {
    let detail = if !LABEL.contains(&label.len()) || !label.is_ascii() {
        "a label for keying material is 1 to 249 bytes of ASCII"
    } else if RESERVED.iter().any(|reserved| label.starts_with(reserved)) {
        "TLS itself uses this label; those for keying material begin with EXPORTER"
    } else if context.is_some_and(|context| context.len() > LONGEST_CONTEXT) {
        "a context for keying material is at most 709 bytes; pass a hash of a longer one"
    } else if !OUTPUT.contains(&output.len()) {
        "keying material is exported in 1 to 8160 bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Config).with_detail(detail))
}
