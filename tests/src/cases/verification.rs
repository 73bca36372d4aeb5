//! What a client refuses of a server's certificate, and with which reason.
//!
//! Every certificate here has exactly one fault, since the libraries look in different orders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use polytls::{Capability, CertificateReason as Reason, ClientContext, Error, ErrorKind};

use crate::pki::{self, Algorithm, Authority, Credential, Leaf, NAME, Unusable};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, ensure, ensure_eq};

/// Where a verdict is the same however the bytes come, two transports are enough.
pub(super) const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).transports(&[Transport::Whole, Transport::Tokio])
}

pub(super) const CASES: &[Case] = &[
    case("verification::unknown_ca", unknown_ca),
    case("verification::expired", expired),
    case("verification::not_yet_valid", not_yet_valid),
    case("verification::wrong_name", wrong_name),
    case("verification::wrong_usage", wrong_usage),
    case("verification::leaf_without_signing", leaf_without_signing).each_client(),
    case("verification::ca_as_leaf", ca_as_leaf),
    case("verification::trusted_ca_as_leaf", trusted_ca_as_leaf),
    case("verification::ca_as_leaf_without_signing", ca_as_leaf_without_signing).each_client(),
    case("verification::extension_that_stands_twice", extension_that_stands_twice).each_client(),
    case("verification::known_extension_that_stands_twice", known_extension_that_stands_twice)
        .each_client(),
    case("verification::malformed_names", malformed_names).each_client(),
    case("verification::no_subject_alternative_name", no_subject_alternative_name),
    case("verification::ip_address", ip_address),
    case("verification::other_ip_address", other_ip_address),
    case("verification::ip_address_as_dns_name", ip_address_as_dns_name),
    case("verification::wildcard", wildcard),
    case("verification::wildcard_stands_for_one_label", wildcard_stands_for_one_label),
    case("verification::wildcard_and_underscore", wildcard_and_underscore),
    case("verification::partial_wildcard", partial_wildcard),
    case("verification::missing_intermediate", missing_intermediate),
    case("verification::self_signed", self_signed),
    case("verification::trusted_self_signed", trusted_self_signed),
    case("verification::self_signed_vouches_for_itself_only", self_signed_vouches_for_itself_only),
    case("verification::longer_chain", longer_chain),
    case("verification::longest_chain", longest_chain),
    case("verification::too_long_chain", too_long_chain).each_client(),
    case("verification::huge_leaf", huge_leaf).each_client(),
    case("verification::huge_chain", huge_chain).each_client(),
    case("verification::chain_in_order", chain_in_order),
    case("verification::duplicate_leaf_is_sent_once", duplicate_leaf_is_sent_once)
        .client_needs(Capability::PeerChain),
    case("verification::expired_intermediate", expired_intermediate),
    case("verification::intermediate_without_ca_flag", intermediate_without_ca_flag),
    case("verification::intermediate_for_clients_only", intermediate_for_clients_only),
    case("verification::intermediate_with_weak_key", intermediate_with_weak_key).each_client(),
    case("verification::intermediate_with_dsa_key", intermediate_with_dsa_key).each_client(),
    case("verification::intermediate_with_malformed_key", intermediate_with_malformed_key)
        .each_client(),
    case("verification::path_too_long", path_too_long),
    case("verification::self_issued_is_not_counted", self_issued_is_not_counted).each_client(),
    case("verification::self_issued_is_not_constrained", self_issued_is_not_constrained)
        .each_client(),
    case("verification::other_path_to_trust", other_path_to_trust).each_client(),
    case("verification::other_path_without_constraint", other_path_without_constraint)
        .each_client(),
    case("verification::issuer_with_another_key", issuer_with_another_key),
    case("verification::bad_signature", bad_signature),
    case("verification::usages_not_stated", usages_not_stated),
    case("verification::every_key_algorithm", every_key_algorithm),
];

/// The client refuses this server for this reason, and the server learns that it did.
fn refused_for(
    bench: &Bench,
    name: &str,
    client: &ClientContext,
    server: &Credential,
    reason: Reason,
) -> Result<Error, Failure> {
    let verdict = bench.verdict_for(name, client, &bench.server_with(server).build()?)?;
    ensure!(verdict.server.is_err(), "the server takes a refused connection for a good one");
    judge(verdict.client, reason)
}

fn judge<T>(outcome: Result<T, Error>, reason: Reason) -> Result<Error, Failure> {
    let error = crate::expect_kind(outcome, ErrorKind::Certificate(reason))?;
    ensure_eq!(error.certificate_reason(), Some(reason));
    ensure!(error.is_ssl_error(), "{error:?}");
    Ok(error)
}

