//! Which backend serves.

use polytls::{
    Backend, ClientContext, ErrorKind, ServerContext, Tls as _, UpgradeOptions, backend,
    ssl_client_upgrade, ssl_server_upgrade,
};

use crate::bench::{both, trust_only};
use crate::pki::{self, NAME};
use crate::transport::{Delivery, pipe};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    case("select::all", all).once(),
    case("select::by_name", by_name).once(),
    case("select::default_is_the_first", default_is_the_first).once(),
    case("select::default_is_chosen_once", default_is_chosen_once).once(),
    case("select::named_is_what_serves", named_is_what_serves),
    case("select::unnamed_is_served_by_the_default", unnamed_is_served_by_the_default).once(),
    case("select::no_backend_says_what_to_do", no_backend_says_what_to_do).once(),
];

/// Each has a name of its own, by which applications ask for it.
fn all(_bench: &Bench) -> Result<(), Failure> {
    let names: Vec<_> = backend::all().iter().map(|backend| backend.name()).collect();
    ensure!(!names.is_empty(), "the suite has backends, and `all` none");
    for (i, name) in names.iter().enumerate() {
        ensure!(!names[..i].contains(name), "{name} stands twice");
        ensure!(
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{name:?} is no name for a configuration file"
        );
    }
    Ok(())
}

fn by_name(_bench: &Bench) -> Result<(), Failure> {
    for known in backend::all() {
        ensure_eq!(backend::by_name(known.name())?.name(), known.name());
    }
    for unknown in ["", "boring", "OPENSSL", "rustls "] {
        let error = expect_kind(backend::by_name(unknown), ErrorKind::NoBackend)?;
        ensure!(error.to_string().starts_with("no such TLS backend"), "{error}");
        // Whoever misspelt it sees what there is.
        for known in backend::all() {
            ensure!(error.to_string().contains(known.name()), "{error}");
        }
    }
    Ok(())
}

fn default_is_the_first(_bench: &Bench) -> Result<(), Failure> {
    let first = backend::all().first().map(|backend| backend.name());
    ensure_eq!(Some(backend::default()?.name()), first);
    Ok(())
}

/// Two parts of a program never run with different ideas of it.
fn default_is_chosen_once(_bench: &Bench) -> Result<(), Failure> {
    let default = backend::default()?;
    backend::set_default(default)?;
    for other in backend::all().iter().filter(|other| other.name() != default.name()) {
        let error = expect_kind(backend::set_default(*other), ErrorKind::Config)?;
        ensure!(error.to_string().contains(default.name()), "{error}");
    }
    ensure_eq!(backend::default()?.name(), default.name());
    Ok(())
}

/// Code that named a backend gets it, whatever else is compiled in (reqwest#903); and everything
/// tells which one it is.
fn named_is_what_serves(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    ensure_eq!(client.backend().name(), bench.client_backend().name());
    ensure_eq!(server.backend().name(), bench.server_backend().name());
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let stream = ssl_client_upgrade(near, NAME, options)?;
            ensure_eq!(stream.backend(), bench.client_backend().name());
            Ok(())
        },
        || {
            let stream = ssl_server_upgrade(far, &server)?;
            ensure_eq!(stream.backend(), bench.server_backend().name());
            Ok(())
        },
    )?;
    let (near, far) = pipe(Delivery::Whole);
    drop(far);
    let options = UpgradeOptions::new().context(bench.client().build()?);
    let error = crate::expect_error(ssl_client_upgrade(near, NAME, options))?;
    ensure_eq!(error.backend(), Some(bench.client_backend().name()));
    Ok(())
}

fn unnamed_is_served_by_the_default(_bench: &Bench) -> Result<(), Failure> {
    let default: &dyn Backend = backend::default()?;
    let client = ClientContext::builder().trust(trust_only(pki::standard().root.der())).build()?;
    ensure_eq!(client.backend().name(), default.name());
    let server = ServerContext::builder(pki::standard().server.identity()).build()?;
    ensure_eq!(server.backend().name(), default.name());
    Ok(())
}

/// Without a backend everything compiles; this is what running it says.
fn no_backend_says_what_to_do(_bench: &Bench) -> Result<(), Failure> {
    let error = polytls::Error::new(ErrorKind::NoBackend);
    for feature in ["rustls", "openssl", "native"] {
        ensure!(error.to_string().contains(feature), "{error}");
    }
    ensure_eq!(error.io_kind(), std::io::ErrorKind::Unsupported);
    Ok(())
}
