//! The `openssl` program, which nobody here wrote, at the other end of each backend.
//!
//! Over Unix sockets in a directory of the test's own, so there is no port to choose; what the program
//! says is what is waited for, so there is nothing to sleep for.

#[path = "support/program.rs"]
mod program;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Arguments, Trial};
use polytls::{
    Alert, Capability, CertificateReason as Reason, ClientAuth, ClientContext, Error, ErrorKind,
    Phase, ProtocolVersion, ServerContext, Tls, TlsListener, TlsStream, UpgradeOptions,
    ssl_client_upgrade,
};
use polytls_conformance::bench::trust_only;
use polytls_conformance::pki::{self, Authority, Credential, Leaf, NAME};
use polytls_conformance::{
    Bench, Case, Failure, ensure, ensure_eq, expect_error, expect_kind, runner, watchdog,
};
use program::Program;
use tempfile::TempDir;

fn main() {
    let backends = polytls::backend::all();
    let mut trials = Vec::new();
    for case in CASES {
        for row in case.rows(backends) {
            let name = row.name.clone();
            trials.push(Trial::test(row.name.clone(), move || {
                watchdog::run(&name, watchdog::LIMIT, move || runner::run(case, row, backends))
                    .map_err(|failure| failure.to_string().into())
            }));
        }
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    program::end_all();
    conclusion.exit();
}

type Outcome = Result<(), Failure>;

const fn client(name: &'static str, run: fn(&Bench) -> Outcome) -> Case {
    Case::new(name, run).each_client().no_transport()
}

const fn server(name: &'static str, run: fn(&Bench) -> Outcome) -> Case {
    Case::new(name, run).each_server().no_transport()
}

const CASES: &[Case] = &[
    client("s_server::data_both_ways", data_from_server),
    client("s_server::closed_by_the_server", closed_by_server),
    client("s_server::wrong_host", server_of_wrong_host),
    client("s_server::unknown_ca", server_of_unknown_ca),
    client("s_server::expired", server_expired),
    client("s_server::expired_intermediate", server_under_expired_intermediate),
    client("s_server::missing_intermediate", server_without_intermediate),
    client("s_server::other_version", server_of_other_version),
    client("s_server::alpn", server_with_alpn),
    client("s_server::no_common_alpn", server_with_other_alpn),
    client("s_server::client_certificate", server_gets_certificate)
        .client_needs(Capability::ClientIdentity),
    client("s_server::client_certificate_missing", server_misses_certificate),
    client("s_server::client_certificate_refused", server_refuses_certificate)
        .client_needs(Capability::ClientIdentity),
    client("s_server::killed", server_is_killed),
    client("s_server::resumption", server_resumes).client_needs(Capability::ClientResumption),
    server("s_client::data_both_ways", data_from_client),
    server("s_client::closed_by_the_server", client_is_sent_home),
    server("s_client::wrong_host", client_wants_other_host),
    server("s_client::unknown_ca", client_of_other_ca),
    server("s_client::expired", client_sees_expired),
    server("s_client::other_version", client_of_other_version),
    server("s_client::alpn", client_with_alpn).server_needs(Capability::ServerAlpn),
    server("s_client::no_common_alpn", client_with_other_alpn).server_needs(Capability::ServerAlpn),
    server("s_client::client_certificate", client_presents_certificate)
        .server_needs(Capability::ClientAuth),
    server("s_client::client_certificate_missing", client_without_certificate)
        .server_needs(Capability::ClientAuth),
    server("s_client::client_certificate_refused", client_of_a_stranger)
        .server_needs(Capability::ClientAuth),
    server("s_client::killed", client_is_killed),
    server("s_client::resumption", client_resumes).server_needs(Capability::ServerResumption),
];

// ---- openssl s_server ----

fn data_from_server(bench: &Bench) -> Outcome {
    let mut server = Server::start(bench, &pki::standard().server, &[])?;
    let mut stream = server.connect(&bench.client().build()?, NAME)?;
    ensure_eq!(stream.protocol_version(), Some(bench.version()));
    ensure_eq!(stream.peer_certificate(), Some(pki::standard().server.certificate()));
    let (question, answer) = (digits(1 << 20), digits(1_500_000));
    stream.write_all(&question)?;
    wait_for_end(&server.program, &question)?;
    let mut heard = vec![0; answer.len()];
    std::thread::scope(|scope| {
        let telling = scope.spawn(|| server.program.tell(&answer));
        stream.read_exact(&mut heard)?;
        telling.join().map_err(|_| Failure::new("panicked"))?
    })?;
    ensure!(heard == answer, "heard something else than the server was told");
    stream.close()?;
    // What it says of a close_notify; of a bare end it would say ERROR.
    let said = server.program.wait_for("DONE")?;
    ensure!(!said.contains("ERROR"), "{said}");
    Ok(())
}

/// With `-rev` it says each line back, reversed, until it is told to close.
fn closed_by_server(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &["-rev"])?;
    let mut stream = server.connect(&bench.client().build()?, NAME)?;
    let mut heard = [0; 6];
    stream.write_all(b"hello\n")?;
    stream.read_exact(&mut heard)?;
    ensure_eq!(&heard, b"olleh\n");
    stream.write_all(b"CLOSE\n")?;
    ensure_eq!(stream.read(&mut heard)?, 0);
    Ok(stream.close()?)
}