pub(super) fn refused(
    bench: &Bench,
    server: &Credential,
    reason: Reason,
) -> Result<Error, Failure> {
    refused_for(bench, NAME, &bench.client().build()?, server, reason)
}

pub(super) fn accepted(bench: &Bench, name: &str, server: &Credential) -> Result<(), Failure> {
    let server = bench.server_with(server).build()?;
    bench.connects_to(name, &bench.client().build()?, &server)?;
    Ok(())
}

/// Whether a refused certificate's details are told, as the capability table says.
fn details_are_told(bench: &Bench) -> bool {
    use polytls::ProtocolVersion::Tls12;
    let capability = match bench.version() {
        Tls12 => Capability::CertificateDetailsTls12,
        _ => Capability::CertificateDetailsTls13,
    };
    bench.client_can(capability)
}

pub(super) fn root() -> &'static Authority {
    &pki::standard().root
}

fn intermediate() -> &'static Authority {
    &pki::standard().intermediate
}

fn unknown_ca(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().issued_by(&pki::standard().stranger);
    let error = refused(bench, &server, Reason::UnknownIssuer)?;
    if details_are_told(bench) {
        ensure!(error.to_string().contains("Stranger Root"), "{error}");
    }
    Ok(())
}

fn expired(bench: &Bench) -> Result<(), Failure> {
    let error = refused(bench, &Leaf::server().expired().issued_by(root()), Reason::Expired)?;
    if details_are_told(bench) {
        let details = error.certificate_details().map(|details| details.validity.is_over());
        ensure_eq!(details, Some(true));
        ensure!(error.to_string().contains(" days ago"), "{error}");
    }
    Ok(())
}

fn not_yet_valid(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().not_yet_valid().issued_by(root());
    let error = refused(bench, &server, Reason::NotYetValid)?;
    ensure!(error.to_string().contains("clock"), "{error}");
    Ok(())
}

fn wrong_name(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::for_name("other.polytls.test").issued_by(intermediate());
    let error = refused(bench, &server, Reason::NameMismatch)?;
    if details_are_told(bench) {
        let names = error.certificate_details().map(|details| details.names.clone());
        ensure_eq!(names, Some(vec!["other.polytls.test".to_owned()]));
        ensure!(error.to_string().contains(NAME), "{error}");
    }
    Ok(())
}

fn wrong_usage(bench: &Bench) -> Result<(), Failure> {
    refused(bench, &Leaf::server().for_clients_only().issued_by(root()), Reason::WrongUsage)?;
    Ok(())
}

fn leaf_without_signing(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().without_signing().issued_by(root());
    refused_from_whoever_serves_it(bench, &server, Reason::WrongUsage)
}

/// Not every library serves with such a chain, so the server is one that does.
fn refused_from_whoever_serves_it(
    bench: &Bench,
    server: &Credential,
    reason: Reason,
) -> Result<(), Failure> {
    let client = bench.client().build()?;
    let mut last = None;
    for backend in bench.backends() {
        let Ok(server) = bench.server_with(server).backend(*backend).build() else { continue };
        let outcome = bench.verdict(&client, &server)?.client;
        match outcome.as_ref().map_err(Error::kind) {
            Ok(_) | Err(ErrorKind::Certificate(_)) => return judge(outcome, reason).map(drop),
            Err(_) => last = outcome.err(),
        }
    }
    Err(Failure::new(format!("no backend serves with it; the last client: {last:?}")))
}

fn ca_as_leaf(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().with_ca_flag().issued_by(root());
    let error = refused(bench, &server, Reason::CaUsedAsEndEntity)?;
    ensure!(error.to_string().contains("CA:FALSE"), "no hint: {error}");
    Ok(())
}

/// What an authority's certificate is as a rule: only for signing others. Of its two faults, the one
/// with the hint is told.
fn ca_as_leaf_without_signing(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().without_usages().with_ca_flag().issued_by(root());
    refused_from_whoever_serves_it(bench, &server, Reason::CaUsedAsEndEntity)
}

/// RFC 5280, section 4.2.
fn extension_that_stands_twice(bench: &Bench) -> Result<(), Failure> {
    const OID: &[u64] = &[1, 3, 6, 1, 4, 1, 55738, 666, 1];
    let server = Leaf::server().extension(OID, NULL).extension(OID, NULL).issued_by(root());
    refused(bench, &server, Reason::BadEncoding)?;
    Ok(())
}

