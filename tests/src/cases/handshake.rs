//! That two ends come together, and what they tell of it.

use polytls::{
    Capability, CertificateReason, ErrorKind, ProtocolVersion, UpgradeOptions, ssl_client_upgrade,
    ssl_server_upgrade,
};

use crate::bench::both;
use crate::pki::{self, ADDRESS, Leaf, NAME};
use crate::transport::{Delivery, pipe};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_error};

pub(super) const CASES: &[Case] = &[
    Case::new("handshake::both_ways", both_ways),
    Case::new("handshake::negotiated", negotiated).holds(&["N1"]).one_of_each(),
    Case::new("handshake::by_address", by_address).one_of_each(),
    Case::new("handshake::refused_server", refused_server)
        .versions(&[ProtocolVersion::Tls13])
        .no_transport(),
    Case::new("handshake::peer_certificate", peer_certificate).holds(&["P1"]).one_of_each(),
    Case::new("handshake::peer_chain", peer_chain)
        .one_of_each()
        .client_needs(Capability::PeerChain),
    Case::new("handshake::exporter", exporter)
        .holds(&["X1"])
        .one_of_each()
        .client_needs(Capability::Exporter)
        .server_needs(Capability::Exporter),
];

fn both_ways(bench: &Bench) -> Result<(), Failure> {
    bench.connects(&bench.client().build()?, &bench.server().build()?)?;
    Ok(())
}

/// Both ends tell the same, and what was configured.
fn negotiated(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = bench.connects(&bench.client().build()?, &bench.server().build()?)?;
    for facts in [&near, &far] {
        ensure_eq!(facts.version, Some(bench.version()));
        ensure_eq!(facts.alpn, None);
        ensure_eq!(facts.server_name.as_deref(), Some(NAME));
        ensure!(facts.resumed != Some(true), "a first connection resumes nothing");
        ensure!(facts.cipher_suite.is_some_and(|suite| suite.name().is_some()), "{facts:?}");
    }
    ensure_eq!(near.cipher_suite, far.cipher_suite);
    Ok(())
}

/// An address is verified and not sent as a name.
fn by_address(bench: &Bench) -> Result<(), Failure> {
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.connects_to(&ADDRESS.to_string(), &client, &server)?;
    ensure_eq!(near.server_name, None);
    ensure_eq!(far.server_name, None);
    Ok(())
}

fn peer_certificate(bench: &Bench) -> Result<(), Failure> {
    let (near, far) = bench.connects(&bench.client().build()?, &bench.server().build()?)?;
    ensure_eq!(near.peer_certificates.first(), Some(&pki::standard().server.certificate()));
    ensure!(far.peer_certificates.is_empty(), "the client sent no certificate");
    Ok(())
}

fn peer_chain(bench: &Bench) -> Result<(), Failure> {
    let (near, _) = bench.connects(&bench.client().build()?, &bench.server().build()?)?;
    let sent: Vec<_> = near.peer_certificates.iter().map(|c| c.der().to_vec()).collect();
    ensure_eq!(sent, pki::standard().server.chain);
    Ok(())
}

/// The same on both ends for the same label and context, another for others.
fn exporter(bench: &Bench) -> Result<(), Failure> {
    const LABEL: &[u8] = b"EXPORTER-polytls-suite";
    let (client, server) = (bench.client().build()?, bench.server().build()?);
    let (near, far) = bench.run(
        &client,
        &server,
        |client| {
            client.handshake()?;
            // The server has what it needs for its keys once it has answered.
            client.ask()?;
            Ok([
                client.export(LABEL, None)?,
                client.export(LABEL, Some(b"one"))?,
                client.export(LABEL, Some(b"two"))?,
                client.export(b"EXPORTER-polytls-other", None)?,
            ])
        },
        |server| {
            server.answer()?;
            Ok([
                server.export(LABEL, None)?,
                server.export(LABEL, Some(b"one"))?,
                server.export(LABEL, Some(b"two"))?,
                server.export(b"EXPORTER-polytls-other", None)?,
            ])
        },
    )?;
    ensure_eq!(near, far);
    for (i, one) in near.iter().enumerate() {
        ensure!(!near[..i].contains(one), "export {i} is one of the others");
    }
    Ok(())
}

/// Whoever finds the fault, the library or the check behind it: the server does not get the client's last
/// flight. In TLS 1.2 the server's is the last.
fn refused_server(bench: &Bench) -> Result<(), Failure> {
    let credential = Leaf::server().with_ca_flag().issued_by(&pki::standard().root);
    let (client, server) = (bench.client().build()?, bench.server_with(&credential).build()?);
    let (near, far) = pipe(Delivery::Whole);
    both(
        || {
            let options = UpgradeOptions::new().context(client);
            let error = expect_error(ssl_client_upgrade(near, NAME, options))?;
            ensure!(matches!(error.kind(), ErrorKind::Certificate(_)), "{error:?}");
            ensure!(error.certificate_reason() != Some(CertificateReason::Other), "{error:?}");
            Ok(())
        },
        || {
            expect_error(ssl_server_upgrade(far, &server))?;
            Ok(())
        },
    )?;
    Ok(())
}
