//! The capability table is true, in both directions.

use polytls::ProtocolVersion::{Tls12, Tls13};
use polytls::{
    Backend, Capability, CertificateReason, ClientAuth, ErrorKind, ProtocolVersion, Verification,
};

use crate::bench::trust_only;
use crate::pki::{self, Leaf};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, Row, ensure, ensure_eq, expect_kind, runner};

pub(super) const CASES: &[Case] = &[
    Case::new("capability::table_is_true", table_is_true)
        .holds(&["B1"])
        .each_client()
        .any_version()
        .no_transport(),
    Case::new("capability::error_tells_what_and_who", error_tells)
        .each_client()
        .any_version()
        .no_transport(),
];

/// What is absent is refused, or not told; what is present works.
fn table_is_true(bench: &Bench) -> Result<(), Failure> {
    let backend = bench.client_backend();
    for capability in Capability::ALL.iter().copied() {
        let outcome = match backend.capabilities().has(capability) {
            true => observe_presence(bench, backend, capability),
            false => match capability {
                Capability::CertificateDetailsTls12 => details(bench, backend, Tls12, false),
                Capability::CertificateDetailsTls13 => details(bench, backend, Tls13, false),
                _ => runner::observe_absence(backend, capability, bench.backends()),
            },
        };
        outcome.map_err(|failure| failure.at(capability))?;
    }
    Ok(())
}

/// The backend as a client, and a server that can do what is needed beside it.
fn as_client(
    bench: &Bench,
    backend: &'static dyn Backend,
    version: Option<ProtocolVersion>,
    needed: &[Capability],
) -> Result<Bench, Failure> {
    let able = bench.backends().iter().find(|b| needed.iter().all(|c| b.capabilities().has(*c)));
    let server = *able.ok_or_else(|| Failure::new("no backend to prove it with"))?;
    Ok(with(bench, backend, server, version))
}

/// The backend as a server, and a client that can do what is needed beside it.
fn as_server(
    bench: &Bench,
    backend: &'static dyn Backend,
    version: Option<ProtocolVersion>,
    needed: &[Capability],
) -> Result<Bench, Failure> {
    let able = bench.backends().iter().find(|b| needed.iter().all(|c| b.capabilities().has(*c)));
    let client = *able.ok_or_else(|| Failure::new("no backend to prove it with"))?;
    Ok(with(bench, client, backend, version))
}

fn with(
    bench: &Bench,
    client: &'static dyn Backend,
    server: &'static dyn Backend,
    version: Option<ProtocolVersion>,
) -> Bench {
    let transport = Some(Transport::Whole);
    let row = Row { name: "presence".into(), client, server, version, transport };
    Bench::new(row, bench.backends())
}

fn observe_presence(
    bench: &Bench,
    backend: &'static dyn Backend,
    capability: Capability,
) -> Result<(), Failure> {
    use Capability as C;
    let standard = pki::standard();
    let (version, bench) = match capability {
        C::ClientTls12 => (Some(Tls12), as_client(bench, backend, Some(Tls12), &[C::ServerTls12])?),
        C::ClientTls13 => (Some(Tls13), as_client(bench, backend, Some(Tls13), &[C::ServerTls13])?),
        C::ServerTls12 => (Some(Tls12), as_server(bench, backend, Some(Tls12), &[C::ClientTls12])?),
        C::ServerTls13 => (Some(Tls13), as_server(bench, backend, Some(Tls13), &[C::ClientTls13])?),
        C::ClientAlpn => (None, as_client(bench, backend, None, &[C::ServerAlpn])?),
        C::ServerAlpn => (None, as_server(bench, backend, None, &[C::ClientAlpn])?),
        C::ClientIdentity => (None, as_client(bench, backend, None, &[C::ClientAuth])?),
        C::ClientAuth => (None, as_server(bench, backend, None, &[C::ClientIdentity])?),
        C::ClientResumption => (None, as_client(bench, backend, None, &[C::ServerResumption])?),
        C::ServerResumption => (None, as_server(bench, backend, None, &[C::ClientResumption])?),
        C::Exporter => (None, as_client(bench, backend, None, &[C::Exporter])?),
        C::CertificateDetailsTls12 => return details(bench, backend, Tls12, true),
        C::CertificateDetailsTls13 => return details(bench, backend, Tls13, true),
        _ => (None, as_client(bench, backend, None, &[])?),
    };
    let (mut client, mut server) = (bench.client(), bench.server());
    match capability {
        C::ClientAlpn | C::ServerAlpn => {
            (client, server) = (client.alpn(["suite"]), server.alpn(["suite"]));
        }
        C::ClientIdentity | C::ClientAuth => {
            client = client.identity(standard.client.identity());
            let root = trust_only(standard.root.der());
            server = server.client_auth(ClientAuth::Required(root));
        }
        C::SkipHostname => {
            client = client.danger_verification(Verification::SkipHostname);
            let other = Leaf::for_name("other.polytls.test").issued_by(&standard.root);
            server = bench.server_with(&other);
        }
        C::PartialChain => client = client.trust(trust_only(standard.intermediate.der())),
        _ => {}
    }
    let (client, server) = (client.build()?, server.build()?);
    let (near, far) = bench.connects(&client, &server)?;
    match capability {
        C::ClientAlpn | C::ServerAlpn => ensure_eq!(near.alpn.as_deref(), Some(&b"suite"[..])),
        C::ClientIdentity | C::ClientAuth => {
            ensure_eq!(far.peer_certificates.first(), Some(&standard.client.certificate()));
        }
        C::PeerChain => ensure_eq!(near.peer_certificates.len(), standard.server.chain.len()),
        C::ClientResumption | C::ServerResumption => {
            let (near, far) = bench.connects(&client, &server)?;
            ensure!([near.resumed, far.resumed].contains(&Some(true)), "{near:?}, {far:?}");
        }
        C::Exporter => {
            bench.run(
                &client,
                &server,
                |client| {
                    client.handshake()?;
                    Ok(client.export(b"EXPORTER-suite", None)?)
                },
                |server| Ok(server.handshake()?),
            )?;
        }
        _ => {}
    }
    if version.is_some() {
        ensure_eq!(near.version, version);
    }
    Ok(())
}

/// Whether the details of a refused certificate are told in this version.
fn details(
    bench: &Bench,
    backend: &'static dyn Backend,
    version: ProtocolVersion,
    told: bool,
) -> Result<(), Failure> {
    let needed = match version {
        Tls12 => Capability::ServerTls12,
        _ => Capability::ServerTls13,
    };
    let bench = as_client(bench, backend, Some(version), &[needed])?;
    let server = Leaf::server().expired().issued_by(&pki::standard().root);
    let verdict = bench.verdict(&bench.client().build()?, &bench.server_with(&server).build()?)?;
    let kind = ErrorKind::Certificate(CertificateReason::Expired);
    let error = expect_kind(verdict.client, kind)?;
    ensure_eq!(error.certificate_details().is_some(), told);
    Ok(())
}

fn error_tells(bench: &Bench) -> Result<(), Failure> {
    let backend = bench.client_backend();
    let server = || polytls::ServerContext::builder(pki::standard().server.identity());
    if !backend.capabilities().has(Capability::ServerTls13) {
        let outcome = server().backend(backend).min_version(Tls13).build();
        let error = expect_kind(outcome, ErrorKind::Unsupported(Capability::ServerTls13))?;
        ensure_eq!(error.backend(), Some(backend.name()));
        let text = error.to_string();
        ensure!(text.contains(backend.name()) && text.contains("server-tls13"), "{text}");
    }
    Ok(())
}
