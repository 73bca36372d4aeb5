//! The library's errors in the words of `polytls`.
//!
//! | file | holds |
//! |---|---|
//! | `openssl` | where native-tls stands on OpenSSL |
//! | `schannel` | the numbers of Windows |
//! | `security_framework` | the numbers of macOS and iOS |

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
mod openssl;
#[cfg(any(target_os = "windows", test))]
mod schannel;
#[cfg(any(target_vendor = "apple", test))]
mod security_framework;

use std::fmt::Debug;
use std::io;

use polytls_core::{Error, ErrorKind, IdentityReason};

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
use self::openssl as platform;
#[cfg(target_os = "windows")]
use self::schannel as platform;
#[cfg(target_vendor = "apple")]
use self::security_framework as platform;

/// A handshake failed.
pub(crate) fn handshake(error: native_tls::Error) -> Error {
    platform::handshake(&error).with_source(error)
}

/// Reading, writing or closing failed.
pub(crate) fn data(error: io::Error) -> Error {
    platform::data(&error).with_source(error)
}

/// A context with an identity could not be built: native-tls does not say of which part, but nothing
/// else can still be wrong by then.
pub(crate) fn identity(error: native_tls::Error) -> Error {
    Error::identity(IdentityReason::Malformed, "the library refuses it").with_source(error)
}

/// The library refuses something that it has no reason to refuse: a bug here, or there.
pub(crate) fn internal(error: native_tls::Error) -> Error {
    Error::new(ErrorKind::Internal).with_source(error)
}

/// The number that follows `mark` in the debug text of an error.
///
/// native-tls keeps its error private. `Display` has only words, which differ between releases and
/// languages; `Debug` has the number.
fn number(error: &impl Debug, mark: &str) -> Option<i32> {
    let text = format!("{error:?}");
    let (_, rest) = text.split_once(mark)?;
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_number_of_a_system_error() {
        let error = io::Error::from_raw_os_error(-2146893019);
        assert_eq!(number(&error, "code: "), Some(-2146893019));
        assert_eq!(number(&io::Error::other("code: x"), "code: "), None);
        assert_eq!(number(&io::Error::other("none"), "code: "), None);
    }
}
