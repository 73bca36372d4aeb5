//! Which backends are compiled in, and which one serves code that named none.
//!
//! Code that named its backend is never affected by the others. Code that named none is served by
//! what was *asked for* rather than what is on by default: openssl, then native, then rustls (with aws-lc-rs before ring); or by
//! what the binary chose with [`set_default`].

use std::sync::OnceLock;

use polytls_core::{Backend, Error, ErrorKind};

/// The rustls backend, with aws-lc-rs as its cryptography.
#[cfg(feature = "rustls")]
pub fn rustls() -> &'static dyn Backend {
    polytls_rustls::aws_lc_rs()
}

/// The rustls backend, with ring as its cryptography.
#[cfg(feature = "rustls-ring")]
pub fn rustls_ring() -> &'static dyn Backend {
    polytls_rustls::ring()
}

/// The OpenSSL backend.
#[cfg(feature = "openssl")]
pub fn openssl() -> &'static dyn Backend {
    polytls_openssl::backend()
}

/// The backend that stands on the platform's own TLS: SChannel on Windows, Secure Transport on macOS,
/// OpenSSL elsewhere.
#[cfg(feature = "native")]
pub fn native() -> &'static dyn Backend {
    polytls_native::backend()
}

/// Every backend that is compiled in, the default first.
pub fn all() -> &'static [&'static dyn Backend] {
    static ALL: OnceLock<Vec<&'static dyn Backend>> = OnceLock::new();
    ALL.get_or_init(compiled_in)
}

/// The backend of this name: `rustls`, `rustls-ring`, `openssl` or `native`.
///
/// # Errors
///
/// `NoBackend`, naming those that are compiled in, and the feature that compiles in this one.
pub fn by_name(name: &str) -> Result<&'static dyn Backend, Error> {
    let found = all().iter().copied().find(|backend| backend.name() == name);
    found.ok_or_else(|| no_such(name))
}

fn no_such(name: &str) -> Error {
    let error = Error::new(ErrorKind::NoBackend);
    let names: Vec<_> = all().iter().map(|backend| backend.name()).collect();
    if names.is_empty() {
        // Which features there are is what the kind says by itself.
        return error;
    }
    let mut detail = format!("{name:?} is not among those compiled in ({})", names.join(", "));
    if FEATURES.contains(&name) {
        detail.push_str(&format!("; enable polytls' feature {name}"));
    }
    error.with_detail(detail)
}

/// Each compiles in the backend of its name.
const FEATURES: [&str; 4] = ["openssl", "native", "rustls", "rustls-ring"];

/// The backend that serves code that named none.
///
/// To ask is to use it: from then on the choice stands, and [`set_default`] comes too late for another
/// one. To look without choosing, see [`all`], whose first it is unless another is chosen.
///
/// # Errors
///
/// `NoBackend` when none is compiled in, naming the features to choose from.
pub fn default() -> Result<&'static dyn Backend, Error> {
    if let Some(chosen) = CHOSEN.get() {
        return Ok(*chosen);
    }
    let first = *all().first().ok_or_else(|| Error::new(ErrorKind::NoBackend))?;
    let default = *CHOSEN.get_or_init(|| first);
    #[cfg(feature = "tracing")]
    tracing::debug!(backend = default.name(), "default backend");
    Ok(default)
}

/// Chooses the backend that serves code that named none. For the binary, at its start, before the
/// first context without a backend of its own is made and before [`default`] is called: libraries
/// leave the choice to it.
///
/// # Errors
///
/// `Config` once a default has been chosen or used, so that two parts of a program never run with
/// different ideas of it; choosing the same backend again is fine.
pub fn set_default(backend: &'static dyn Backend) -> Result<(), Error> {
    let chosen = *CHOSEN.get_or_init(|| backend);
    if chosen.name() == backend.name() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config).with_detail(format!(
        "the default backend is {} already; choose before the first context is made",
        chosen.name()
    )))
}

pub(crate) fn or_default(
    named: Option<&'static dyn Backend>,
) -> Result<&'static dyn Backend, Error> {
    named.map_or_else(default, Ok)
}

/// The error of a backend; of one that cannot do what is asked, with those that can.
pub(crate) fn name_those_that_can(error: Error, backend: &dyn Backend) -> Error {
    let ErrorKind::Unsupported(capability) = error.kind() else { return error };
    let can = |backend: &dyn Backend| backend.capabilities().has(capability);
    let names: Vec<_> = all().iter().filter(|one| can(**one)).map(|one| one.name()).collect();
    // One that can as a rule has said by itself what is special here.
    if can(backend) || names.is_empty() {
        return error;
    }
    error.with_detail(format!("{} can", names.join(" and ")))
}

static CHOSEN: OnceLock<&'static dyn Backend> = OnceLock::new();

/// In order of precedence.
#[allow(clippy::vec_init_then_push, unused_mut, reason = "it depends on the features")]
fn compiled_in() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<&'static dyn Backend> = Vec::new();
    cfg_if::cfg_if! {
        if #[cfg(feature = "openssl")] {
            backends.push(openssl());
        }
    }
    cfg_if::cfg_if! {
        if #[cfg(feature = "native")] {
            backends.push(native());
        }
    }
    cfg_if::cfg_if! {
        if #[cfg(feature = "rustls")] {
            backends.push(rustls());
        }
    }
    cfg_if::cfg_if! {
        if #[cfg(feature = "rustls-ring")] {
            backends.push(rustls_ring());
        }
    }
    backends
}