/// The same, of an extension that every library reads.
fn known_extension_that_stands_twice(bench: &Bench) -> Result<(), Failure> {
    const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
    const NO_NAME: &[u8] = &[0x30, 0];
    let server = Leaf::server().extension(SUBJECT_ALT_NAME, NO_NAME).issued_by(root());
    refused_from_whoever_serves_it(bench, &server, Reason::BadEncoding)
}

/// A subjectAltName that is not a sequence of names, two with a name that is none, since an X.400
/// address and a directoryName are structures, and one with a name of a kind that does not exist.
fn malformed_names(bench: &Bench) -> Result<(), Failure> {
    const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
    let of_kind = |tag| [0x30, 3, tag, 1, b'x'];
    for content in [NAME.as_bytes(), &of_kind(0x83), &of_kind(0x84), &of_kind(0x8a)] {
        let server = Leaf::unnamed().extension(SUBJECT_ALT_NAME, content).issued_by(root());
        refused_from_whoever_serves_it(bench, &server, Reason::BadEncoding)?;
    }
    Ok(())
}

/// An extension's content that says nothing.
const NULL: &[u8] = &[5, 0];

/// What `openssl req -x509` makes, trusted by name (reqwest#2041).
fn trusted_ca_as_leaf(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().with_ca_flag().self_signed();
    let client = bench.client_with(crate::bench::trust_only(server.leaf())).build()?;
    refused_for(bench, NAME, &client, &server, Reason::CaUsedAsEndEntity)?;
    Ok(())
}

fn no_subject_alternative_name(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::unnamed().common_name(NAME).issued_by(root());
    let error = refused(bench, &server, Reason::NameMismatch)?;
    if details_are_told(bench) {
        ensure!(error.to_string().contains("subjectAltName"), "{error}");
    }
    Ok(())
}

fn ip_address(bench: &Bench) -> Result<(), Failure> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let server = Leaf::unnamed().ip(v4).ip(v6).issued_by(root());
    accepted(bench, "192.0.2.7", &server)?;
    accepted(bench, "::1", &server)
}

fn other_ip_address(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().issued_by(root());
    let client = bench.client().build()?;
    refused_for(bench, "192.0.2.7", &client, &server, Reason::NameMismatch)?;
    Ok(())
}

/// An address matches an iPAddress entry only, never a dNSName that looks like one.
fn ip_address_as_dns_name(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::for_name("192.0.2.7").common_name("192.0.2.7").issued_by(root());
    let client = bench.client().build()?;
    refused_for(bench, "192.0.2.7", &client, &server, Reason::NameMismatch)?;
    Ok(())
}

fn wildcard(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::for_name("*.polytls.test").issued_by(root());
    accepted(bench, NAME, &server)?;
    accepted(bench, "a-1.polytls.test", &server)
}

fn wildcard_stands_for_one_label(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::for_name("*.polytls.test").issued_by(root());
    let client = bench.client().build()?;
    for name in ["polytls.test", "a.b.polytls.test"] {
        refused_for(bench, name, &client, &server, Reason::NameMismatch)?;
    }
    Ok(())
}

/// The libraries disagree here: a wildcard stands for letters, digits and hyphens.
fn wildcard_and_underscore(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    let wild = Leaf::for_name("*.polytls.test").issued_by(root());
    refused_for(bench, "foo_bar.polytls.test", &client, &wild, Reason::NameMismatch)?;
    let exact = Leaf::for_name("foo_bar.polytls.test").issued_by(root());
    accepted(bench, "foo_bar.polytls.test", &exact)
}

fn partial_wildcard(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().build()?;
    for pattern in ["s*.polytls.test", "*r.polytls.test", "server.*.test"] {
        let server = Leaf::for_name(pattern).issued_by(root());
        refused_for(bench, NAME, &client, &server, Reason::NameMismatch)
            .map_err(|failure| failure.at(pattern))?;
    }
    Ok(())
}

/// UnknownIssuer though the browser is happy (rustls#352): the error says what may be missing.
fn missing_intermediate(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().issued_by(intermediate()).without_intermediates();
    let error = refused(bench, &server, Reason::UnknownIssuer)?;
    if details_are_told(bench) && bench.client_can(Capability::PeerChain) {
        ensure!(error.to_string().contains("no intermediate"), "no hint: {error}");
    }
    Ok(())
}

fn self_signed(bench: &Bench) -> Result<(), Failure> {
    let error = refused(bench, &Leaf::server().self_signed(), Reason::UnknownIssuer)?;
    if details_are_told(bench) {
        ensure!(error.to_string().contains("self-signed"), "no hint: {error}");
    }
    Ok(())
}

