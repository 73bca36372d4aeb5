//! Packages outside the workspace: a library that depends on polytls without features, and
//! applications of it that enable none, one or two backends.
//!
//! They stand in `fixtures/outside`; each is built on its own, since features are unified among what is
//! built together, and asked by its command line what it does.

#[path = "support/cargo.rs"]
mod cargo;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use libtest_mimic::{Arguments, Trial};
use polytls::{ListenOptions, ServerContext, TlsListener, ssl_listen};
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::{Failure, ensure_eq, watchdog};
use tempfile::TempDir;

type Outcome = Result<(), Failure>;

fn main() {
    let arguments = Arguments::from_args();
    let outside = if arguments.list { Ok(None) } else { Outside::build().map(Some) };
    let trials = match outside {
        Err(failure) => {
            vec![Trial::test("outside::build", move || Err(failure.to_string().into()))]
        }
        Ok(outside) => {
            let outside = Arc::new(outside);
            CASES.iter().map(|(name, case)| trial(name, *case, outside.clone())).collect()
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &'static str, case: Case, outside: Arc<Option<Outside>>) -> Trial {
    Trial::test(name, move || {
        watchdog::run(name, watchdog::LIMIT, move || match &*outside {
            Some(outside) => case(outside),
            None => Err(Failure::new("nothing has been built")),
        })
        .map_err(|failure| failure.to_string().into())
    })
}

type Case = fn(&Outside) -> Outcome;

const CASES: &[(&str, Case)] = &[
    ("outside::served_by_what_the_application_enables", served_by_what_is_enabled),
    ("outside::a_second_backend_leaves_named_code_alone", named_code_is_left_alone),
    ("outside::none_enabled", none_enabled),
    ("outside::a_backend_that_is_not_enabled", not_enabled),
    ("outside::chosen_by_the_application", chosen),
    ("outside::chosen_too_late", chosen_too_late),
    ("outside::process_default_provider_not_set", provider_not_set),
    ("outside::process_default_provider_not_read", provider_not_read),
];

fn served_by_what_is_enabled(outside: &Outside) -> Outcome {
    outside.says("with-rustls", "any", "rustls TLS 1.3 hello")?;
    outside.says("with-openssl", "any", "openssl TLS 1.3 hello")?;
    // What was asked for wins over what is on by default.
    outside.says("with-both", "any", "openssl TLS 1.3 hello")?;
    outside.says("with-rustls", "compiled", "rustls")?;
    outside.says("with-both", "compiled", "openssl rustls rustls-ring")
}

fn named_code_is_left_alone(outside: &Outside) -> Outcome {
    for backend in ["openssl", "rustls"] {
        for command in [format!("named={backend}"), format!("own-{backend}")] {
            let expected = format!("{backend} TLS 1.3 hello");
            outside.says(&format!("with-{backend}"), &command, &expected)?;
            outside.says("with-both", &command, &expected)?;
        }
    }
    // Nor does the default of the process change it.
    let said =
        outside.run("with-both", &["choose=rustls", "named=openssl", "own-openssl", "any"])?;
    ensure_eq!(
        said,
        [
            "choose=rustls: chosen",
            "named=openssl: openssl TLS 1.3 hello",
            "own-openssl: openssl TLS 1.3 hello",
            "any: rustls TLS 1.3 hello",
        ]
    );
    Ok(())
}

fn none_enabled(outside: &Outside) -> Outcome {
    outside.says("without", "compiled", "")?;
    let told = "NoBackend: no TLS backend is compiled in; \
                enable one of polytls' features rustls, openssl, native";
    outside.says("without", "any", told)
}

fn not_enabled(outside: &Outside) -> Outcome {
    let told = "NoBackend: no such TLS backend: \"openssl\" is not among those compiled in (rustls); \
                enable polytls' feature openssl";
    outside.says("with-rustls", "named=openssl", told)
}

fn chosen(outside: &Outside) -> Outcome {
    // Choosing the same again is fine.
    let said = outside.run("with-both", &["choose=rustls", "choose=rustls", "any"])?;
    let chosen = "choose=rustls: chosen";
    ensure_eq!(said, [chosen, chosen, "any: rustls TLS 1.3 hello"]);
    Ok(())
}

fn chosen_too_late(outside: &Outside) -> Outcome {
    for first in ["any", "choose=openssl"] {
        let said = outside.run("with-both", &[first, "choose=rustls", "any"])?;
        let told = "choose=rustls: Config: cannot be done as asked: the default backend is \
                    openssl already; choose before the first context is made";
        ensure_eq!(said.get(1).map(String::as_str), Some(told));
        ensure_eq!(said.get(2).map(String::as_str), Some("any: openssl TLS 1.3 hello"));
    }
    Ok(())
}

fn provider_not_set(outside: &Outside) -> Outcome {
    // One provider in the graph, and two.
    for application in ["with-rustls", "with-both"] {
        let said = outside.run(application, &["provider", "named=rustls", "provider"])?;
        ensure_eq!(
            said,
            ["provider: not set", "named=rustls: rustls TLS 1.3 hello", "provider: not set"]
        );
    }
    Ok(())
}

fn provider_not_read(outside: &Outside) -> Outcome {
    let said = outside.run("with-both", &["spoil", "named=rustls", "provider"])?;
    ensure_eq!(said, ["spoil: spoilt", "named=rustls: rustls TLS 1.3 hello", "provider: set"]);
    Ok(())
}

/// The applications, built, and the server that they talk to.
struct Outside {
    programs: BTreeMap<String, PathBuf>,
    files: TempDir,
    address: String,
}

impl Outside {
    fn build() -> Result<Self, Failure> {
        let files = tempfile::tempdir()?;
        let workspace = files.path().join("outside");
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/outside");
        copy(&fixtures, &workspace)?;
        adapt(&workspace)?;
        let mut programs = BTreeMap::new();
        for application in ["without", "with-openssl", "with-rustls", "with-both"] {
            programs.extend(cargo::build(&workspace, &["-p", application])?);
        }
        fs::write(files.path().join("root.pem"), pki::standard().root.pem())?;
        Ok(Self { programs, files, address: serve()? })
    }

    /// What an application prints for these commands, a line each.
    fn run(&self, application: &str, commands: &[&str]) -> Result<Vec<String>, Failure> {
        let program = self.programs.get(application);
        let program = program.ok_or_else(|| Failure::new(format!("no {application}")))?;
        let output = Command::new(program)
            .args([&self.address, NAME])
            .arg(self.files.path().join("root.pem"))
            .args(commands)
            .output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure_eq!(output.status.code(), Some(0), "{application}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// An application must print this for a command.
    fn says(&self, application: &str, command: &str, line: &str) -> Outcome {
        let said = self.run(application, &[command])?;
        ensure_eq!(said, [format!("{command}: {line}")], "{application}");
        Ok(())
    }
}

/// A server that says each line back; it ends with the process.
fn serve() -> Result<String, Failure> {
    let context = ServerContext::builder(pki::standard().server.identity())
        .backend(polytls::backend::by_name("rustls")?);
    let listener: TlsListener = ssl_listen("127.0.0.1:0", context.build()?, ListenOptions::new())?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                stream.read_line(&mut line)?;
                stream.get_mut().write_all(line.as_bytes())?;
                Ok::<_, std::io::Error>(stream.into_inner().close()?)
            });
        }
    });
    Ok(address)
}

