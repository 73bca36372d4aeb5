//! Errors: the same failure is the same error, whatever the backend.
//!
//! That it fails at all is for the other families. Here each failure is looked at from all sides:
//! kind, reason, [`io::ErrorKind`], whether it is TLS that failed, what a person reads, and whether
//! it survives the trip through [`io::Error`].

use std::error::Error as StdError;
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::time::Duration;

use polytls::{
    Alert, Capability, CertificateDetails, CertificateReason as Reason, ClientAuth, ClientContext,
    Error, ErrorKind, Identity, IdentityReason, Phase, ProtocolVersion, ServerContext, TlsError,
    Trust, TrustReason, backend, is_ssl_error,
};

use crate::bench::trust_only;
use crate::pki::{self, Credential, ENCRYPTED_PKCS8_PEM, Leaf, NAME};
use crate::{Bench, Case, Failure, Verdict, ensure, ensure_eq, expect_error, expect_kind};

const fn client(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_client().in_memory()
}

const fn context(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    client("errors::unknown_ca", unknown_ca),
    client("errors::self_signed", self_signed),
    client("errors::expired", expired),
    client("errors::not_yet_valid", not_yet_valid),
    client("errors::wrong_name", wrong_name),
    client("errors::no_san", no_san),
    client("errors::wrong_usage", wrong_usage),
    client("errors::ca_as_leaf", ca_as_leaf),
    client("errors::missing_intermediate", missing_intermediate),
    client("errors::bad_signature", bad_signature),
    client("errors::names_of_many_lines", names_of_many_lines),
    Case::new("errors::certificate_refused_is_told_to_the_peer", refusal_is_told).one_of_each(),
    Case::new("errors::same_words_everywhere", same_words_everywhere).once().no_transport(),
    Case::new("errors::version_too_old_for_a_client", version_too_old_for_a_client)
        .any_version()
        .one_of_each()
        .client_needs(Capability::ClientTls13)
        .server_needs(Capability::ServerTls12),
    Case::new("errors::version_too_old_for_a_server", version_too_old_for_a_server)
        .any_version()
        .one_of_each()
        .client_needs(Capability::ClientTls12)
        .server_needs(Capability::ServerTls13),
    Case::new("errors::alpn_mismatch", alpn_mismatch)
        .one_of_each()
        .client_needs(Capability::ClientAlpn)
        .server_needs(Capability::ServerAlpn),
    Case::new("errors::client_certificate_required", client_certificate_required)
        .one_of_each()
        .server_needs(Capability::ClientAuth),
    Case::new("errors::plaintext_peer", plaintext_peer).any_version().one_of_each(),
    Case::new("errors::silent_peer", silent_peer).any_version().one_of_each(),
    Case::new("errors::policy_of_a_ready_context", policy_of_a_ready_context).one_of_each(),
    Case::new("errors::truncated_handshake", truncated_handshake).any_version().one_of_each(),
    Case::new("errors::truncated_data", truncated_data).one_of_each(),
    context("errors::mismatching_key", mismatching_key).client_needs(Capability::ClientIdentity),
    context("errors::encrypted_key", encrypted_key).once(),
    context("errors::empty_trust_store", empty_trust_store).each_client(),
    context("errors::unsupported", unsupported).each_client(),
    context("errors::find_goes_through_everything", find_goes_through_everything).once(),
];

/// Looks at an error from all sides.
fn judge(error: &Error, kind: ErrorKind) -> Result<(), Failure> {
    expect_kind(Err::<(), _>(error.clone()), kind)?;
    let network = matches!(kind, ErrorKind::Timeout(_) | ErrorKind::Io);
    ensure_eq!(error.is_ssl_error(), !network);
    ensure_eq!(TlsError::kind(error), kind);
    ensure_eq!(TlsError::alert(error), error.alert());
    ensure_eq!(TlsError::certificate_reason(error), error.certificate_reason());
    match kind {
        ErrorKind::Certificate(reason) => ensure_eq!(error.certificate_reason(), Some(reason)),
        _ => ensure_eq!(error.certificate_reason(), None),
    }
    reads_well(error)?;
    survives(error)
}

/// One line in our own words: lower case, without a full stop, without the library's text.
fn reads_well(error: &Error) -> Result<(), Failure> {
    let text = error.to_string();
    ensure!(!text.contains(char::is_control), "{text:?}");
    let first = text.chars().next().unwrap_or('X');
    ensure!(first.is_lowercase(), "{text:?}");
    ensure!(!text.ends_with('.'), "{text:?}");
    let mut beneath = error.source();
    while let Some(source) = beneath {
        let theirs = source.to_string();
        ensure!(theirs.len() < 8 || !text.contains(&theirs), "{text:?} repeats {theirs:?}");
        beneath = source.source();
    }
    Ok(())
}