fn server_of_wrong_host(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &[])?;
    let refused = server.connect(&bench.client().build()?, "other.polytls.test");
    server.refused(refused, ErrorKind::Certificate(Reason::NameMismatch), "alert")
}

fn server_of_unknown_ca(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &[])?;
    let client = bench.client_trusting(&pki::standard().stranger).build()?;
    let refused = server.connect(&client, NAME);
    server.refused(refused, ErrorKind::Certificate(Reason::UnknownIssuer), "alert unknown ca")
}

fn server_expired(bench: &Bench) -> Outcome {
    let credential = Leaf::server().expired().issued_by(&pki::standard().intermediate);
    let server = Server::start(bench, &credential, &[])?;
    let refused = server.connect(&bench.client().build()?, NAME);
    server.refused(refused, ErrorKind::Certificate(Reason::Expired), "alert certificate expired")
}

fn server_under_expired_intermediate(bench: &Bench) -> Outcome {
    let issuer = Authority::named("Late Issuer").expired().issued_by(&pki::standard().root);
    let server = Server::start(bench, &Leaf::server().issued_by(&issuer), &[])?;
    let refused = server.connect(&bench.client().build()?, NAME);
    server.refused(refused, ErrorKind::Certificate(Reason::Expired), "alert certificate expired")
}

fn server_without_intermediate(bench: &Bench) -> Outcome {
    let credential = pki::standard().server.clone().without_intermediates();
    let server = Server::start(bench, &credential, &[])?;
    let refused = server.connect(&bench.client().build()?, NAME);
    server.refused(refused, ErrorKind::Certificate(Reason::UnknownIssuer), "alert unknown ca")
}

fn server_of_other_version(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &[])?;
    let version = other(bench.version());
    let client = bench.client().min_version(version).max_version(version).build()?;
    server.refused(
        server.connect(&client, NAME),
        ErrorKind::NoCommonVersion,
        "unsupported protocol",
    )
}

fn server_with_alpn(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &["-alpn", "h2,http/1.1"])?;
    let stream = server.connect(&bench.client().alpn(["imap", "http/1.1"]).build()?, NAME)?;
    ensure_eq!(stream.alpn().as_deref(), Some(&b"http/1.1"[..]));
    server.program.wait_for("ALPN protocols selected: http/1.1")?;
    Ok(())
}

fn server_with_other_alpn(bench: &Bench) -> Outcome {
    let server = Server::start(bench, &pki::standard().server, &["-alpn", "h2"])?;
    let client = bench.client().alpn(["http/1.1"]).build()?;
    server.refused(
        server.connect(&client, NAME),
        ErrorKind::NoCommonAlpn,
        "no application protocol",
    )
}

/// A server that demands a client's certificate under the suite's root.
fn demanding(bench: &Bench) -> Result<Server, Failure> {
    let options = ["-Verify", "4", "-verify_return_error", "-CAfile", "root.pem"];
    Server::start(bench, &pki::standard().server, &options)
}

fn server_gets_certificate(bench: &Bench) -> Outcome {
    let mut server = demanding(bench)?;
    let client = bench.client().identity(pki::standard().client.identity()).build()?;
    let mut stream = server.connect(&client, NAME)?;
    server.program.tell(b"1\n")?;
    stream.read_exact(&mut [0; 2])?;
    server.program.wait_for("suite client")?;
    Ok(())
}

fn server_misses_certificate(bench: &Bench) -> Outcome {
    let server = demanding(bench)?;
    let client = bench.client().build()?;
    let refused = server.connect(&client, NAME).and_then(first_byte);
    server.refused(
        refused,
        ErrorKind::ClientCertificateRequired,
        "peer did not return a certificate",
    )
}

