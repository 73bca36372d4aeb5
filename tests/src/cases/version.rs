//! Protocol versions: minimum, maximum, and nothing in common.

use polytls::ProtocolVersion::{Tls12, Tls13};
use polytls::{Alert, Capability, ErrorKind};

use crate::transport::Transport;
use crate::{Bench, Case, Failure, Verdict, ensure, ensure_eq, expect_kind};

const fn case(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).any_version().transports(&[
        Transport::Whole,
        Transport::Bytewise,
        Transport::Tcp,
        Transport::Tokio,
    ])
}

pub(super) const CASES: &[Case] = &[
    case("version::minimum", minimum)
        .client_needs(Capability::ClientTls13)
        .server_needs(Capability::ServerTls12),
    case("version::maximum", maximum)
        .client_needs(Capability::ClientTls12)
        .server_needs(Capability::ServerTls13),
    case("version::highest_in_common", highest_in_common),
    case("version::server_minimum_is_met", server_minimum_is_met)
        .client_needs(Capability::ClientTls13)
        .server_needs(Capability::ServerTls13),
    case("version::server_maximum_is_met", server_maximum_is_met)
        .client_needs(Capability::ClientTls12)
        .server_needs(Capability::ServerTls12),
    case("version::minimum_above_maximum", minimum_above_maximum).no_transport(),
];

fn nothing_in_common(verdict: Verdict) -> Result<(), Failure> {
    let near = expect_kind(verdict.client, ErrorKind::NoCommonVersion)
        .map_err(|failure| failure.at("client"))?;
    let far = expect_kind(verdict.server, ErrorKind::NoCommonVersion)
        .map_err(|failure| failure.at("server"))?;
    // One end gives up and tells the other.
    let told = near.alert().or(far.alert());
    ensure_eq!(told, Some(Alert::PROTOCOL_VERSION));
    Ok(())
}

fn minimum(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().min_version(Tls13).build()?;
    let server = bench.server().max_version(Tls12).build()?;
    nothing_in_common(bench.verdict(&client, &server)?)
}

fn maximum(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().max_version(Tls12).build()?;
    let server = bench.server().min_version(Tls13).build()?;
    nothing_in_common(bench.verdict(&client, &server)?)
}

fn highest_in_common(bench: &Bench) -> Result<(), Failure> {
    let both_can =
        bench.client_can(Capability::ClientTls13) && bench.server_can(Capability::ServerTls13);
    let highest = if both_can { Tls13 } else { Tls12 };
    let (near, far) = bench.connects(&bench.client().build()?, &bench.server().build()?)?;
    ensure_eq!((near.version, far.version), (Some(highest), Some(highest)));
    Ok(())
}

fn server_minimum_is_met(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().min_version(Tls13).build()?;
    let (near, _) = bench.connects(&bench.client().build()?, &server)?;
    ensure_eq!(near.version, Some(Tls13));
    Ok(())
}

fn server_maximum_is_met(bench: &Bench) -> Result<(), Failure> {
    let server = bench.server().max_version(Tls12).build()?;
    let (near, far) = bench.connects(&bench.client().build()?, &server)?;
    ensure_eq!((near.version, far.version), (Some(Tls12), Some(Tls12)));
    Ok(())
}

fn minimum_above_maximum(bench: &Bench) -> Result<(), Failure> {
    let client = bench.client().min_version(Tls13).max_version(Tls12).build();
    let error = expect_kind(client, ErrorKind::Config)?;
    ensure!(error.to_string().contains("minimum"), "{error}");
    expect_kind(bench.server().min_version(Tls13).max_version(Tls12).build(), ErrorKind::Config)?;
    Ok(())
}
