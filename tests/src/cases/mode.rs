//! The three modes of verification: what each takes and refuses.

use polytls::{
    Capability, CertificateReason as Reason, ClientContext, ErrorKind, ServerContext, Verification,
};

use crate::bench::trust_only;
use crate::pki::{self, Algorithm, Authority, Credential, Leaf, NAME};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, expect_kind};

/// Both kinds of socket and memory: "insecure" must mean the same on each (gremlin-rs#86), in both
/// versions (reqwest#1210).
const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).transports(&[Transport::Whole, Transport::Tcp, Transport::Tokio])
}

pub(super) const CASES: &[Case] = &[
    case("mode::full_is_the_default", full_is_the_default),
    case("mode::skip_hostname_takes_any_name", skip_hostname_takes_any_name)
        .client_needs(Capability::SkipHostname),
    case("mode::skip_hostname_checks_the_chain", skip_hostname_checks_the_chain)
        .client_needs(Capability::SkipHostname),
    case("mode::nothing_takes_everything", nothing_takes_everything),
    case("mode::nothing_needs_no_roots", nothing_needs_no_roots),
    case("mode::nothing_still_sends_the_name", nothing_still_sends_the_name),
    case("mode::nothing_takes_what_is_not_version_3", nothing_takes_what_is_not_version_3)
        .each_client(),
    case("mode::nothing_takes_weak_signatures", nothing_takes_weak_signatures).each_client(),
    case("mode::insecure_context", insecure_context).each_server(),
];

/// Certificates with one fault each in something else than the name.
fn broken() -> Vec<(&'static str, Credential, Reason)> {
    let root = &pki::standard().root;
    let old = Authority::named("Old").expired().issued_by(root);
    let narrow = Authority::named("Narrow").permitting("other.test").issued_by(root);
    vec![
        ("unknown CA", Leaf::server().issued_by(&pki::standard().stranger), Reason::UnknownIssuer),
        ("self-signed", Leaf::server().self_signed(), Reason::UnknownIssuer),
        ("expired", Leaf::server().expired().issued_by(root), Reason::Expired),
        ("not yet valid", Leaf::server().not_yet_valid().issued_by(root), Reason::NotYetValid),
        ("wrong usage", Leaf::server().for_clients_only().issued_by(root), Reason::WrongUsage),
        ("CA as leaf", Leaf::server().with_ca_flag().issued_by(root), Reason::CaUsedAsEndEntity),
        ("old intermediate", Leaf::server().issued_by(&old), Reason::Expired),
        ("constraints", Leaf::for_name(NAME).issued_by(&narrow), Reason::NameConstraints),
        (
            "bad signature",
            Leaf::server().with_bad_signature().issued_by(root),
            Reason::BadSignature,
        ),
        (
            "missing intermediate",
            pki::standard().server.clone().without_intermediates(),
            Reason::UnknownIssuer,
        ),
    ]
}

/// Certificates that are good but for the name.
fn misnamed() -> Vec<(&'static str, Credential)> {
    let root = &pki::standard().root;
    vec![
        ("wrong name", Leaf::for_name("other.polytls.test").issued_by(root)),
        ("no SAN", Leaf::unnamed().common_name(NAME).issued_by(root)),
    ]
}

fn connects(
    bench: &Bench,
    what: &str,
    client: &ClientContext,
    server: &ServerContext,
) -> Result<(), Failure> {
    bench.connects(client, server).map_err(|failure| failure.at(what))?;
    Ok(())
}

/// A boolean passed the wrong way round has switched checks off before: the plain builder refuses.
fn full_is_the_default(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    for (what, server) in misnamed() {
        let verdict = bench.verdict(&client, &bench.server_with(&server).build()?)?;
        expect_kind(verdict.client, ErrorKind::Certificate(Reason::NameMismatch))
            .map_err(|failure| failure.at(what))?;
    }
    Ok(())
}

fn skip_hostname_takes_any_name(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().danger_verification(Verification::SkipHostname).build()?;
    for (what, server) in misnamed() {
        connects(bench, what, &client, &bench.server_with(&server).build()?)?;
    }
    let server = bench.server().build()?;
    bench.connects_to("192.0.2.7", &client, &server)?;
    Ok(())
}

fn skip_hostname_checks_the_chain(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().danger_verification(Verification::SkipHostname).build()?;
    for (what, server, reason) in broken() {
        let verdict = bench.verdict(&client, &bench.server_with(&server).build()?)?;
        expect_kind(verdict.client, ErrorKind::Certificate(reason)).map_err(|f| f.at(what))?;
    }
    Ok(())
}

fn nothing_takes_everything(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().danger_verification(Verification::Nothing).build()?;
    for (what, server, _) in broken() {
        connects(bench, what, &client, &bench.server_with(&server).build()?)?;
    }
    for (what, server) in misnamed() {
        connects(bench, what, &client, &bench.server_with(&server).build()?)?;
    }
    Ok(())
}

/// Who verifies nothing needs no authority, not even a usable one.
fn nothing_needs_no_roots(bench: &Bench) -> Result<(), Failure> {
    for trust in [
        polytls::Trust::Only(Vec::new()),
        trust_only(Authority::named("Old").expired().root().der()),
    ] {
        let client = bench.client_with(trust).danger_verification(Verification::Nothing);
        bench.connects(&client.build()?, &bench.server().build()?)?;
    }
    Ok(())
}

fn nothing_still_sends_the_name(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().danger_verification(Verification::Nothing).build()?;
    let (_, far) = bench.connects_to("other.polytls.test", &client, &bench.server().build()?)?;
    crate::ensure_eq!(far.server_name.as_deref(), Some("other.polytls.test"));
    Ok(())
}

fn nothing_takes_what_is_not_version_3(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().version_1().issued_by(&pki::standard().root);
    let client = bench.client().danger_verification(Verification::Nothing).build()?;
    match bench.any_server_with(&server)? {
        Some(server) => connects(bench, "version 1", &client, &server),
        None => Ok(()),
    }
}

fn nothing_takes_weak_signatures(bench: &Bench) -> Result<(), Failure> {
    let old = Authority::named("Weak").algorithm(Algorithm::Rsa2048).root();
    let server = Leaf::server().signed_with_sha1().issued_by(&old);
    let client = bench.client().danger_verification(Verification::Nothing).build()?;
    match bench.any_server_with(&server)? {
        Some(server) => connects(bench, "SHA-1", &client, &server),
        None => Ok(()),
    }
}

/// The function of that name, with the default backend, in whatever version the server speaks.
fn insecure_context(bench: &Bench) -> Result<(), Failure> {
    let client = polytls::insecure_client_ssl_context()?;
    for (what, server, _) in broken() {
        connects(bench, what, &client, &bench.server_with(&server).build()?)?;
    }
    Ok(())
}