fn server_refuses_certificate(bench: &Bench) -> Outcome {
    let server = demanding(bench)?;
    let credential = Leaf::client("stranger").issued_by(&pki::standard().stranger);
    let client = bench.client().identity(credential.identity()).build()?;
    let refused = server.connect(&client, NAME).and_then(first_byte);
    server.refused(
        refused,
        ErrorKind::CertificateRejected(Alert::UNKNOWN_CA),
        "certificate verify failed",
    )
}

fn server_is_killed(bench: &Bench) -> Outcome {
    let mut server = Server::start(bench, &pki::standard().server, &[])?;
    let mut stream = server.connect(&bench.client().build()?, NAME)?;
    server.program.tell(b"half of the ")?;
    stream.read_exact(&mut [0; 12])?;
    server.program.kill()?;
    expect_kind(stream.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
    // It stays so.
    expect_kind(stream.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
    Ok(())
}

fn server_resumes(bench: &Bench) -> Outcome {
    let mut server = Server::start(bench, &pki::standard().server, &[])?;
    let client = bench.client().build()?;
    for resumed in [false, true] {
        let mut stream = server.connect(&client, NAME)?;
        // A TLS 1.3 client has the tickets once it has read what came behind them.
        server.program.tell(b"1\n")?;
        stream.read_exact(&mut [0; 2])?;
        ensure_eq!(stream.resumed(), Some(resumed));
        stream.close()?;
    }
    server.program.wait_for("Reused session-id")?;
    Ok(())
}

// ---- openssl s_client ----

fn data_from_client(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let mut client = server.client(bench, &["-quiet", "-no_ign_eof"])?;
    let mut stream = server.accept()?;
    let (question, answer) = (digits(1 << 20), digits(1_500_000));
    let mut heard = vec![0; question.len()];
    std::thread::scope(|scope| {
        let telling = scope.spawn(|| client.tell(&question));
        stream.read_exact(&mut heard)?;
        telling.join().map_err(|_| Failure::new("panicked"))?
    })?;
    ensure!(heard == question, "heard something else than the client was told");
    ensure_eq!(stream.protocol_version(), Some(bench.version()));
    ensure_eq!(stream.server_name().as_deref(), Some(NAME));
    stream.write_all(&answer)?;
    wait_for_end(&client, &answer)?;
    // It says close_notify at the end of its own input.
    client.end_input();
    ensure_eq!(stream.read(&mut [0; 8])?, 0);
    stream.close()?;
    let (status, said) = client.finish()?;
    ensure!(status.success(), "{status}: {said}");
    Ok(())
}

fn client_is_sent_home(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let client = server.client(bench, &[])?;
    let mut stream = server.accept()?;
    stream.write_all(b"goodbye\n")?;
    let closing = std::thread::spawn(move || stream.close());
    client.wait_for("goodbye")?;
    // What it says when close_notify has come, rather than a bare end.
    client.wait_for("closed")?;
    let (status, said) = client.finish()?;
    ensure!(status.success() && !said.contains("error"), "{status}: {said}");
    closing.join().map_err(|_| Failure::new("panicked"))??;
    Ok(())
}

fn client_wants_other_host(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let _client = server.client(bench, &["-verify_hostname", "other.polytls.test"])?;
    server.refused(ErrorKind::CertificateRejected(Alert::BAD_CERTIFICATE))
}

fn client_of_other_ca(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let _client = server.client(bench, &["-CAfile", "stranger.pem"])?;
    server.refused(ErrorKind::CertificateRejected(Alert::UNKNOWN_CA))
}

fn client_sees_expired(bench: &Bench) -> Outcome {
    let credential = Leaf::server().expired().issued_by(&pki::standard().intermediate);
    let server = Listening::start(&bench.server_with(&credential).build()?)?;
    let _client = server.client(bench, &[])?;
    server.refused(ErrorKind::CertificateRejected(Alert::CERTIFICATE_EXPIRED))
}

fn client_of_other_version(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let client = server.start_client(other(bench.version()), &[], None)?;
    server.refused(ErrorKind::NoCommonVersion)?;
    // Which is what it is told as well.
    client.wait_for("alert protocol version")?;
    Ok(())
}

fn client_with_alpn(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().alpn(["h2", "http/1.1"]).build()?)?;
    let client = server.client(bench, &["-alpn", "imap,http/1.1"])?;
    let mut stream = server.accept()?;
    stream.write_all(b"1\n")?;
    ensure_eq!(stream.alpn().as_deref(), Some(&b"http/1.1"[..]));
    client.wait_for("ALPN protocol: http/1.1")?;
    Ok(())
}

fn client_with_other_alpn(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().alpn(["h2"]).build()?)?;
    let client = server.client(bench, &["-alpn", "http/1.1"])?;
    server.refused(ErrorKind::NoCommonAlpn)?;
    client.wait_for("alert no application protocol")?;
    Ok(())
}

