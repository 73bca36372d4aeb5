//! Framing: where a TLS record ends (RFC 8446, section 5.1).

/// Bytes of a record before its payload.
pub(crate) const HEADER: usize = 5;

/// The longest payload of an encrypted record, with the allowance of TLS 1.2 (RFC 5246, section
/// 6.2.3), which is larger than that of TLS 1.3.
pub(crate) const MAX_PAYLOAD: usize = (1 << 14) + 2048;

/// Content type `alert`.
pub(crate) const ALERT: u8 = 21;
/// Content type `handshake`.
pub(crate) const HANDSHAKE: u8 = 22;

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A whole record of this many bytes, header included.
    Record(usize),
    /// The beginning of a record.
    Partial,
    /// No record can begin like this.
    Garbage,
}

/// Judges the front of `bytes`.
#[inline]
pub(crate) fn front(bytes: &[u8]) -> Front {
    match *bytes {
        [] => Front::Partial,
        [kind, ..] if !is_content_type(kind) => Front::Garbage,
        [_, major, ..] if major != 3 => Front::Garbage,
        [_, _, _, high, low, ..] => {
            let payload = usize::from(u16::from_be_bytes([high, low]));
            match HEADER + payload {
                _ if payload > MAX_PAYLOAD => Front::Garbage,
                whole if bytes.len() >= whole => Front::Record(whole),
                _ => Front::Partial,
            }
        }
        _ => Front::Partial,
    }
}

/// `change_cipher_spec`, `alert`, `handshake`, `application_data`, `heartbeat`.
#[inline]
fn is_content_type(byte: u8) -> bool {
    (20..=24).contains(&byte)
}

/// How many bytes at the start of `bytes` are complete records. Whatever cannot be a record counts
/// as complete to its end, so that the library judges it.
#[inline]
pub(crate) fn complete(bytes: &[u8]) -> usize {
    let mut end = 0;
    loop {
        match front(&bytes[end..]) {
            Front::Record(length) => end += length,
            Front::Partial => return end,
            Front::Garbage => return bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_whole_records_only() {
        let record = [23, 3, 3, 0, 2, 7, 7];
        let mut bytes = record.to_vec();
        bytes.extend(record);
        for cut in 0..bytes.len() {
            assert_eq!(complete(&bytes[..cut]), if cut < 7 { 0 } else { 7 });
        }
        assert_eq!(complete(&bytes), 14);
    }

    #[test]
    fn garbage_is_complete() {
        assert_eq!(complete(b"HTTP/1.1"), 8);
        assert_eq!(complete(&[22, 2, 0]), 3);
        assert_eq!(complete(&[23, 3, 3, 0xff, 0xff]), 5);
    }

    #[test]
    fn never_reads_past_the_end() {
        // Every prefix of every first byte, so that no combination of header bytes panics.
        for kind in 0..=255 {
            for length in 0..8 {
                let bytes = [kind, 3, 3, 0, 3, 1, 2, 3];
                assert!(complete(&bytes[..length]) <= length);
            }
        }
    }
}
