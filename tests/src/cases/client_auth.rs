//! Client certificates: what a server asks for, what a client presents.

use std::io::{Read as _, Write as _};

use polytls::{
    Alert, Capability, CertificateReason as Reason, ClientAuth, ClientContext, Error, ErrorKind,
    ProtocolVersion, ServerContext,
};

use crate::bench::trust_only;
use crate::pki::{self, Algorithm, Authority, Credential, Leaf};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run)
        .transports(&[Transport::Whole, Transport::Bytewise, Transport::Tcp, Transport::Tokio])
        .client_needs(Capability::ClientIdentity)
        .server_needs(Capability::ClientAuth)
}

/// What matters is which path the server finds; the client only has to send it.
const fn path(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    case(name, run).each_server().in_memory()
}

pub(super) const CASES: &[Case] = &[
    case("client_auth::required", required),
    case("client_auth::chain", chain).server_needs(Capability::PeerChain),
    case("client_auth::required_and_missing", required_and_missing),
    case("client_auth::told_again_and_to_every_call", told_again_and_to_every_call),
    case("client_auth::told_to_who_only_writes", told_to_who_only_writes).one_of_each(),
    case("client_auth::optional", optional),
    case("client_auth::not_asked_for", not_asked_for),
    case("client_auth::unknown_ca", unknown_ca),
    case("client_auth::optional_is_still_verified", optional_is_still_verified),
    case("client_auth::expired", expired),
    case("client_auth::wrong_usage", wrong_usage),
    case("client_auth::ca_as_leaf", ca_as_leaf),
    case("client_auth::missing_intermediate", missing_intermediate),
    path("client_auth::excluded_name_by_wildcard", excluded_name_by_wildcard),
    path("client_auth::common_name_is_no_name", common_name_is_no_name),
    path("client_auth::too_long_chain", too_long_chain),
    path("client_auth::huge_chain", huge_chain),
    path("client_auth::issuer_with_another_key", issuer_with_another_key),
    path("client_auth::self_issued_is_not_counted", self_issued_is_not_counted),
    path("client_auth::self_issued_is_not_constrained", self_issued_is_not_constrained),
    path("client_auth::permitted_subject", permitted_subject),
    path("client_auth::other_path_to_trust", other_path_to_trust),
    path("client_auth::other_path_without_constraint", other_path_without_constraint),
    case("client_auth::every_key_algorithm", every_key_algorithm),
    case("client_auth::server_without_usable_roots", server_without_usable_roots).no_transport(),
];

fn asking(bench: &Bench, ask: ClientAuth) -> Result<ServerContext, Failure> {
    Ok(bench.server().client_auth(ask).build()?)
}

fn root() -> polytls::Trust {
    trust_only(pki::standard().root.der())
}

fn presenting(bench: &Bench, credential: &Credential) -> Result<ClientContext, Failure> {
    Ok(bench.client().identity(credential.identity()).build()?)
}

fn required(bench: &Bench) -> Result<(), Failure> {
    let client = presenting(bench, &pki::standard().client)?;
    let server = asking(bench, ClientAuth::Required(root()))?;
    let (near, far) = bench.connects(&client, &server)?;
    ensure_eq!(far.peer_certificates.first(), Some(&pki::standard().client.certificate()));
    ensure_eq!(near.peer_certificates.first(), Some(&pki::standard().server.certificate()));
    Ok(())
}

fn chain(bench: &Bench) -> Result<(), Failure> {
    let client = presenting(bench, &pki::standard().client)?;
    let server = asking(bench, ClientAuth::Required(root()))?;
    let (_, far) = bench.connects(&client, &server)?;
    let sent: Vec<_> = far.peer_certificates.iter().map(|c| c.der().to_vec()).collect();
    ensure_eq!(sent, pki::standard().client.chain);
    Ok(())
}

/// In TLS 1.3 the client's handshake is over by then; the kind is the same, on whichever call sees
/// it.
fn required_and_missing(bench: &Bench) -> Result<(), Failure> {
    let server = asking(bench, ClientAuth::Required(root()))?;
    let verdict = bench.verdict(&bench.client().build()?, &server)?;
    expect_kind(verdict.client, ErrorKind::ClientCertificateRequired)
        .map_err(|failure| failure.at("client"))?;
    expect_kind(verdict.server, ErrorKind::ClientCertificateRequired)
        .map_err(|failure| failure.at("server"))?;
    Ok(())
}

