//! tokio-rustls, which nobody here wrote, at the other end; and its ready values as contexts.

use std::sync::Arc;

use polytls::{ClientContext, ErrorKind, Phase, ServerContext, Tls, UpgradeOptions};
use polytls_conformance::bench::pattern;
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Outcome, both, client, converse, paused, real, server, tcp_pair};

pub(crate) const CASES: &[Case] = &[
    Case::new("interop::tokio_rustls_serves", tokio_rustls_serves).each_client().no_transport(),
    Case::new("interop::tokio_rustls_connects", tokio_rustls_connects).each_server().no_transport(),
    Case::new("interop::tokio_rustls_is_cut_off", tokio_rustls_is_cut_off)
        .each_client()
        .no_transport(),
    Case::new("interop::tokio_rustls_closes_first", tokio_rustls_closes_first)
        .each_server()
        .no_transport(),
    Case::new("interop::ready_values_become_contexts", ready_values).once().no_transport(),
];

fn version(bench: &Bench) -> &'static rustls::SupportedProtocolVersion {
    if bench.version() == polytls::ProtocolVersion::Tls12 {
        &rustls::version::TLS12
    } else {
        &rustls::version::TLS13
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn acceptor(bench: &Bench) -> Result<TlsAcceptor, Failure> {
    let credential = &pki::standard().server;
    let chain = credential.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::try_from(credential.key.pkcs8().to_vec()).map_err(Failure::new)?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version(bench)])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn connector(bench: &Bench) -> Result<TlsConnector, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(pki::standard().root.der().to_vec()))?;
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version(bench)])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn name() -> Result<ServerName<'static>, Failure> {
    Ok(ServerName::try_from(NAME)?)
}

/// Both directions at once, then close_notify from either side: as [`converse`], for their stream.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, say: &[u8], hear: &[u8]) -> Outcome {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (written, heard) = tokio::join!(
        async {
            writer.write_all(say).await?;
            writer.shutdown().await
        },
        async {
            let mut heard = Vec::new();
            // A close without close_notify is an error for them, too.
            reader.read_to_end(&mut heard).await.map(|_| heard)
        }
    );
    ensure!(heard? == hear, "they heard something else than was said");
    Ok(written?)
}

fn tokio_rustls_serves(bench: &Bench) -> Outcome {
    let (question, answer) = (pattern(1 << 20), pattern(1_500_000));
    let acceptor = acceptor(bench)?;
    real(async {
        let (near, far) = tcp_pair()?;
        both(
            async {
                let client = client(bench, near).await?;
                ensure_eq!(client.protocol_version(), Some(bench.version()));
                converse(client, &question, &answer).await
            },
            async { talk(acceptor.accept(far).await?, &answer, &question).await },
        )
        .await
    })
}

fn tokio_rustls_connects(bench: &Bench) -> Outcome {
    let (question, answer) = (pattern(1 << 20), pattern(1_500_000));
    let connector = connector(bench)?;
    real(async {
        let (near, far) = tcp_pair()?;
        both(
            async { talk(connector.connect(name()?, near).await?, &question, &answer).await },
            async {
                let server = server(bench, far).await?;
                ensure_eq!(server.server_name().as_deref(), Some(NAME));
                converse(server, &answer, &question).await
            },
        )
        .await
    })
}

/// A server of theirs that ends its transport without close_notify.
fn tokio_rustls_is_cut_off(bench: &Bench) -> Outcome {
    let acceptor = acceptor(bench)?;
    paused(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        both(
            async {
                let mut client = client(bench, near).await?;
                client.write_all(b"?").await?;
                client.read_exact(&mut [0; 5]).await?;
                expect_kind(client.read(&mut [0; 8]).await, ErrorKind::Truncated(Phase::Read))?;
                Ok(())
            },
            async {
                let mut server = acceptor.accept(far).await?;
                server.read_exact(&mut [0; 1]).await?;
                server.write_all(b"part ").await?;
                server.flush().await?;
                Ok(())
            },
        )
        .await
    })
}

/// A client of theirs that only writes and closes; and what it still hears.
fn tokio_rustls_closes_first(bench: &Bench) -> Outcome {
    let connector = connector(bench)?;
    let question = pattern(3 << 20);
    real(async {
        let (near, far) = tcp_pair()?;
        both(
            async {
                let mut client = connector.connect(name()?, near).await?;
                client.write_all(&question).await?;
                client.shutdown().await?;
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await?;
                ensure_eq!(heard, b"thanks");
                Ok(())
            },
            async {
                let mut server = server(bench, far).await?;
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await?;
                ensure!(heard == question, "{} bytes", heard.len());
                server.write_all(b"thanks").await?;
                Ok(server.close().await?)
            },
        )
        .await
    })
}

/// An application that has a connector or an acceptor keeps it.
fn ready_values(bench: &Bench) -> Outcome {
    let (connector, acceptor) = (connector(bench)?, acceptor(bench)?);
    let client =
        ClientContext::from_connector(polytls_rustls::connector(connector.config().clone()));
    let server = ServerContext::from_acceptor(polytls_rustls::acceptor(acceptor.config().clone()));
    paused(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        both(
            async {
                let options = UpgradeOptions::new().context(client.clone());
                let stream = polytls::tokio::ssl_client_upgrade(near, NAME, options).await?;
                ensure_eq!(stream.backend(), "rustls");
                ensure_eq!(stream.protocol_version(), Some(bench.version()));
                converse(stream, b"ping", b"pong").await
            },
            async {
                let stream = polytls::tokio::ssl_server_upgrade(far, &server).await?;
                converse(stream, b"pong", b"ping").await
            },
        )
        .await?;
        // Its verifier is still its own.
        let (near, far) = tokio::io::duplex(64 << 10);
        let options = UpgradeOptions::new().context(client);
        let (refused, _) = tokio::join!(
            polytls::tokio::ssl_client_upgrade(near, "other.polytls.test", options),
            polytls::tokio::ssl_server_upgrade(far, &server)
        );
        let error = polytls_conformance::expect_error(refused)?;
        ensure!(matches!(error.kind(), ErrorKind::Certificate(_)), "{error:?}");
        Ok(())
    })
}