/// Copies a directory, without what may have been built in it.
fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type()?.is_dir() {
            true if name == "target" => {}
            true => copy(&entry.path(), &to.join(name))?,
            false => drop(fs::copy(entry.path(), to.join(name))?),
        }
    }
    Ok(())
}

/// Makes the copy refer to the checkout, and share its versions and profiles, so that what both need is
/// built once.
fn adapt(workspace: &Path) -> Outcome {
    let checkout = cargo::checkout();
    let manifest = workspace.join("Cargo.toml");
    let facade = toml_path(&checkout.join("facade"));
    let own = fs::read_to_string(&manifest)?.replace("\"../../../facade\"", &facade);
    let shared = fs::read_to_string(checkout.join("Cargo.toml"))?;
    let profiles = shared
        .split_inclusive('\n')
        .scan(false, |inside, line| {
            if line.starts_with('[') {
                *inside = line.starts_with("[profile");
            }
            Some(if *inside { line } else { "" })
        })
        .collect::<String>();
    fs::write(manifest, format!("{own}\n{profiles}"))?;
    fs::copy(checkout.join("Cargo.lock"), workspace.join("Cargo.lock"))?;
    Ok(())
}

/// A path as a literal string of TOML.
fn toml_path(path: &Path) -> String {
    format!("'{}'", path.display())
}