/// Whichever call comes first, and each after it.
fn told_again_and_to_every_call(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, asking(bench, ClientAuth::Required(root()))?);
    let kind = ErrorKind::ClientCertificateRequired;
    bench.run(
        &client,
        &server,
        |client| {
            let first = match client.handshake() {
                Ok(()) => expect_kind(client.read(&mut [0; 8]), kind)?,
                outcome => expect_kind(outcome, kind)?,
            };
            let told = first.alert();
            // TLS 1.2 has no alert of its own for it (RFC 5246, section 7.4.6), and some servers
            // send that of TLS 1.3 all the same.
            let without_name =
                told == Some(Alert::HANDSHAKE_FAILURE) && bench.version() == ProtocolVersion::Tls12;
            ensure!(told == Some(Alert::CERTIFICATE_REQUIRED) || without_name, "{first:?}");
            expect_kind(client.write(b"x"), kind)?;
            expect_kind(client.read(&mut [0; 8]), kind)?;
            expect_kind(client.handshake(), kind)?;
            Ok(())
        },
        |server| {
            expect_kind(server.handshake(), kind)?;
            expect_kind(server.read(&mut [0; 8]), kind)?;
            Ok(())
        },
    )?;
    Ok(())
}

/// A client that never reads must not take what it wrote for delivered.
fn told_to_who_only_writes(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, asking(bench, ClientAuth::Required(root()))?);
    let kind = ErrorKind::ClientCertificateRequired;
    bench.run(
        &client,
        &server,
        |client| {
            match client.write(b"data that nobody reads") {
                Ok(_) => expect_kind(client.close(), kind)?,
                outcome => expect_kind(outcome, kind)?,
            };
            Ok(())
        },
        |server| {
            expect_kind(server.handshake(), kind)?;
            Ok(())
        },
    )?;
    Ok(())
}

fn optional(bench: &Bench) -> Result<(), Failure> {
    let server = asking(bench, ClientAuth::Optional(root()))?;
    let (_, far) = bench.connects(&bench.client().build()?, &server)?;
    ensure!(far.peer_certificates.is_empty(), "{:?}", far.peer_certificates);
    let client = presenting(bench, &pki::standard().client)?;
    let (_, far) = bench.connects(&client, &server)?;
    ensure_eq!(far.peer_certificates.first(), Some(&pki::standard().client.certificate()));
    Ok(())
}

fn not_asked_for(bench: &Bench) -> Result<(), Failure> {
    let client = presenting(bench, &pki::standard().client)?;
    let (_, far) = bench.connects(&client, &bench.server().build()?)?;
    ensure!(far.peer_certificates.is_empty(), "presented without being asked");
    Ok(())
}

/// The server refuses this client for this reason, and tells it so.
fn refused(
    bench: &Bench,
    client: &Credential,
    ask: ClientAuth,
    reason: Reason,
) -> Result<Error, Failure> {
    let verdict = bench.verdict(&presenting(bench, client)?, &asking(bench, ask)?)?;
    ensure!(verdict.client.is_err(), "the client takes a refused connection for a good one");
    let told = verdict.client.err().map(|error| error.kind());
    let error = expect_kind(verdict.server, ErrorKind::Certificate(reason))?;
    // What only the check after the handshake finds has no alert of its own.
    if !matches!(reason, Reason::CaUsedAsEndEntity) {
        ensure!(matches!(told, Some(ErrorKind::CertificateRejected(_))), "the client: {told:?}");
    }
    Ok(error)
}

fn unknown_ca(bench: &Bench) -> Result<(), Failure> {
    let client = Leaf::client("stranger").issued_by(&pki::standard().stranger);
    refused(bench, &client, ClientAuth::Required(root()), Reason::UnknownIssuer)?;
    Ok(())
}

fn optional_is_still_verified(bench: &Bench) -> Result<(), Failure> {
    let client = Leaf::client("stranger").issued_by(&pki::standard().stranger);
    refused(bench, &client, ClientAuth::Optional(root()), Reason::UnknownIssuer)?;
    Ok(())
}

fn expired(bench: &Bench) -> Result<(), Failure> {
    let client = Leaf::client("old").expired().issued_by(&pki::standard().root);
    refused(bench, &client, ClientAuth::Required(root()), Reason::Expired)?;
    Ok(())
}

fn wrong_usage(bench: &Bench) -> Result<(), Failure> {
    let client = Leaf::client("server").for_servers_only().issued_by(&pki::standard().root);
    refused(bench, &client, ClientAuth::Required(root()), Reason::WrongUsage)?;
    Ok(())
}

fn ca_as_leaf(bench: &Bench) -> Result<(), Failure> {
    let client = Leaf::client("authority").with_ca_flag().issued_by(&pki::standard().root);
    refused(bench, &client, ClientAuth::Required(root()), Reason::CaUsedAsEndEntity)?;
    Ok(())
}

fn missing_intermediate(bench: &Bench) -> Result<(), Failure> {
    let client = pki::standard().client.clone().without_intermediates();
    refused(bench, &client, ClientAuth::Required(root()), Reason::UnknownIssuer)?;
    Ok(())
}

fn accepted(bench: &Bench, client: &Credential) -> Result<(), Failure> {
    let server = asking(bench, ClientAuth::Required(root()))?;
    bench.connects(&presenting(bench, client)?, &server)?;
    Ok(())
}

/// Under the root, as what [`pki::standard`] has.
fn issued(authority: pki::AuthoritySpec) -> std::sync::Arc<Authority> {
    authority.issued_by(&pki::standard().root)
}

