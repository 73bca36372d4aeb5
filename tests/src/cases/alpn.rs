//! Application protocols (RFC 7301).

use polytls::contract::observe::{Observer, Side};
use polytls::{Alert, Capability, ErrorKind, UpgradeOptions, ssl_client_upgrade};

use crate::pki::NAME;
use crate::transport::{Delivery, Transport, pipe};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run)
        .transports(&[Transport::Whole, Transport::Bytewise, Transport::Tcp, Transport::Tokio])
        .client_needs(Capability::ClientAlpn)
        .server_needs(Capability::ServerAlpn)
}

pub(super) const CASES: &[Case] = &[
    case("alpn::server_preference", server_preference),
    case("alpn::only_one_in_common", only_one_in_common),
    case("alpn::nothing_in_common", nothing_in_common),
    case("alpn::client_offers_none", client_offers_none),
    case("alpn::longest_name", longest_name),
    Case::new("alpn::server_has_none", server_has_none)
        .one_of_each()
        .client_needs(Capability::ClientAlpn),
    Case::new("alpn::only_when_asked_for", only_when_asked_for).each_client().no_transport(),
    Case::new("alpn::unusable_names", unusable_names).any_version().no_transport(),
    Case::new("alpn::lists_as_they_are_written", lists_as_they_are_written)
        .in_memory()
        .client_needs(Capability::ClientAlpn)
        .server_needs(Capability::ServerAlpn),
];

fn agrees(
    bench: &Bench,
    offered: &[&str],
    served: &[&str],
    agreed: Option<&str>,
) -> Result<(), Failure> {
    let client = bench.client().alpn(offered.iter().copied()).build()?;
    let server = bench.server().alpn(served.iter().copied()).build()?;
    let (near, far) = bench.connects(&client, &server)?;
    let agreed = agreed.map(|name| name.as_bytes().to_vec());
    ensure_eq!(near.alpn, agreed);
    ensure_eq!(far.alpn, agreed);
    Ok(())
}

fn server_preference(bench: &Bench) -> Result<(), Failure> {
    agrees(bench, &["http/1.1", "h2", "x"], &["h2", "http/1.1"], Some("h2"))?;
    agrees(bench, &["h2", "http/1.1"], &["http/1.1", "h2"], Some("http/1.1"))
}

fn only_one_in_common(bench: &Bench) -> Result<(), Failure> {
    agrees(bench, &["a", "b", "http/1.1"], &["h2", "http/1.1"], Some("http/1.1"))
}

fn nothing_in_common(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().alpn(["imap"]).build()?;
    let server = bench.server().alpn(["h2", "http/1.1"]).build()?;
    let verdict = bench.verdict(&client, &server)?;
    let near = expect_kind(verdict.client, ErrorKind::NoCommonAlpn)
        .map_err(|failure| failure.at("client"))?;
    expect_kind(verdict.server, ErrorKind::NoCommonAlpn).map_err(|failure| failure.at("server"))?;
    ensure_eq!(near.alert(), Some(Alert::NO_APPLICATION_PROTOCOL));
    Ok(())
}

fn client_offers_none(bench: &Bench) -> Result<(), Failure> {
    agrees(bench, &[], &["h2"], None)
}

fn longest_name(bench: &Bench) -> Result<(), Failure> {
    let name = "n".repeat(255);
    agrees(bench, &["other", &name], &[&name], Some(&name))
}

fn server_has_none(bench: &Bench) -> Result<(), Failure> {
    agrees(bench, &["h2"], &[], None)
}

/// Not by itself, whatever features are on (axum-server#80).
fn only_when_asked_for(bench: &Bench) -> Result<(), Failure> {
    let context = bench.client().build()?;
    let (near, far) = pipe(Delivery::Whole);
    let sent = near.outgoing();
    drop(far);
    let _ = ssl_client_upgrade(near, NAME, UpgradeOptions::new().context(context));
    let mut observer = Observer::new(Side::Server);
    observer.incoming(&sent.passed());
    if let Some(hello) = observer.client_hello() {
        ensure!(hello.alpn.is_empty(), "{hello:?}");
    }
    Ok(())
}

fn unusable_names(bench: &Bench) -> Result<(), Failure> {
    for name in [String::new(), "n".repeat(256)] {
        expect_kind(bench.client().alpn([name.as_str()]).build(), ErrorKind::Config)?;
        expect_kind(bench.server().alpn([name.as_str()]).build(), ErrorKind::Config)?;
    }
    let many = vec!["n".repeat(255); 300];
    expect_kind(bench.client().alpn(many).build(), ErrorKind::Config)?;
    Ok(())
}

/// Text or bytes, owned or borrowed, and lists of either.
fn lists_as_they_are_written(bench: &Bench) -> Result<(), Failure> {
    let owned = vec![String::from("h2"), String::from("http/1.1")];
    const SERVED: &[&str; 1] = &["h2"];
    let server = bench.server().alpn(SERVED).build()?;
    for client in [
        bench.client().alpn(["h2", "http/1.1"]),
        bench.client().alpn(["h2", "http/1.1"].as_slice()),
        bench.client().alpn(&owned),
        bench.client().alpn(owned.iter().map(String::as_bytes)),
        bench.client().alpn([b"h2".as_slice(), b"http/1.1"]),
    ] {
        let (near, _) = bench.connects(&client.build()?, &server)?;
        ensure_eq!(near.alpn.as_deref(), Some(&b"h2"[..]));
    }
    Ok(())
}
