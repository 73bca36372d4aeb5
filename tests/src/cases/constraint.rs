//! Name constraints of the authorities above a server (RFC 5280, section 4.2.1.10).

use polytls::{Capability, CertificateReason as Reason, Verification};

use super::verification::{accepted, case, refused, root};
use crate::pki::{self, Authority, Leaf, NAME};
use crate::{Bench, Case, Failure};

pub(super) const CASES: &[Case] = &[
    case("constraint::permitted_names_only", permitted_names_only),
    case("constraint::excluded_name", excluded_name),
    case("constraint::permitted_name", permitted_name),
    case("constraint::malformed_permission", malformed_permission),
    case("constraint::malformed_exclusion", malformed_exclusion).each_client(),
    case("constraint::network_with_a_gap", network_with_a_gap).each_client(),
    case("constraint::too_many", too_many).each_client(),
    case("constraint::address_that_is_none", address_that_is_none).each_client(),
    case("constraint::excluded_name_by_wildcard", excluded_name_by_wildcard).each_client(),
    case("constraint::name_that_is_none", name_that_is_none).each_client(),
    case("constraint::common_name_is_no_name", common_name_is_no_name).each_client(),
    case("constraint::permitted_subject", permitted_subject).each_client(),
    case("constraint::permitted_uri", permitted_uri).each_client(),
    case("constraint::permitted_mail", permitted_mail).each_client(),
];

fn permitted_names_only(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting("other.test").issued_by(root());
    let server = Leaf::for_name(NAME).issued_by(&narrow);
    refused(bench, &server, Reason::NameConstraints)?;
    Ok(())
}

fn excluded_name(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").excluding("polytls.test").issued_by(root());
    let server = Leaf::for_name(NAME).issued_by(&narrow);
    refused(bench, &server, Reason::NameConstraints)?;
    Ok(())
}

fn permitted_name(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting("polytls.test").issued_by(root());
    accepted(bench, NAME, &Leaf::for_name(NAME).issued_by(&narrow))
}

/// A wildcard has no place in a constraint.
fn malformed_permission(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting("*.polytls.test").issued_by(root());
    refused(bench, &Leaf::for_name(NAME).issued_by(&narrow), Reason::NameConstraints)?;
    Ok(())
}

/// As above, where nothing would be excluded if nobody looked.
fn malformed_exclusion(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").excluding("*.polytls.test").issued_by(root());
    refused(bench, &Leaf::for_name(NAME).issued_by(&narrow), Reason::NameConstraints)?;
    Ok(())
}

/// RFC 5280, section 4.2.1.10: a mask as in RFC 4632.
fn network_with_a_gap(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting_network([127, 0, 0, 1], [255, 0, 0, 255]);
    let server = Leaf::server().issued_by(&narrow.issued_by(root()));
    refused(bench, &server, Reason::BadEncoding)?;
    Ok(())
}

/// Comparing each name to each constraint is bounded by every library.
fn too_many(bench: &Bench) -> Result<(), Failure> {
    const MANY: usize = 1_100;
    let name = |number| format!("{number}.other.test");
    let narrow = (0..MANY).fold(Authority::named("Narrow"), |it, n| it.excluding(&name(n)));
    let narrow = narrow.issued_by(root());
    let server = (MANY..2 * MANY).fold(Leaf::server(), |it, number| it.dns(&name(number)));
    refused(bench, &server.issued_by(&narrow), Reason::Other)?;
    Ok(())
}

/// Five bytes are no address, so nobody can say that it is permitted.
fn address_that_is_none(bench: &Bench) -> Result<(), Failure> {
    let server = || Leaf::for_name(NAME).malformed_address();
    accepted(bench, NAME, &server().issued_by(root()))?;
    let narrow = Authority::named("Narrow")
        .permitting_network([127, 0, 0, 0], [255, 0, 0, 0])
        .issued_by(root());
    refused(bench, &server().issued_by(&narrow), Reason::BadEncoding)?;
    Ok(())
}

/// Go's CVE-2025-61727: what a wildcard stands for is excluded, though the wildcard is not.
fn excluded_name_by_wildcard(bench: &Bench) -> Result<(), Failure> {
    let other = Authority::named("Narrow").excluding("deep.other.polytls.test").issued_by(root());
    accepted(bench, NAME, &Leaf::for_name("*.polytls.test").issued_by(&other))?;
    let narrow = Authority::named("Narrow").excluding(NAME).issued_by(root());
    let server = Leaf::for_name("*.polytls.test").issued_by(&narrow);
    refused(bench, &server, Reason::NameConstraints)?;
    Ok(())
}

/// Nobody can say of such a name that it is permitted.
fn name_that_is_none(bench: &Bench) -> Result<(), Failure> {
    let server = || Leaf::for_name(NAME).dns(".polytls.test");
    accepted(bench, NAME, &server().issued_by(root()))?;
    let narrow = Authority::named("Narrow").permitting("polytls.test").issued_by(root());
    refused(bench, &server().issued_by(&narrow), Reason::BadEncoding)?;
    Ok(())
}

/// A common name is no name of a server, so constraints for DNS names are not about it.
fn common_name_is_no_name(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").permitting("polytls.test").issued_by(root());
    let server = Leaf::unnamed().common_name("www.other.test").ip(pki::ADDRESS).issued_by(&narrow);
    let context = bench.server_with(&server).build()?;
    bench.connects_to("127.0.0.1", &bench.client().build()?, &context)?;
    if bench.client_can(Capability::SkipHostname) {
        let client = bench.client().danger_verification(Verification::SkipHostname);
        bench.connects_to("127.0.0.1", &client.build()?, &context)?;
    }
    Ok(())
}

/// Constraints for the subject are kept.
fn permitted_subject(bench: &Bench) -> Result<(), Failure> {
    let narrow = |name| Authority::named("Narrow").permitting_common_name(name).issued_by(root());
    refused(bench, &Leaf::server().issued_by(&narrow("other")), Reason::NameConstraints)?;
    accepted(bench, NAME, &Leaf::server().issued_by(&narrow("suite server")))
}

/// Constraints for URIs, as workloads have them (SPIFFE), are kept.
fn permitted_uri(bench: &Bench) -> Result<(), Failure> {
    let server = || Leaf::server().uri("spiffe://polytls.test/server");
    let other = Authority::named("Narrow").permitting_uri("other.test").issued_by(root());
    refused(bench, &server().issued_by(&other), Reason::NameConstraints)?;
    let narrow = Authority::named("Narrow").permitting_uri("polytls.test").issued_by(root());
    accepted(bench, NAME, &server().issued_by(&narrow))
}

/// Constraints for mail addresses are kept.
fn permitted_mail(bench: &Bench) -> Result<(), Failure> {
    let server = || Leaf::server().mail("server@polytls.test");
    let other = Authority::named("Narrow").permitting_mail("other.test").issued_by(root());
    refused(bench, &server().issued_by(&other), Reason::NameConstraints)?;
    let narrow = Authority::named("Narrow").permitting_mail("polytls.test").issued_by(root());
    accepted(bench, NAME, &server().issued_by(&narrow))
}