/// Between layers it becomes an `io::Error`, and that is wrapped again (redisctl#894).
fn survives(error: &Error) -> Result<(), Failure> {
    let once = io::Error::from(error.clone());
    ensure_eq!(once.kind(), error.io_kind());
    let twice = io::Error::new(io::ErrorKind::ConnectionRefused, once);
    let thrice = Wrapped(Box::new(io::Error::other(Wrapped(Box::new(twice)))));
    let found = Error::find(&thrice).ok_or_else(|| Failure::new("lost on its way"))?;
    ensure_eq!(found.kind(), error.kind());
    ensure_eq!(found.to_string(), error.to_string());
    ensure_eq!(is_ssl_error(&thrice), error.is_ssl_error());
    Ok(())
}

/// Another library's error around one of ours.
#[derive(Debug)]
struct Wrapped(Box<dyn StdError + Send + Sync>);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("could not fetch it")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// An error of a connection tells whose it is.
fn judge_of(error: &Error, kind: ErrorKind, backend: &str) -> Result<(), Failure> {
    judge(error, kind).map_err(|failure| failure.at(backend))?;
    ensure_eq!(error.backend(), Some(backend));
    Ok(())
}

fn judge_both(bench: &Bench, verdict: Verdict, kind: ErrorKind) -> Result<(Error, Error), Failure> {
    let (near, far) = (expect_error(verdict.client), expect_error(verdict.server));
    let (near, far) = (near.map_err(|f| f.at("client"))?, far.map_err(|f| f.at("server"))?);
    judge_of(&near, kind, bench.client_backend().name()).map_err(|f| f.at("client"))?;
    judge_of(&far, kind, bench.server_backend().name()).map_err(|f| f.at("server"))?;
    Ok((near, far))
}

/// The client refuses this server for this reason; what it shows of the certificate is true.
fn refused(bench: &Bench, server: &Credential, reason: Reason) -> Result<Error, Failure> {
    let context = bench.client().build()?;
    let error = match bench.any_server_with(server)? {
        Some(server) => expect_error(bench.verdict(&context, &server)?.client)?,
        None => return Err(Failure::new("no backend serves such a certificate")),
    };
    judge_of(&error, ErrorKind::Certificate(reason), bench.client_backend().name())?;
    let told = match bench.version() {
        ProtocolVersion::Tls12 => Capability::CertificateDetailsTls12,
        _ => Capability::CertificateDetailsTls13,
    };
    match error.certificate_details() {
        Some(details) => are_of(details, server)?,
        None => ensure!(!bench.client_can(told), "no details, against {told}: {error:?}"),
    }
    Ok(error)
}

fn are_of(details: &CertificateDetails, server: &Credential) -> Result<(), Failure> {
    let certificate = server.certificate();
    ensure_eq!(details.names, certificate.names()?);
    ensure_eq!(details.subject, certificate.subject()?);
    ensure_eq!(details.issuer, certificate.issuer()?);
    // Not the whole: it tells as well when it was looked at.
    let validity = certificate.validity()?;
    ensure_eq!(details.validity.not_before(), validity.not_before());
    ensure_eq!(details.validity.not_after(), validity.not_after());
    ensure_eq!(details.self_issued, certificate.subject()? == certificate.issuer()?);
    Ok(())
}

/// What the message must say, where the backend knows the certificate.
fn says(error: &Error, words: &[&str]) -> Result<(), Failure> {
    let text = error.to_string();
    if error.certificate_details().is_some() {
        for word in words {
            ensure!(text.contains(word), "{text:?} does not say {word:?}");
        }
    }
    Ok(())
}

