//! The examples, as a user runs them: `https_get` against `openssl s_server`, and `hello`.

#[path = "support/cargo.rs"]
mod cargo;
#[path = "support/program.rs"]
mod program;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use polytls_conformance::pki::{self, Credential, Leaf, NAME};
use polytls_conformance::{Failure, ensure, watchdog};
use program::Program;
use tempfile::TempDir;

type Outcome = Result<(), Failure>;

fn main() {
    let arguments = Arguments::from_args();
    let examples = if arguments.list { Ok(Examples::default()) } else { Examples::build() };
    let mut trials = Vec::new();
    let examples = match examples {
        Ok(examples) => Arc::new(examples),
        Err(failure) => {
            trials.push(Trial::test("examples::build", move || Err(failure.to_string().into())));
            Arc::new(Examples::default())
        }
    };
    if trials.is_empty() {
        trials = tests(&examples);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    program::end_all();
    conclusion.exit();
}

fn tests(examples: &Arc<Examples>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, run: Box<dyn FnOnce() -> Outcome + Send>| {
        trials.push(Trial::test(name.clone(), move || {
            watchdog::run(&name, watchdog::LIMIT, run).map_err(|failure| failure.to_string().into())
        }));
    };
    let hello = examples.clone();
    add("hello".into(), Box::new(move || hello_shows_the_main_job(&hello)));
    for (name, case) in CASES {
        for backend in polytls::backend::all() {
            for (version, short) in [("1.2", "tls12"), ("1.3", "tls13")] {
                let run = Run { examples: examples.clone(), backend: backend.name(), version };
                let name = format!("https_get::{name}/{}/{short}", backend.name());
                add(name, Box::new(move || case(&run)));
            }
        }
    }
    trials
}

/// A case, for one backend and one version of the server.
type Case = fn(&Run) -> Outcome;

const CASES: &[(&str, Case)] = &[
    ("status_page", status_page),
    ("file", file),
    ("insecure", insecure),
    ("wrong_host", wrong_host),
    ("unknown_ca", unknown_ca),
    ("expired", expired),
    ("minimum_version", minimum_version),
    ("killed_in_mid_body", killed_in_mid_body),
    ("killed_in_a_body_without_length", killed_in_a_body_without_length),
];

fn status_page(run: &Run) -> Outcome {
    let server = Server::start(run, &pki::standard().server, &["-www"])?;
    let said = run.succeeds(server.get(run, NAME, &[]))?;
    for line in [
        format!("backend       {}\n", run.backend),
        format!("version       TLS {}\n", run.version),
        "HTTP/1.0 200 ok\r\n".into(),
        "Content-type: text/html\r\n".into(),
        format!("SHA-256       {}\n", pki::standard().server.certificate().sha256_text()),
    ] {
        ensure!(said.contains(&line), "no {line:?} in {said}");
    }
    Ok(())
}

fn file(run: &Run) -> Outcome {
    let server = Server::start(run, &pki::standard().server, &["-WWW"])?;
    std::fs::write(server.files.path().join("page.txt"), vec![b'.'; 1_234_567])?;
    let said = run.succeeds(server.get(run, NAME, &["--path", "/page.txt"]))?;
    ensure!(said.contains("1234567 bytes of body"), "{said}");
    Ok(())
}

fn insecure(run: &Run) -> Outcome {
    let credential = Leaf::for_name("other.polytls.test").expired().self_signed();
    let server = Server::start(run, &credential, &["-www"])?;
    run.succeeds(server.get(run, NAME, &["--insecure"])).map(drop)
}

fn wrong_host(run: &Run) -> Outcome {
    let server = Server::start(run, &pki::standard().server, &["-www"])?;
    run.fails(server.get(run, "other.polytls.test", &[]), "Certificate(NameMismatch)")
}

fn unknown_ca(run: &Run) -> Outcome {
    let credential = Leaf::server().issued_by(&pki::standard().stranger);
    let server = Server::start(run, &credential, &["-www"])?;
    run.fails(server.get(run, NAME, &[]), "Certificate(UnknownIssuer)")
}

fn expired(run: &Run) -> Outcome {
    let credential = Leaf::server().expired().issued_by(&pki::standard().intermediate);
    let server = Server::start(run, &credential, &["-www"])?;
    run.fails(server.get(run, NAME, &[]), "Certificate(Expired)")
}

/// `--min 1.3` is refused by a server of TLS 1.2, and only by it.
fn minimum_version(run: &Run) -> Outcome {
    let server = Server::start(run, &pki::standard().server, &["-www"])?;
    let get = server.get(run, NAME, &["--min", "1.3"]);
    if run.version == "1.2" {
        run.fails(get, "NoCommonVersion")
    } else {
        run.succeeds(get).map(drop)
    }
}

fn killed_in_mid_body(run: &Run) -> Outcome {
    killed(run, "Content-Length: 1000\r\n")
}

/// Here the end of the connection is the end of the body, and only close_notify tells that it is.
fn killed_in_a_body_without_length(run: &Run) -> Outcome {
    killed(run, "Content-Type: text/plain\r\n")
}

/// The server's answer is what it is told, so that it is sure to be in mid-body when it dies.
fn killed(run: &Run, header: &str) -> Outcome {
    let mut server = Server::start(run, &pki::standard().server, &[])?;
    let get = Program::start(&mut server.get(run, NAME, &[]))?;
    server.program.wait_for("Connection: close")?;
    let answer = format!("HTTP/1.1 200 OK\r\n{header}\r\nhalf of the ");
    server.program.tell(answer.as_bytes())?;
    get.wait_for(header.trim_end())?;
    server.program.kill()?;
    run.judge(get, "Truncated(Read)")
}

/// What a newcomer sees first, with every backend in.
fn hello_shows_the_main_job(examples: &Examples) -> Outcome {
    let (status, said) = Program::start(&mut Command::new(&examples.hello))?.finish()?;
    ensure!(status.success(), "{status}: {said}");
    let compiled_in = format!("compiled in: {}", names().collect::<Vec<_>>().join(", "));
    for line in [
        compiled_in.as_str(),
        "the server answered    \"HELLO\"",
        "protocol version       TLS 1.3",
        "cipher suite           TLS_",
        "certificate's subject  CN=hello.example",
        "certificate's SHA-256  ",
        "wrong host  Certificate(NameMismatch)",
        "unknown CA  Certificate(UnknownIssuer)",
        "expired     Certificate(Expired)",
        "not TLS     PeerNotTls",
        "wrong host  connects with the insecure context",
        "expired     connects with the insecure context",
    ] {
        ensure!(said.contains(line), "no {line:?} in {said}");
    }
    let table: Vec<Vec<&str>> = said
        .lines()
        .skip_while(|line| !line.starts_with("client    server"))
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    for client in names() {
        for server in names() {
            let row = table.iter().find(|row| row.starts_with(&[client, server]));
            let verdicts = row.map(|row| row.join(" "));
            ensure!(
                verdicts
                    .as_ref()
                    .is_some_and(|row| row.ends_with("name mismatch, unknown issuer, expired")),
                "{client} and {server}: {verdicts:?} in {said}"
            );
        }
    }
    Ok(())
}

/// The backends that are compiled into this test.
fn names() -> impl Iterator<Item = &'static str> {
    polytls::backend::all().iter().map(|backend| backend.name())
}