fn trusted_self_signed(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().self_signed();
    let client = bench.client_with(crate::bench::trust_only(server.leaf())).build()?;
    bench.connects(&client, &bench.server_with(&server).build()?)?;
    let other = Leaf::for_name("other.polytls.test").self_signed();
    let client = bench.client_with(crate::bench::trust_only(other.leaf())).build()?;
    refused_for(bench, NAME, &client, &other, Reason::NameMismatch)?;
    Ok(())
}

fn self_signed_vouches_for_itself_only(bench: &Bench) -> Result<(), Failure> {
    let trusted = Authority::named("Lone").without_ca_flag().root();
    let client = bench.client_trusting(&trusted).build()?;
    let server = Leaf::server().issued_by(&trusted);
    let outcome = bench.verdict(&client, &bench.server_with(&server).build()?)?;
    judge(outcome.client, Reason::UnknownIssuer)?;
    Ok(())
}

fn longer_chain(bench: &Bench) -> Result<(), Failure> {
    let one = Authority::named("One").issued_by(root());
    let two = Authority::named("Two").issued_by(&one);
    accepted(bench, NAME, &Leaf::server().issued_by(&two))
}

/// Under this many authorities, each issued by the one before, the first by the root.
fn under(intermediates: usize) -> Credential {
    let last = (0..intermediates).fold(pki::standard().root.clone(), |issuer, number| {
        Authority::named(&format!("Number {number}")).issued_by(&issuer)
    });
    Leaf::server().issued_by(&last)
}

fn longest_chain(bench: &Bench) -> Result<(), Failure> {
    accepted(bench, NAME, &under(6))
}

fn too_long_chain(bench: &Bench) -> Result<(), Failure> {
    refused(bench, &under(7), Reason::PathTooLong)?;
    Ok(())
}

/// An extension that nobody knows, and whose content fills this many bytes.
const PADDING: &[u64] = &[1, 3, 6, 1, 4, 1, 55738, 666, 2];

fn huge_leaf(bench: &Bench) -> Result<(), Failure> {
    let server = |length| Leaf::server().extension(PADDING, &vec![0; length]).issued_by(root());
    accepted(bench, NAME, &server(60_000))?;
    refused_as_too_long(bench, &server(70_000))
}

fn huge_chain(bench: &Bench) -> Result<(), Failure> {
    let padded = || Leaf::server().extension(PADDING, &[0; 30_000]).issued_by(root());
    let two = padded().and(padded().leaf());
    accepted(bench, NAME, &two)?;
    refused_as_too_long(bench, &two.and(padded().leaf()))
}

fn refused_as_too_long(bench: &Bench, server: &Credential) -> Result<(), Failure> {
    let server = bench.server_with(server).build()?;
    let verdict = bench.verdict(&bench.client().build()?, &server)?;
    crate::expect_kind(verdict.client, ErrorKind::Protocol)?;
    Ok(())
}

/// Leaf first, each certified by the next, the root left out: read from the client's report.
fn chain_in_order(bench: &Bench) -> Result<(), Failure> {
    let one = Authority::named("One").issued_by(root());
    let server = Leaf::server().issued_by(&Authority::named("Two").issued_by(&one));
    let context = bench.server_with(&server).build()?;
    let (near, _) = bench.connects(&bench.client().build()?, &context)?;
    let told: Vec<_> = near.peer_certificates.iter().map(|c| c.der().to_vec()).collect();
    let expected = match bench.client_can(Capability::PeerChain) {
        true => server.chain.as_slice(),
        false => &server.chain[..1],
    };
    ensure_eq!(told, expected);
    Ok(())
}

fn duplicate_leaf_is_sent_once(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().issued_by(intermediate());
    let twice = server.clone().and(server.leaf());
    let context = bench.server_with(&twice).build()?;
    let (near, _) = bench.connects(&bench.client().build()?, &context)?;
    let told: Vec<_> = near.peer_certificates.iter().map(|c| c.der().to_vec()).collect();
    ensure_eq!(told, server.chain);
    Ok(())
}

fn expired_intermediate(bench: &Bench) -> Result<(), Failure> {
    let old = Authority::named("Old").expired().issued_by(root());
    refused(bench, &Leaf::server().issued_by(&old), Reason::Expired)?;
    Ok(())
}

fn intermediate_without_ca_flag(bench: &Bench) -> Result<(), Failure> {
    let no_ca = Authority::named("No CA").without_ca_flag().issued_by(root());
    refused(bench, &Leaf::server().issued_by(&no_ca), Reason::UnknownIssuer)?;
    Ok(())
}