/// Servers that a client refuses, each for one reason, and what the message says.
fn inputs() -> Vec<(&'static str, Credential, Reason, &'static [&'static str])> {
    let (standard, root) = (pki::standard(), &pki::standard().root);
    vec![
        (
            "unknown CA",
            Leaf::server().issued_by(&standard.stranger),
            Reason::UnknownIssuer,
            &["not trusted", "Stranger Root"],
        ),
        (
            "self-signed",
            Leaf::server().self_signed(),
            Reason::UnknownIssuer,
            &["not trusted", "self-signed"],
        ),
        (
            "expired",
            Leaf::server().expired().issued_by(root),
            Reason::Expired,
            &["expired", "2 days ago"],
        ),
        (
            "not yet valid",
            Leaf::server().not_yet_valid().issued_by(root),
            Reason::NotYetValid,
            &["not valid for another", "clock"],
        ),
        (
            "wrong name",
            Leaf::for_name("other.polytls.test").issued_by(root),
            Reason::NameMismatch,
            &[NAME, "other.polytls.test"],
        ),
        (
            "no SAN",
            Leaf::unnamed().common_name(NAME).issued_by(root),
            Reason::NameMismatch,
            &[NAME, "no subjectAltName"],
        ),
        (
            "wrong usage",
            Leaf::server().for_clients_only().issued_by(root),
            Reason::WrongUsage,
            &["usage"],
        ),
        (
            "CA as leaf",
            Leaf::server().with_ca_flag().issued_by(root),
            Reason::CaUsedAsEndEntity,
            &["CA:TRUE", "CA:FALSE"],
        ),
        (
            "missing intermediate",
            standard.server.clone().without_intermediates(),
            Reason::UnknownIssuer,
            &["not trusted", "Suite Intermediate", "intermediate certificate"],
        ),
        (
            "bad signature",
            Leaf::server().with_bad_signature().issued_by(root),
            Reason::BadSignature,
            &["signature"],
        ),
        (
            "an issuer of many lines",
            Leaf::server().common_name("CN\r\n\u{1b}[2Jall is well").self_signed(),
            Reason::UnknownIssuer,
            &["CN=CN\\0D\\0A\\1B[2Jall is well"],
        ),
        (
            "a name of many lines",
            Leaf::for_name("a\n\u{1b}[2J.polytls.test").issued_by(root),
            Reason::NameMismatch,
            &[NAME, "a\\0A\\1B[2J.polytls.test"],
        ),
    ]
}

fn input(bench: &Bench, name: &str) -> Result<(), Failure> {
    let found = inputs().into_iter().find(|input| input.0 == name);
    let (_, server, reason, words) = found.ok_or_else(|| Failure::new("no such input"))?;
    says(&refused(bench, &server, reason)?, words)
}

fn unknown_ca(bench: &Bench) -> Result<(), Failure> {
    input(bench, "unknown CA")
}

fn self_signed(bench: &Bench) -> Result<(), Failure> {
    input(bench, "self-signed")
}

fn expired(bench: &Bench) -> Result<(), Failure> {
    input(bench, "expired")
}

fn not_yet_valid(bench: &Bench) -> Result<(), Failure> {
    input(bench, "not yet valid")
}

fn wrong_name(bench: &Bench) -> Result<(), Failure> {
    input(bench, "wrong name")
}

fn no_san(bench: &Bench) -> Result<(), Failure> {
    input(bench, "no SAN")
}

fn wrong_usage(bench: &Bench) -> Result<(), Failure> {
    input(bench, "wrong usage")
}

fn ca_as_leaf(bench: &Bench) -> Result<(), Failure> {
    input(bench, "CA as leaf")
}

fn missing_intermediate(bench: &Bench) -> Result<(), Failure> {
    input(bench, "missing intermediate")
}

fn bad_signature(bench: &Bench) -> Result<(), Failure> {
    input(bench, "bad signature")
}

/// A peer that nobody knows writes no lines, and moves no cursor, in whoever's log it is.
fn names_of_many_lines(bench: &Bench) -> Result<(), Failure> {
    input(bench, "an issuer of many lines")?;
    input(bench, "a name of many lines")
}

/// The server learns that it was refused, and why.
fn refusal_is_told(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().build()?;
    for (name, alert) in [
        ("unknown CA", Alert::UNKNOWN_CA),
        ("self-signed", Alert::UNKNOWN_CA),
        ("expired", Alert::CERTIFICATE_EXPIRED),
        ("missing intermediate", Alert::UNKNOWN_CA),
    ] {
        let found = inputs().into_iter().find(|input| input.0 == name);
        let (_, server, ..) = found.ok_or_else(|| Failure::new("no such input"))?;
        let verdict = bench.verdict(&context, &bench.server_with(&server).build()?)?;
        let error = expect_error(verdict.server).map_err(|failure| failure.at(name))?;
        let kind = ErrorKind::CertificateRejected(alert);
        judge_of(&error, kind, bench.server_backend().name()).map_err(|f| f.at(name))?;
        ensure_eq!(error.alert(), Some(alert));
    }
    Ok(())
}

/// What a person reads does not depend on the backend, where it knows the certificate.
fn same_words_everywhere(bench: &Bench) -> Result<(), Failure> {
    for (name, server, ..) in inputs() {
        let Some(server) = bench.any_server_with(&server)? else { continue };
        let mut texts: Vec<(&str, String)> = Vec::new();
        for backend in bench.backends() {
            let Ok(client) = bench.client().backend(*backend).build() else { continue };
            let error = expect_error(bench.verdict(&client, &server)?.client)?;
            if error.certificate_details().is_some() {
                texts.push((backend.name(), error.to_string()));
            }
        }
        for pair in texts.windows(2) {
            ensure_eq!(pair[0].1, pair[1].1, "{name}: {} and {}", pair[0].0, pair[1].0);
        }
    }
    Ok(())
}

fn version_too_old_for_a_client(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().min_version(ProtocolVersion::Tls13).build()?;
    let server = bench.server().max_version(ProtocolVersion::Tls12).build()?;
    let verdict = bench.verdict(&client, &server)?;
    judge_both(bench, verdict, ErrorKind::NoCommonVersion)?;
    Ok(())
}

fn version_too_old_for_a_server(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().max_version(ProtocolVersion::Tls12).build()?;
    let server = bench.server().min_version(ProtocolVersion::Tls13).build()?;
    let verdict = bench.verdict(&client, &server)?;
    judge_both(bench, verdict, ErrorKind::NoCommonVersion)?;
    Ok(())
}

fn alpn_mismatch(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().alpn(["imap"]).build()?;
    let server = bench.server().alpn(["h2"]).build()?;
    let verdict = bench.verdict(&client, &server)?;
    let (error, _) = judge_both(bench, verdict, ErrorKind::NoCommonAlpn)?;
    ensure_eq!(error.alert(), Some(Alert::NO_APPLICATION_PROTOCOL));
    Ok(())
}

fn client_certificate_required(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    let trust = trust_only(pki::standard().root.der());
    let server = bench.server().client_auth(ClientAuth::Required(trust)).build()?;
    let verdict = bench.verdict(&client, &server)?;
    let (near, far) = judge_both(bench, verdict, ErrorKind::ClientCertificateRequired)?;
    // Only who has to do something about it is told what.
    ensure!(near.to_string().contains("give the client context an identity"), "{near}");
    ensure!(far.to_string().contains("presented no certificate"), "{far}");
    Ok(())
}

/// What each side makes of a peer that says this once it has heard something, and hangs up.
fn peer_says(bench: &Bench, words: &[u8], kind: ErrorKind) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    bench.client_against(
        &client,
        |client| {
            let error = expect_error(client.handshake())?;
            judge_of(&error, kind, bench.client_backend().name())
        },
        |peer| {
            peer.recv(&mut [0; 16 << 10])?;
            peer.send(words)?;
            Ok(peer.shutdown(Shutdown::Write)?)
        },
    )?;
    bench.server_against(
        &server,
        |peer| {
            peer.send(words)?;
            Ok(peer.shutdown(Shutdown::Write)?)
        },
        |server| {
            let error = expect_error(server.handshake())?;
            judge_of(&error, kind, bench.server_backend().name())
        },
    )?;
    Ok(())
}