/// The examples, built.
#[derive(Default)]
struct Examples {
    hello: PathBuf,
    https_get: PathBuf,
}

impl Examples {
    /// Builds them together with the suite's library, so that what they stand on has the features that
    /// the tests use, and is not built again.
    fn build() -> Result<Self, Failure> {
        let packages = ["-p", "polytls", "-p", "polytls-conformance", "--no-default-features"];
        let examples = ["--example", "hello", "--example", "https_get"];
        // Backends are named as their features are.
        let features: Vec<_> = names().map(|name| format!("polytls/{name}")).collect();
        let features = features.join(",");
        let arguments = [&packages[..], &examples, &["--features", &features]].concat();
        let mut built = cargo::build(&cargo::checkout(), &arguments)?;
        let mut executable = |name: &str| {
            built.remove(name).ok_or_else(|| Failure::new(format!("cargo built no {name}")))
        };
        Ok(Self { hello: executable("hello")?, https_get: executable("https_get")? })
    }
}

/// What a case runs with.
struct Run {
    examples: Arc<Examples>,
    backend: &'static str,
    version: &'static str,
}

impl Run {
    fn succeeds(&self, mut get: Command) -> Result<String, Failure> {
        let (status, said) = Program::start(&mut get)?.finish()?;
        ensure!(status.success(), "{status}: {said}");
        Ok(said)
    }

    fn fails(&self, mut get: Command, kind: &str) -> Outcome {
        self.judge(Program::start(&mut get)?, kind)
    }

    fn judge(&self, get: Program, kind: &str) -> Outcome {
        let (status, said) = get.finish()?;
        ensure!(status.code() == Some(1), "{status}: {said}");
        ensure!(said.contains(&format!("failed by TLS: {kind}\n")), "no {kind} in {said}");
        Ok(())
    }
}

/// `openssl s_server` on a port that the system chose.
struct Server {
    program: Program,
    address: String,
    files: TempDir,
}

impl Server {
    fn start(run: &Run, credential: &Credential, options: &[&str]) -> Result<Self, Failure> {
        let files = tempfile::tempdir()?;
        let chain = credential.chain_pem();
        let issuers = chain.strip_prefix(&credential.leaf_pem()).unwrap_or_default();
        for (name, content) in [
            ("root.pem", &*pki::standard().root.pem()),
            ("leaf.pem", &credential.leaf_pem()),
            ("issuers.pem", issuers),
            ("key.pem", &credential.key_pem()),
        ] {
            std::fs::write(files.path().join(name), content)?;
        }
        let mut command = Command::new("openssl");
        command.current_dir(files.path()).args(["s_server", "-accept", "127.0.0.1:0"]);
        command.args(["-cert", "leaf.pem", "-key", "key.pem"]);
        command.arg(if run.version == "1.2" { "-tls1_2" } else { "-tls1_3" });
        if !issuers.is_empty() {
            command.args(["-cert_chain", "issuers.pem"]);
        }
        let program = Program::start(command.args(options))?;
        let address = program.wait_until("ACCEPT", |said| {
            let said = String::from_utf8_lossy(&said.output);
            let (line, _) = said.split_once("ACCEPT ")?.1.split_once('\n')?;
            Some(line.trim().to_owned())
        })?;
        Ok(Self { program, address, files })
    }

    /// `https_get` for this host, at this server, with more options.
    fn get(&self, run: &Run, host: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&run.examples.https_get);
        command.args([host, "--connect", &self.address, "--backend", run.backend, "--cafile"]);
        command.arg(self.files.path().join("root.pem")).args(options);
        command
    }
}
