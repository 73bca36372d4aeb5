//! Names: what people write, what is verified, what is sent.

use std::net::{IpAddr, Ipv6Addr};

use polytls::contract::observe::{ClientHello, Observer, Side};
use polytls::{
    ErrorKind, ServerName, StreamSocket, UpgradeOptions, Verification, ssl_client_upgrade,
};

use crate::pki::{self, Leaf, NAME};
use crate::transport::{Delivery, pipe};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

pub(super) const CASES: &[Case] = &[
    Case::new("name::trailing_dot", trailing_dot).one_of_each(),
    Case::new("name::upper_case", upper_case).one_of_each(),
    Case::new("name::upper_case_in_the_certificate", upper_case_in_the_certificate).in_memory(),
    Case::new("name::brackets_and_zone", brackets_and_zone).one_of_each(),
    Case::new("name::underscore", underscore).one_of_each(),
    Case::new("name::one_label", one_label).in_memory(),
    Case::new("name::longest", longest).in_memory(),
    Case::new("name::is_sent_in_lower_case_without_dot", is_sent).each_client().no_transport(),
    Case::new("name::ip_address_is_not_sent", ip_address_is_not_sent)
        .holds(&["C1"])
        .each_client()
        .no_transport(),
    Case::new("name::unusable_names_are_refused", unusable_names_are_refused)
        .each_client()
        .any_version()
        .no_transport(),
    Case::new("name::unusable_names_are_refused_without_verification", refused_all_the_same)
        .each_client()
        .any_version()
        .no_transport(),
];

fn connects_to(bench: &Bench, name: &str, leaf: Leaf) -> Result<(), Failure> {
    let server = bench.server_with(&leaf.issued_by(&pki::standard().root)).build()?;
    bench
        .connects_to(name, &bench.client().build()?, &server)
        .map_err(|failure| failure.at(format_args!("{name:?}")))?;
    Ok(())
}

fn trailing_dot(bench: &Bench) -> Result<(), Failure> {
    connects_to(bench, &format!("{NAME}."), Leaf::server())
}

fn upper_case(bench: &Bench) -> Result<(), Failure> {
    connects_to(bench, &NAME.to_uppercase(), Leaf::server())
}

fn upper_case_in_the_certificate(bench: &Bench) -> Result<(), Failure> {
    connects_to(bench, NAME, Leaf::for_name(&NAME.to_uppercase()))
}

fn brackets_and_zone(bench: &Bench) -> Result<(), Failure> {
    let leaf = Leaf::unnamed().ip(IpAddr::V6(Ipv6Addr::LOCALHOST)).ip("fe80::1".parse().unwrap());
    for name in ["::1", "[::1]", "[fe80::1%eth0]", "fe80::1%25eth0", "0:0:0:0:0:0:0:1"] {
        connects_to(bench, name, leaf.clone())?;
    }
    Ok(())
}

fn underscore(bench: &Bench) -> Result<(), Failure> {
    connects_to(bench, "my_host.polytls.test", Leaf::for_name("my_host.polytls.test"))
}

fn one_label(bench: &Bench) -> Result<(), Failure> {
    connects_to(bench, "localhost", Leaf::for_name("localhost"))
}

fn longest(bench: &Bench) -> Result<(), Failure> {
    let label = "a".repeat(63);
    let name = [&label[..], &label, &label, &"b".repeat(61)].join(".");
    connects_to(bench, &name, Leaf::for_name(&name))
}

fn is_sent(bench: &Bench) -> Result<(), Failure> {
    let hello = hello_for(bench, "Server.PolyTLS.test.")?;
    ensure_eq!(hello.server_name.as_deref(), Some(NAME));
    Ok(())
}

/// RFC 6066, section 3: literals are not permitted; servers answer with a fatal alert (reqwest#1328).
fn ip_address_is_not_sent(bench: &Bench) -> Result<(), Failure> {
    for address in ["127.0.0.1", "::1", "[::1]"] {
        ensure_eq!(hello_for(bench, address)?.server_name, None);
    }
    Ok(())
}

/// What a client of the row's backend says first, when it is asked for a server of this name.
fn hello_for(bench: &Bench, name: &str) -> Result<ClientHello, Failure> {
    let context = bench.client().build()?;
    let (near, far) = pipe(Delivery::Whole);
    let sent = near.outgoing();
    // The peer takes everything and answers nothing.
    far.shutdown(std::net::Shutdown::Write)?;
    let outcome = ssl_client_upgrade(near, name, UpgradeOptions::new().context(context));
    ensure!(outcome.is_err(), "connected to nobody");
    let mut observer = Observer::new(Side::Server);
    observer.incoming(&sent.passed());
    observer.client_hello().ok_or_else(|| Failure::new("no ClientHello was sent"))
}

const UNUSABLE: &[&str] = &[
    "",
    ".",
    "b\u{fc}cher.example",
    "exa mple.test",
    "a..b",
    "*.polytls.test",
    "polytls.test:443",
    "a\0b.test",
    "[127.0.0.1]",
    "[::1",
    "-\u{200b}",
];

fn unusable_names_are_refused(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().build()?;
    for name in UNUSABLE {
        expect_kind(ServerName::parse(name), ErrorKind::ServerName)
            .map_err(|failure| failure.at(format_args!("{name:?}")))?;
        let (near, far) = pipe(Delivery::Whole);
        let options = UpgradeOptions::new().context(context.clone());
        let error = expect_kind(ssl_client_upgrade(near, name, options), ErrorKind::ServerName)
            .map_err(|failure| failure.at(format_args!("{name:?}")))?;
        ensure!(!error.to_string().contains('\n'), "{error}");
        ensure!(far.incoming().passed().is_empty(), "something was sent for {name:?}");
    }
    Ok(())
}

/// Not verifying is no licence to send what cannot be a name.
fn refused_all_the_same(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().danger_verification(Verification::Nothing).build()?;
    for name in UNUSABLE {
        let (near, _far) = pipe(Delivery::Whole);
        let options = UpgradeOptions::new().context(context.clone());
        expect_kind(ssl_client_upgrade(near, name, options), ErrorKind::ServerName)
            .map_err(|failure| failure.at(format_args!("{name:?}")))?;
    }
    Ok(())
}
