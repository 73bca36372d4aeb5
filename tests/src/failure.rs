//! Why a case failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use polytls::{Error, ErrorKind};

/// Why a case failed, in words for whoever has to find the reason.
pub struct Failure(String);

impl Failure {
    /// A failure with this explanation.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// This failure, with where it happened put before it.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: StdError + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self(format!("{}: {}", std::panic::Location::caller(), explain(&error)))
    }
}

/// An error with everything beneath it.
pub fn explain(error: &(dyn StdError + 'static)) -> String {
    match Error::find(error) {
        Some(found) => format!("{:?}: {error} ({found:?})", found.kind()),
        None => format!("{error} ({error:?})"),
    }
}

/// Fails the case unless the condition holds; what follows is as for `format!`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!(
                "{}:{}: {}", file!(), line!(), format_args!($($message)+)
            )));
        }
    };
}

/// Fails the case unless the two are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(, $($message:tt)+)?) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err($crate::Failure::new(format!(
                        "{}:{}: {} is {left:?}, not {right:?}{}",
                        file!(), line!(), stringify!($left),
                        $crate::context!($($($message)+)?)
                    )));
                }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! context {
    () => { "" };
    ($($message:tt)+) => { format_args!(" ({})", format_args!($($message)+)) };
}

/// The [`Error`] that `result` must have failed with.
///
/// # Errors
///
/// That it did not fail, or failed with something else than an [`Error`].
#[track_caller]
pub fn expect_error<T, E>(result: Result<T, E>) -> Result<Error, Failure>
where
    E: StdError + 'static,
{
    let place = std::panic::Location::caller();
    match result {
        Ok(_) => Err(Failure::new(format!("{place}: succeeded, although it has to fail"))),
        Err(error) => match Error::find(&error) {
            Some(found) => Ok(found.clone()),
            None => Err(Failure::new(format!("{place}: not an Error: {}", explain(&error)))),
        },
    }
}

/// The [`Error`] that `result` must have failed with, of this kind, and with that kind's
/// [`io::ErrorKind`].
///
/// # Errors
///
/// That it did not fail, or failed in another way.
#[track_caller]
pub fn expect_kind<T, E>(result: Result<T, E>, kind: ErrorKind) -> Result<Error, Failure>
where
    E: StdError + 'static,
{
    let place = std::panic::Location::caller();
    let error =
        expect_error(result).map_err(|failure| failure.at(format_args!("want {kind:?}")))?;
    if error.kind() != kind {
        return Err(Failure::new(format!("{place}: want {kind:?}, got {}", explain(&error))));
    }
    let system = matches!(kind, ErrorKind::Io | ErrorKind::Connect | ErrorKind::Resolve);
    if !system && kind.io_kind() != io::Error::from(error.clone()).kind() && !is_file(kind) {
        return Err(Failure::new(format!("{place}: io::ErrorKind is {:?}", error.io_kind())));
    }
    Ok(error)
}

/// Kinds about a file keep the system's [`io::ErrorKind`].
fn is_file(kind: ErrorKind) -> bool {
    use polytls::{IdentityReason, TrustReason};
    matches!(kind, ErrorKind::Identity(IdentityReason::File) | ErrorKind::Trust(TrustReason::File))
}