fn asking(bench: &Bench) -> Result<Listening, Failure> {
    let ask = ClientAuth::Required(trust_only(pki::standard().root.der()));
    Listening::start(&bench.server().client_auth(ask).build()?)
}

fn client_presents_certificate(bench: &Bench) -> Outcome {
    let server = asking(bench)?;
    let client = server.client_presenting(bench, &pki::standard().client)?;
    let mut stream = server.accept()?;
    stream.write_all(b"welcome\n")?;
    ensure_eq!(stream.peer_certificate(), Some(pki::standard().client.certificate()));
    client.wait_for("welcome")?;
    Ok(())
}

fn client_without_certificate(bench: &Bench) -> Outcome {
    let server = asking(bench)?;
    let client = server.client(bench, &["-ign_eof"])?;
    server.refused(ErrorKind::ClientCertificateRequired)?;
    // Which one, differs in TLS 1.2, which has none of its own for this (RFC 5246, section 7.4.6).
    client.wait_for("SSL alert number")?;
    Ok(())
}

fn client_of_a_stranger(bench: &Bench) -> Outcome {
    let server = asking(bench)?;
    let stranger = Leaf::client("stranger").issued_by(&pki::standard().stranger);
    let client = server.client_presenting(bench, &stranger)?;
    server.refused(ErrorKind::Certificate(Reason::UnknownIssuer))?;
    client.wait_for("alert unknown ca")?;
    Ok(())
}

fn client_is_killed(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    let mut client = server.client(bench, &["-quiet"])?;
    client.tell(b"half of the ")?;
    let mut stream = server.accept()?;
    stream.read_exact(&mut [0; 12])?;
    client.kill()?;
    expect_kind(stream.read(&mut [0; 8]), ErrorKind::Truncated(Phase::Read))?;
    Ok(())
}

fn client_resumes(bench: &Bench) -> Outcome {
    let server = Listening::start(&bench.server().build()?)?;
    for (option, outcome, resumed) in
        [("-sess_out", "New, TLS", false), ("-sess_in", "Reused, TLS", true)]
    {
        let mut client = server.client(bench, &[option, "session.pem"])?;
        let mut stream = server.accept()?;
        stream.write_all(b"welcome\n")?;
        // What comes behind the tickets of TLS 1.3.
        client.wait_for("welcome")?;
        client.wait_for(outcome)?;
        // Not every library tells its server.
        ensure_eq!(stream.resumed().unwrap_or(resumed), resumed);
        client.end_input();
        ensure_eq!(stream.read(&mut [0; 8])?, 0);
        stream.close()?;
        client.finish()?;
    }
    Ok(())
}

// ---- the two ends ----

/// `openssl s_server`, listening.
struct Server {
    program: Program,
    socket: PathBuf,
    _files: TempDir,
}

impl Server {
    /// Starts it with this credential, for the bench's version only.
    fn start(bench: &Bench, credential: &Credential, options: &[&str]) -> Result<Self, Failure> {
        let files = files()?;
        let socket = files.path().join("socket");
        let mut command = Command::new("openssl");
        command.current_dir(files.path()).args(["s_server", "-unix", "socket"]);
        command.args(credential_options(&files, credential)?);
        let program = Program::start(command.arg(version_option(bench.version())).args(options))?;
        program.wait_for("ACCEPT")?;
        Ok(Self { program, socket, _files: files })
    }

    fn connect(&self, client: &ClientContext, host: &str) -> Result<TlsStream<UnixStream>, Error> {
        let socket = UnixStream::connect(&self.socket)
            .map_err(|error| Error::new(ErrorKind::Connect).with_source(error))?;
        ssl_client_upgrade(socket, host, UpgradeOptions::new().context(client.clone()))
    }

    /// The connection must have failed in this way, and the server say this.
    fn refused<T>(&self, refused: Result<T, Error>, kind: ErrorKind, said: &str) -> Outcome {
        expect_kind(refused, kind)?;
        self.program.wait_for(said)?;
        Ok(())
    }
}