fn intermediate_for_clients_only(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").for_clients_only().issued_by(root());
    refused(bench, &Leaf::server().issued_by(&narrow), Reason::WrongUsage)?;
    Ok(())
}

fn intermediate_with_weak_key(bench: &Bench) -> Result<(), Failure> {
    let weak = Authority::named("Weak").unusable(Unusable::Rsa1024).issued_by(root());
    let server = Leaf::server().issued_by(&weak);
    refused_from_whoever_serves_it(bench, &server, Reason::UnsupportedAlgorithm)
}

fn intermediate_with_dsa_key(bench: &Bench) -> Result<(), Failure> {
    let old = Authority::named("Last Century").unusable(Unusable::Dsa).issued_by(root());
    let server = Leaf::server().issued_by(&old);
    refused_from_whoever_serves_it(bench, &server, Reason::UnsupportedAlgorithm)
}

fn intermediate_with_malformed_key(bench: &Bench) -> Result<(), Failure> {
    let keyless = Authority::named("Keyless").unusable(Unusable::Malformed).issued_by(root());
    let server = Leaf::server().issued_by(&keyless);
    refused_from_whoever_serves_it(bench, &server, Reason::UnknownIssuer)
}

/// RFC 5280, section 4.2.1.9: an authority that changes its key certifies itself.
fn self_issued_is_not_counted(bench: &Bench) -> Result<(), Failure> {
    let last = Authority::named("Last").path_length(0).issued_by(root());
    let renewed = Authority::named("Last").path_length(0).issued_by(&last);
    accepted(bench, NAME, &Leaf::server().issued_by(&renewed))
}

/// RFC 5280, section 4.2.1.10.
fn self_issued_is_not_constrained(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting("polytls.test").issued_by(root());
    let renewed = Authority::named("Narrow").dns("ca.other.test").issued_by(&narrow);
    accepted(bench, NAME, &Leaf::for_name(NAME).issued_by(&renewed))
}

/// A leaf whose issuer has two certificates: the first leads nowhere, the second to the root.
fn other_path_to_trust(bench: &Bench) -> Result<(), Failure> {
    let astray = Authority::named("Twice").issued_by(&pki::standard().stranger);
    let good = Authority::named("Twice").with_key_of(&astray).issued_by(root());
    accepted(bench, NAME, &Leaf::server().issued_by(&astray).and(good.der()))
}

/// The first leads to the root, but by an authority that is not for this name.
fn other_path_without_constraint(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").excluding("polytls.test").issued_by(root());
    let astray = Authority::named("Twice").issued_by(&narrow);
    let good = Authority::named("Twice").with_key_of(&astray).issued_by(root());
    accepted(bench, NAME, &Leaf::server().issued_by(&astray).and(good.der()))
}

/// An authority that was made anew under its old name: its certificates say by which key.
fn issuer_with_another_key(bench: &Bench) -> Result<(), Failure> {
    let anew = Authority::named(root().name()).root();
    refused(bench, &Leaf::server().issued_by(&anew), Reason::UnknownIssuer)?;
    Ok(())
}

fn path_too_long(bench: &Bench) -> Result<(), Failure> {
    let last = Authority::named("Last").path_length(0).issued_by(root());
    let below = Authority::named("Below").issued_by(&last);
    refused(bench, &Leaf::server().issued_by(&below), Reason::PathTooLong)?;
    accepted(bench, NAME, &Leaf::server().issued_by(&last))
}

fn bad_signature(bench: &Bench) -> Result<(), Failure> {
    let server = Leaf::server().with_bad_signature().issued_by(root());
    refused(bench, &server, Reason::BadSignature)?;
    Ok(())
}

/// Where no usage is stated, every one is allowed.
fn usages_not_stated(bench: &Bench) -> Result<(), Failure> {
    let plain = Authority::named("Plain").without_key_usage().root();
    let server = Leaf::server().without_usages().issued_by(&plain);
    let client = bench.client_trusting(&plain).build()?;
    bench.connects(&client, &bench.server_with(&server).build()?)?;
    Ok(())
}

fn every_key_algorithm(bench: &Bench) -> Result<(), Failure> {
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::Ed25519, Algorithm::Rsa2048] {
        let authority = Authority::named("Of its kind").algorithm(algorithm).root();
        let server = Leaf::server().algorithm(algorithm).issued_by(&authority);
        let client = bench.client_trusting(&authority).build()?;
        let server = bench.server_with(&server).build()?;
        bench.connects(&client, &server).map_err(|f| f.at(format_args!("{algorithm:?}")))?;
    }
    Ok(())
}