fn plaintext_peer(bench: &Bench) -> Result<(), Failure> {
    peer_says(bench, b"+OK POP3 ready\r\n", ErrorKind::PeerNotTls)
}

fn truncated_handshake(bench: &Bench) -> Result<(), Failure> {
    peer_says(bench, &[22, 3, 3, 0, 90], ErrorKind::Truncated(Phase::Handshake))
}

/// How long these handshakes may take.
const SHORT: Duration = Duration::from_millis(10);

fn silent_peer(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().handshake_timeout(SHORT).build()?;
    let server = bench.server().handshake_timeout(SHORT).build()?;
    silence_ends(bench, &client, &server)
}

/// Neither side waits for ever for a peer that says nothing.
fn silence_ends(
    bench: &Bench,
    client: &ClientContext,
    server: &ServerContext,
) -> Result<(), Failure> {
    let kind = ErrorKind::Timeout(Phase::Handshake);
    let until_it_hangs_up = |peer: &dyn polytls::StreamSocket| {
        while matches!(peer.recv(&mut [0; 4096]), Ok(n) if n > 0) {}
        Ok(())
    };
    let judge = |error: Error| judge(&error, kind);
    bench.client_against(
        client,
        |client| judge(expect_error(client.handshake())?),
        until_it_hangs_up,
    )?;
    bench.server_against(server, until_it_hangs_up, |server| {
        judge(expect_error(server.handshake())?)
    })?;
    Ok(())
}

