//! Sessions that are resumed, and those that must not be.

use polytls::{Capability, CertificateReason, ClientContext, ErrorKind, Resumption, ServerContext};

use crate::pki::{self, Leaf, NAME};
use crate::transport::Transport;
use crate::{Bench, Case, Facts, Failure, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run)
        .transports(&[Transport::Whole, Transport::Tcp, Transport::Tokio])
        .client_needs(Capability::ClientResumption)
        .server_needs(Capability::ServerResumption)
}

pub(super) const CASES: &[Case] = &[
    case("resumption::second_connection", second_connection),
    case("resumption::many_connections", many_connections),
    case("resumption::peer_is_still_known", peer_is_still_known),
    case("resumption::clones_share_sessions", clones_share_sessions),
    case("resumption::another_context_does_not", another_context_does_not),
    case("resumption::another_name_does_not", another_name_does_not),
    case("resumption::disabled_by_the_client", disabled_by_the_client),
    case("resumption::disabled_by_the_server", disabled_by_the_server),
    case("resumption::after_a_cut_connection", after_a_cut_connection),
    case("resumption::with_client_certificates", with_client_certificates)
        .client_needs(Capability::ClientIdentity)
        .server_needs(Capability::ClientAuth),
    case("resumption::does_not_outlive_trust", does_not_outlive_trust),
    case("resumption::another_server_does_not", another_server_does_not),
    case("resumption::facts_are_those_of_the_first", facts_are_those_of_the_first)
        .client_needs(Capability::ClientAlpn)
        .server_needs(Capability::ServerAlpn),
    case("resumption::after_a_dropped_connection", after_a_dropped_connection),
    case("resumption::refused_is_refused_again", refused_is_refused_again),
];

fn pair(bench: &Bench) -> Result<(ClientContext, ServerContext), Failure> {
    Ok((bench.client().build()?, bench.server().build()?))
}

fn resumes(
    bench: &Bench,
    client: &ClientContext,
    server: &ServerContext,
    expected: bool,
) -> Result<(Facts, Facts), Failure> {
    let (near, far) = bench.connects(client, server)?;
    ensure_eq!(near.resumed, Some(expected));
    // Not every library tells its server.
    ensure_eq!(far.resumed.unwrap_or(expected), expected);
    Ok((near, far))
}

fn second_connection(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client, &server, false)?;
    resumes(bench, &client, &server, true)?;
    Ok(())
}

fn many_connections(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client, &server, false)?;
    for _ in 0..8 {
        resumes(bench, &client, &server, true)?;
    }
    Ok(())
}

fn peer_is_still_known(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client, &server, false)?;
    let (near, _) = resumes(bench, &client, &server, true)?;
    ensure_eq!(near.peer_certificates.first(), Some(&pki::standard().server.certificate()));
    ensure_eq!(near.server_name.as_deref(), Some(NAME));
    Ok(())
}

fn clones_share_sessions(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client.clone(), &server.clone(), false)?;
    resumes(bench, &client, &server, true)?;
    Ok(())
}

fn another_context_does_not(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client, &server, false)?;
    resumes(bench, &bench.client().build()?, &server, false)?;
    Ok(())
}

fn another_name_does_not(bench: &Bench) -> Result<(), Failure> {
    let both = Leaf::server().dns("other.polytls.test").issued_by(&pki::standard().root);
    let (client, server) = (bench.client().build()?, bench.server_with(&both).build()?);
    resumes(bench, &client, &server, false)?;
    let (near, far) = bench.connects_to("other.polytls.test", &client, &server)?;
    ensure_eq!(near.resumed, Some(false));
    ensure!(far.resumed != Some(true), "the server resumed");
    Ok(())
}

fn disabled_by_the_client(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().resumption(Resumption::Disabled).build()?;
    let server = bench.server().build()?;
    for _ in 0..2 {
        resumes(bench, &client, &server, false)?;
    }
    Ok(())
}

fn disabled_by_the_server(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    let server = bench.server().resumption(Resumption::Disabled).build()?;
    for _ in 0..2 {
        resumes(bench, &client, &server, false)?;
    }
    Ok(())
}

/// A connection that is dropped or cut must not spoil the session (a default of one library).
fn after_a_cut_connection(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            Ok(client.kill()?)
        },
        |server| {
            server.answer()?;
            let _ = server.read_all();
            Ok(())
        },
    )?;
    resumes(bench, &client, &server, true)?;
    Ok(())
}

fn with_client_certificates(bench: &Bench) -> Result<(), Failure> {
    let standard = pki::standard();
    let ask = polytls::ClientAuth::Required(crate::bench::trust_only(standard.root.der()));
    let client = bench.client().identity(standard.client.identity()).build()?;
    let server = bench.server().client_auth(ask).build()?;
    resumes(bench, &client, &server, false)?;
    let (_, far) = resumes(bench, &client, &server, true)?;
    ensure_eq!(far.peer_certificates.first(), Some(&standard.client.certificate()));
    Ok(())
}

/// A session of a context that verifies nothing is not resumed by one that verifies.
fn does_not_outlive_trust(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().issued_by(&pki::standard().stranger);
    let server = bench.server_with(&server).build()?;
    let loose = bench.client().danger_verification(polytls::Verification::Nothing).build()?;
    bench.connects(&loose, &server)?;
    let verdict = bench.verdict(&bench.client().build()?, &server)?;
    let kind = ErrorKind::Certificate(CertificateReason::UnknownIssuer);
    let error = expect_kind(verdict.client, kind)?;
    ensure!(error.is_ssl_error(), "{error:?}");
    Ok(())
}

/// Keys of tickets are a context's own: whoever holds another cannot read them, and says no.
fn another_server_does_not(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    resumes(bench, &client, &server, false)?;
    resumes(bench, &client, &bench.server().build()?, false)?;
    Ok(())
}

fn facts_are_those_of_the_first(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().alpn(["h2"]).build()?;
    let server = bench.server().alpn(["h2"]).build()?;
    let first = resumes(bench, &client, &server, false)?;
    let second = resumes(bench, &client, &server, true)?;
    for (one, other) in [(&first.0, &second.0), (&first.1, &second.1)] {
        ensure_eq!(one.version, other.version);
        ensure_eq!(one.cipher_suite, other.cipher_suite);
        ensure_eq!(one.alpn, other.alpn);
        ensure_eq!(one.server_name, other.server_name);
    }
    ensure_eq!(second.0.alpn.as_deref(), Some(&b"h2"[..]));
    Ok(())
}

fn after_a_dropped_connection(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = pair(bench)?;
    bench.run(
        &client,
        &server,
        |client| {
            client.ask()?;
            Ok(())
        },
        |server| Ok(server.answer()?),
    )?;
    resumes(bench, &client, &server, true)?;
    Ok(())
}

/// Not even the check that comes after the handshake leaves a session that goes round it.
fn refused_is_refused_again(bench: &Bench) -> Result<(), Failure> {
    let root = &pki::standard().root;
    let client = bench.client().build()?;
    for (server, reason) in [
        (Leaf::unnamed().common_name(NAME).issued_by(root), CertificateReason::NameMismatch),
        (Leaf::server().with_ca_flag().issued_by(root), CertificateReason::CaUsedAsEndEntity),
        (Leaf::server().expired().issued_by(root), CertificateReason::Expired),
    ] {
        let server = bench.server_with(&server).build()?;
        for _ in 0..3 {
            let verdict = bench.verdict(&client, &server)?;
            expect_kind(verdict.client, ErrorKind::Certificate(reason))?;
        }
    }
    Ok(())
}