/// Waits until all of this has come out of the program.
fn wait_for_end(program: &Program, data: &[u8]) -> Outcome {
    let what = format!("the last of {} bytes", data.len());
    program.wait_until(&what, |said| said.output.ends_with(data).then_some(()))
}

/// In TLS 1.3 a server refuses a client's certificate after the client's handshake.
fn first_byte(mut stream: TlsStream<UnixStream>) -> Result<(), Error> {
    match stream.read_exact(&mut [0; 1]) {
        Ok(()) => Ok(()),
        Err(error) => match Error::find(&error) {
            Some(found) => Err(found.clone()),
            None => Err(Error::new(ErrorKind::Io).with_source(error)),
        },
    }
}

/// A backend's server, for `openssl s_client`.
struct Listening {
    listener: TlsListener<UnixListener>,
    files: TempDir,
}

impl Listening {
    fn start(context: &ServerContext) -> Result<Self, Failure> {
        let files = files()?;
        let listener = UnixListener::bind(files.path().join("socket"))?;
        Ok(Self { listener: TlsListener::new(listener, context.clone()), files })
    }

    /// Starts `openssl s_client` for the bench's version, verifying everything.
    fn client(&self, bench: &Bench, options: &[&str]) -> Result<Program, Failure> {
        self.start_client(bench.version(), options, None)
    }

    /// The same, with a certificate.
    fn client_presenting(&self, bench: &Bench, of: &Credential) -> Result<Program, Failure> {
        self.start_client(bench.version(), &["-ign_eof"], Some(of))
    }

    fn start_client(
        &self,
        version: ProtocolVersion,
        options: &[&str],
        credential: Option<&Credential>,
    ) -> Result<Program, Failure> {
        let mut command = Command::new("openssl");
        command.current_dir(self.files.path()).args(["s_client", "-unix", "socket"]);
        command.args(["-servername", NAME, "-verify_hostname", NAME, "-verify_return_error"]);
        command.args(["-CAfile", "root.pem", version_option(version)]);
        if let Some(credential) = credential {
            command.args(credential_options(&self.files, credential)?);
        }
        Program::start(command.args(options))
    }

    fn accept(&self) -> Result<TlsStream<UnixStream>, Failure> {
        let (mut stream, _) = self.listener.accept()?;
        stream.handshake()?;
        Ok(stream)
    }

    /// The next client must be lost, in this way.
    fn refused(&self, kind: ErrorKind) -> Outcome {
        let (mut stream, _) = self.listener.accept()?;
        let error = expect_error(stream.handshake())?;
        ensure_eq!(error.kind(), kind, "{error:?}");
        Ok(())
    }
}

fn files() -> Result<TempDir, Failure> {
    let files = tempfile::tempdir()?;
    std::fs::write(files.path().join("root.pem"), pki::standard().root.pem())?;
    std::fs::write(files.path().join("stranger.pem"), pki::standard().stranger.pem())?;
    Ok(files)
}

/// Writes a credential as the program takes it, the leaf apart from those above it.
fn credential_options(
    files: &TempDir,
    credential: &Credential,
) -> Result<Vec<&'static str>, Failure> {
    let chain = credential.chain_pem();
    let issuers = chain.strip_prefix(&credential.leaf_pem()).unwrap_or_default();
    std::fs::write(files.path().join("leaf.pem"), credential.leaf_pem())?;
    std::fs::write(files.path().join("issuers.pem"), issuers)?;
    std::fs::write(files.path().join("key.pem"), credential.key_pem())?;
    let mut options = vec!["-cert", "leaf.pem", "-key", "key.pem"];
    if !issuers.is_empty() {
        options.extend(["-cert_chain", "issuers.pem"]);
    }
    Ok(options)
}

fn version_option(version: ProtocolVersion) -> &'static str {
    if version == ProtocolVersion::Tls12 { "-tls1_2" } else { "-tls1_3" }
}

fn other(version: ProtocolVersion) -> ProtocolVersion {
    match version {
        ProtocolVersion::Tls12 => ProtocolVersion::Tls13,
        _ => ProtocolVersion::Tls12,
    }
}

/// This many bytes that repeat nowhere. Only digits: in a letter at the start of what it reads, the
/// program may see a command.
fn digits(length: usize) -> Vec<u8> {
    let mut digits: Vec<u8> = (0..)
        .map_while(|i: usize| (i * 8 < length).then(|| format!("{i:07}\n")))
        .flat_map(String::into_bytes)
        .collect();
    digits.truncate(length);
    digits
}
