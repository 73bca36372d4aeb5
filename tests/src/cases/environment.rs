//! The system's store and the two variables that replace it, each in a process of its own.

use std::fs;
use std::io;
use std::path::Path;

use polytls::{
    Backend, CertificateReason, ClientContext, ErrorKind, Trust, TrustReason,
    default_client_ssl_context, make_client_ssl_context,
};

use crate::bench::trust_only;
use crate::child::{self, Task};
use crate::pki::{self, Authority, Leaf};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, Row, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_client().any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    case("environment::file_replaces_the_store", file_replaces_the_store),
    case("environment::folder_replaces_the_store", folder_replaces_the_store),
    case("environment::file_and_folder", file_and_folder),
    case("environment::system_and_more", system_and_more),
    case("environment::bad_certificate_among_good_ones", bad_certificate_among_good_ones),
    case("environment::missing_file", missing_file),
    case("environment::no_roots", no_roots),
    case("environment::an_error_is_not_remembered", an_error_is_not_remembered),
    case("environment::nothing_needs_no_store", nothing_needs_no_store),
];

/// What the children do.
pub(super) const TASKS: &[(&str, Task)] = &[
    ("connects", connects),
    ("refuses", refuses),
    ("connects-with-more", connects_with_more),
    ("missing", missing),
    ("empty", empty),
    ("recovers", recovers),
    ("verifies-nothing", verifies_nothing),
];

/// A folder with the authority that the child finds, and the server's credential to connect to.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Result<Self, Failure> {
        let files = Self { folder: tempfile::tempdir()? };
        let authority = Authority::named("Of the environment").root();
        let server = Leaf::server().issued_by(&authority);
        fs::write(files.path("root.pem"), authority.pem())?;
        fs::write(files.path("server.pem"), server.chain_pem())?;
        fs::write(files.path("server.key"), server.key_pem())?;
        Ok(files)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn argument(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }
}

fn file_replaces_the_store(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let set = [("SSL_CERT_FILE", files.path("root.pem"))];
    child::run("connects", bench.client_backend(), &files.argument(), set)?;
    // Whatever the system trusts is not trusted any more; nor is the authority when it is not named.
    fs::write(files.path("other.pem"), Authority::named("Other").root().pem())?;
    let set = [("SSL_CERT_FILE", files.path("other.pem"))];
    child::run("refuses", bench.client_backend(), &files.argument(), set)
}

/// Named as `openssl rehash` names them.
fn folder_replaces_the_store(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let store = files.path("store");
    fs::create_dir(&store)?;
    fs::copy(files.path("root.pem"), store.join("5ed36f99.0"))?;
    child::run("connects", bench.client_backend(), &files.argument(), [("SSL_CERT_DIR", store)])
}

fn file_and_folder(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let store = files.path("store");
    fs::create_dir(&store)?;
    fs::write(store.join("5ed36f99.0"), Authority::named("Other").root().pem())?;
    let set = [("SSL_CERT_DIR", store), ("SSL_CERT_FILE", files.path("root.pem"))];
    child::run("connects", bench.client_backend(), &files.argument(), set)
}

fn system_and_more(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let set = [("SSL_CERT_FILE", files.path("root.pem"))];
    child::run("connects-with-more", bench.client_backend(), &files.argument(), set)
}

/// Skipped and counted: one bad certificate is no reason to trust none (nats.rs#789).
fn bad_certificate_among_good_ones(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let root = fs::read_to_string(files.path("root.pem"))?;
    let bad = "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n";
    let old = Authority::named("Old").expired().root().pem();
    let narrow = Authority::named("Narrow").without_certificate_signing().root().pem();
    let leaf = pki::standard().server.leaf_pem();
    let between = pki::standard().intermediate.pem();
    fs::write(files.path("mixed.pem"), [bad, &old, &narrow, &leaf, &between, &root].concat())?;
    let set = [("SSL_CERT_FILE", files.path("mixed.pem"))];
    child::run("connects", bench.client_backend(), &files.argument(), set)
}

fn missing_file(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let set = [(variable, files.path("absent"))];
        child::run("missing", bench.client_backend(), &files.argument(), set)
            .map_err(|failure| failure.at(variable))?;
    }
    Ok(())
}

fn no_roots(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let old = Authority::named("Old").expired().root().pem();
    for content in [String::new(), "nothing\n".to_owned(), pki::standard().server.key_pem(), old] {
        fs::write(files.path("roots.pem"), content)?;
        let set = [("SSL_CERT_FILE", files.path("roots.pem"))];
        child::run("empty", bench.client_backend(), &files.argument(), set)?;
    }
    Ok(())
}