/// What a builder can be told of time and truncation, a context can be told that has had none.
fn policy_of_a_ready_context(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let hasty = client.clone().with_handshake_timeout(SHORT);
    ensure_eq!(hasty.handshake_timeout(), Some(SHORT));
    ensure!(client.handshake_timeout() != Some(SHORT), "the context that it was has changed");
    silence_ends(bench, &hasty, &server.clone().with_handshake_timeout(SHORT))?;
    let (client, server) = (client.with_tolerated_truncation(), server.with_tolerated_truncation());
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            ensure_eq!(client.read(&mut [0; 8])?, 0);
            Ok(client.kill_write()?)
        },
        |server| {
            server.answer()?;
            server.kill_write()?;
            ensure_eq!(server.read(&mut [0; 8])?, 0);
            Ok(())
        },
    )?;
    Ok(())
}

/// And `?` takes what the stream fails with as the error that it is.
fn truncated_data(bench: &Bench) -> Result<(), Failure> {
    fn read(stream: &mut impl io::Read) -> Result<(), Error> {
        Ok(stream.read_exact(&mut [0; 8])?)
    }
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let kind = ErrorKind::Truncated(Phase::Read);
    let backend = bench.client_backend().name();
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            judge_of(&expect_error(client.read(&mut [0; 8]))?, kind, backend)?;
            let again = read(client).err().ok_or_else(|| Failure::new("read what nobody sent"))?;
            judge_of(&again, kind, backend)
        },
        |server| {
            server.answer()?;
            Ok(server.kill_write()?)
        },
    )?;
    Ok(())
}

/// Found when the context is built, on both sides.
fn mismatching_key(bench: &Bench) -> Result<(), Failure> {
    let mut wrong = pki::standard().client.clone();
    wrong.key = pki::standard().server.key.clone();
    let kind = ErrorKind::Identity(IdentityReason::KeyMismatch);
    let near = expect_error(bench.client().identity(wrong.identity()).build())?;
    judge_of(&near, kind, bench.client_backend().name())?;
    let far = expect_error(bench.server_with(&wrong).build())?;
    judge_of(&far, kind, bench.server_backend().name())
}

fn encrypted_key(_bench: &Bench) -> Result<(), Failure> {
    let chain = pki::standard().server.chain_pem();
    let outcome = Identity::from_bytes(chain.as_bytes(), ENCRYPTED_PKCS8_PEM.as_bytes());
    judge(&expect_error(outcome)?, ErrorKind::Identity(IdentityReason::KeyEncrypted))
}

fn empty_trust_store(bench: &Bench) -> Result<(), Failure> {
    let error = expect_error(bench.client_with(Trust::Only(Vec::new())).build())?;
    judge(&error, ErrorKind::Trust(TrustReason::NoRoots))
}

/// Told when the context is built, and by name.
fn unsupported(bench: &Bench) -> Result<(), Failure> {
    let chosen = bench.client_backend();
    let absent = |capability| !chosen.capabilities().has(capability);
    let server = || bench.server().backend(chosen);
    let ask = || ClientAuth::Optional(trust_only(pki::standard().root.der()));
    for (capability, outcome) in [
        (Capability::ServerTls13, server().min_version(ProtocolVersion::Tls13).build().err()),
        (Capability::ClientAuth, server().client_auth(ask()).build().err()),
        (
            Capability::PartialChain,
            bench.client_trusting(&pki::standard().intermediate).build().err(),
        ),
    ] {
        match outcome {
            Some(error) => {
                ensure!(absent(capability), "{capability} is there, and: {error:?}");
                judge_of(&error, ErrorKind::Unsupported(capability), chosen.name())?;
                ensure!(error.to_string().contains(chosen.name()), "{error}");
                ensure!(error.to_string().contains(capability.name()), "{error}");
                // There is a way out, where one is compiled in.
                for able in backend::all().iter().filter(|b| b.capabilities().has(capability)) {
                    ensure!(error.to_string().contains(able.name()), "{error}");
                }
            }
            None => ensure!(!absent(capability), "did {capability} all the same"),
        }
    }
    Ok(())
}

fn find_goes_through_everything(_bench: &Bench) -> Result<(), Failure> {
    survives(&Error::new(ErrorKind::NoCommonVersion))?;
    survives(&Error::new(ErrorKind::Timeout(Phase::Read)))?;
    // Not ours, at any depth.
    let plain = io::Error::other(Wrapped(Box::new(io::Error::from(io::ErrorKind::BrokenPipe))));
    ensure!(Error::find(&plain).is_none() && !is_ssl_error(&plain), "found one in {plain:?}");
    Ok(())
}