fn excluded_name_by_wildcard(bench: &Bench) -> Result<(), Failure> {
    let narrow = issued(Authority::named("Narrow").excluding(pki::NAME));
    let client = Leaf::client("c").dns("*.polytls.test").issued_by(&narrow);
    refused(bench, &client, ClientAuth::Required(root()), Reason::NameConstraints)?;
    Ok(())
}

fn common_name_is_no_name(bench: &Bench) -> Result<(), Failure> {
    let narrow = issued(Authority::named("Narrow").permitting("polytls.test"));
    accepted(bench, &Leaf::client("www.other.test").issued_by(&narrow))
}

fn too_long_chain(bench: &Bench) -> Result<(), Failure> {
    let under = |intermediates: usize| {
        let root = pki::standard().root.clone();
        let last = (0..intermediates).fold(root, |issuer, number| {
            Authority::named(&format!("Number {number}")).issued_by(&issuer)
        });
        Leaf::client("c").issued_by(&last)
    };
    accepted(bench, &under(6))?;
    refused(bench, &under(7), ClientAuth::Required(root()), Reason::PathTooLong)?;
    Ok(())
}

/// Each certificate is short enough, all of them together are not.
fn huge_chain(bench: &Bench) -> Result<(), Failure> {
    const PADDING: &[u64] = &[1, 3, 6, 1, 4, 1, 55738, 666, 2];
    let root = &pki::standard().root;
    let padded = || Leaf::client("c").extension(PADDING, &[0; 30_000]).issued_by(root);
    let two = padded().and(padded().leaf());
    accepted(bench, &two)?;
    let client = presenting(bench, &two.and(padded().leaf()))?;
    let server = asking(bench, ClientAuth::Required(self::root()))?;
    expect_kind(bench.verdict(&client, &server)?.server, ErrorKind::Protocol)?;
    Ok(())
}

fn issuer_with_another_key(bench: &Bench) -> Result<(), Failure> {
    let anew = Authority::named(pki::standard().root.name()).root();
    let client = Leaf::client("c").issued_by(&anew);
    refused(bench, &client, ClientAuth::Required(root()), Reason::UnknownIssuer)?;
    Ok(())
}

fn self_issued_is_not_counted(bench: &Bench) -> Result<(), Failure> {
    let last = issued(Authority::named("Last").path_length(0));
    let renewed = Authority::named("Last").path_length(0).issued_by(&last);
    accepted(bench, &Leaf::client("c").issued_by(&renewed))
}

fn self_issued_is_not_constrained(bench: &Bench) -> Result<(), Failure> {
    let narrow = issued(Authority::named("Narrow").permitting("polytls.test"));
    let renewed = Authority::named("Narrow").dns("ca.other.test").issued_by(&narrow);
    accepted(bench, &Leaf::client("c").issued_by(&renewed))
}

fn permitted_subject(bench: &Bench) -> Result<(), Failure> {
    let narrow = |name| issued(Authority::named("Narrow").permitting_common_name(name));
    let other = Leaf::client("c").issued_by(&narrow("other"));
    refused(bench, &other, ClientAuth::Required(root()), Reason::NameConstraints)?;
    accepted(bench, &Leaf::client("c").issued_by(&narrow("c")))
}

fn other_path_to_trust(bench: &Bench) -> Result<(), Failure> {
    let astray = Authority::named("Twice").issued_by(&pki::standard().stranger);
    let good = issued(Authority::named("Twice").with_key_of(&astray));
    accepted(bench, &Leaf::client("c").issued_by(&astray).and(good.der()))
}

fn other_path_without_constraint(bench: &Bench) -> Result<(), Failure> {
    let narrow = issued(Authority::named("Narrow").excluding("polytls.test"));
    let astray = Authority::named("Twice").issued_by(&narrow);
    let good = issued(Authority::named("Twice").with_key_of(&astray));
    let client = Leaf::client("c").dns("c.polytls.test").issued_by(&astray);
    accepted(bench, &client.and(good.der()))
}

fn every_key_algorithm(bench: &Bench) -> Result<(), Failure> {
    let server = asking(bench, ClientAuth::Required(root()))?;
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::Ed25519, Algorithm::Rsa2048] {
        let client = Leaf::client("c").algorithm(algorithm).issued_by(&pki::standard().root);
        bench
            .connects(&presenting(bench, &client)?, &server)
            .map_err(|failure| failure.at(format_args!("{algorithm:?}")))?;
    }
    Ok(())
}

/// Said when the context is built, not when the first client comes.
fn server_without_usable_roots(bench: &Bench) -> Result<(), Failure> {
    use polytls::TrustReason;
    let none = bench.server().client_auth(ClientAuth::Required(polytls::Trust::Only(Vec::new())));
    expect_kind(none.build(), ErrorKind::Trust(TrustReason::NoRoots))?;
    let old = trust_only(Authority::named("Old").expired().root().der());
    let old = bench.server().client_auth(ClientAuth::Optional(old));
    expect_kind(old.build(), ErrorKind::Trust(TrustReason::BadAnchor))?;
    Ok(())
}