fn an_error_is_not_remembered(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let set = [("SSL_CERT_FILE", files.path("late.pem"))];
    child::run("recovers", bench.client_backend(), &files.argument(), set)
}

fn nothing_needs_no_store(bench: &Bench) -> Result<(), Failure> {
    let files = Files::new()?;
    let set = [("SSL_CERT_FILE", files.path("absent"))];
    child::run("verifies-nothing", bench.client_backend(), &files.argument(), set)
}

// In the child. Its default backend is the one under test.

/// A server with the credential in this folder, over memory, and a client with this context.
fn meets(
    backend: &'static dyn Backend,
    folder: &str,
    client: &ClientContext,
) -> Result<crate::Verdict, Failure> {
    let row = Row {
        name: "child".into(),
        client: backend,
        server: backend,
        version: None,
        transport: Some(Transport::Whole),
    };
    let folder = Path::new(folder);
    let identity =
        polytls::Identity::from_files(folder.join("server.pem"), folder.join("server.key"))?;
    let server = polytls::ServerContext::builder(identity).backend(backend).build()?;
    Bench::new(row, &[]).verdict(client, &server)
}

fn system(backend: &'static dyn Backend) -> polytls::ClientContextBuilder {
    ClientContext::builder().backend(backend)
}

fn connects(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    polytls::backend::set_default(backend)?;
    for client in [
        system(backend).build()?,
        default_client_ssl_context()?,
        make_client_ssl_context(polytls::ProtocolVersion::default())?,
    ] {
        meets(backend, folder, &client)?.client?;
    }
    Ok(())
}

fn refuses(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    let verdict = meets(backend, folder, &system(backend).build()?)?;
    expect_kind(verdict.client, ErrorKind::Certificate(CertificateReason::UnknownIssuer))?;
    Ok(())
}

fn connects_with_more(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    let extra = Authority::named("Extra").root();
    let trust = Trust::system_and_bytes(extra.pem().as_bytes())?;
    let client = system(backend).trust(trust).build()?;
    meets(backend, folder, &client)?.client?;
    let server = Leaf::server().issued_by(&extra);
    fs::write(Path::new(folder).join("server.pem"), server.chain_pem())?;
    fs::write(Path::new(folder).join("server.key"), server.key_pem())?;
    meets(backend, folder, &client)?.client?;
    Ok(())
}

fn missing(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    let error = expect_kind(system(backend).build(), ErrorKind::Trust(TrustReason::File))?;
    let absent = Path::new(folder).join("absent");
    ensure_eq!(error.path(), Some(absent.as_path()));
    ensure_eq!(error.io_kind(), io::ErrorKind::NotFound);
    // What is given does not help: the store that was asked for cannot be had.
    let trust = Trust::system_and_bytes(pki::standard().root.der())?;
    let more = system(backend).trust(trust).build();
    expect_kind(more, ErrorKind::Trust(TrustReason::File))?;
    // Who does not ask for it is not disturbed.
    system(backend).trust(trust_only(pki::standard().root.der())).build()?;
    Ok(())
}

fn empty(backend: &'static dyn Backend, _: &str) -> Result<(), Failure> {
    let error = expect_kind(system(backend).build(), ErrorKind::Trust(TrustReason::NoRoots))?;
    let text = error.to_string();
    ensure!(text.contains("SSL_CERT_FILE") && text.contains("roots.pem"), "no place: {text}");
    Ok(())
}

fn recovers(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    polytls::backend::set_default(backend)?;
    let kind = ErrorKind::Trust(TrustReason::File);
    expect_kind(default_client_ssl_context(), kind)?;
    let folder_path = Path::new(folder);
    fs::copy(folder_path.join("root.pem"), folder_path.join("late.pem"))?;
    let client = default_client_ssl_context()?;
    meets(backend, folder, &client)?.client?;
    // From now on it is remembered.
    fs::remove_file(folder_path.join("late.pem"))?;
    meets(backend, folder, &default_client_ssl_context()?)?.client?;
    Ok(())
}

fn verifies_nothing(backend: &'static dyn Backend, folder: &str) -> Result<(), Failure> {
    polytls::backend::set_default(backend)?;
    meets(backend, folder, &polytls::insecure_client_ssl_context()?)?.client?;
    Ok(())
}
