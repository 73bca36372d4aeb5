//! Clients and servers of facade and plain libraries behind one face; each plain library as its
//! documentation recommends, and with the same features on both sides.

use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::sync::Arc;

use native_tls::{HandshakeError, TlsAcceptor, TlsConnector};
use openssl::ssl::{
    SslAcceptor, SslConnector, SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslVersion,
};
use openssl::x509::X509;
use polytls::{
    ClientContext, Identity, ProtocolVersion, Resumption, ServerContext, StreamSocket, Trust,
    UpgradeOptions,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::pki::{HOST, Pki, STRANGERS};
use crate::setup::{Library, Setup, Side, Version};

/// Whatever went wrong: the run ends with it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A client's and a server's end.
pub type Pair<S> = (Box<S>, Box<S>);

/// A blocking TLS stream.
pub trait Stream: Read + Write + Send {
    /// Says goodbye, as a well-behaved user does before dropping it.
    ///
    /// # Errors
    ///
    /// Of the transport.
    fn finish(&mut self) -> io::Result<()>;
}

/// An asynchronous TLS stream.
pub trait AsyncStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> AsyncStream for T {}

/// A transport for blocking streams.
pub trait Transport: StreamSocket + Read + Write + Debug + Send + Sync + 'static {}

impl<T: StreamSocket + Read + Write + Debug + Send + Sync + 'static> Transport for T {}

/// A transport for asynchronous streams.
pub trait AsyncTransport: AsyncRead + AsyncWrite + Debug + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Debug + Unpin + Send + 'static> AsyncTransport for T {}

/// A client's context.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "not every library's context has one")]
pub enum Client {
    /// Of the facade.
    Facade(ClientContext),
    /// Of rustls.
    Rustls(Arc<ClientConfig>),
    /// Of openssl.
    Openssl(SslConnector),
    /// Of native-tls.
    Native(TlsConnector),
}

impl Client {
    /// A context that trusts the run's authority alone.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn new(side: Side, setup: Setup, pki: &Pki) -> Result<Self, Failure> {
        let authority = pki.authority(setup.key)?;
        if side == Side::Facade {
            let version = facade_version(setup.version);
            let builder = ClientContext::builder()
                .backend(setup.library.backend())
                .min_version(version)
                .max_version(version)
                .resumption(match setup.resumption {
                    true => Resumption::Enabled,
                    false => Resumption::Disabled,
                })
                .trust(Trust::only_bytes(&authority)?);
            return Ok(Self::Facade(builder.build()?));
        }
        Ok(match setup.library {
            Library::Rustls => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(&authority)?)?;
                Self::Rustls(rustls_client(roots, setup)?)
            }
            Library::Openssl => {
                let mut builder = SslConnector::builder(SslMethod::tls())?;
                builder.cert_store_mut().add_cert(X509::from_pem(&authority)?)?;
                openssl_version(&mut builder, setup.version)?;
                if !setup.resumption {
                    builder.set_options(SslOptions::NO_TICKET);
                }
                Self::Openssl(builder.build())
            }
            Library::Native => {
                let version = native_version(setup.version);
                let mut builder = TlsConnector::builder();
                builder
                    .min_protocol_version(version)
                    .max_protocol_version(version)
                    .disable_built_in_roots(true)
                    .add_root_certificate(native_tls::Certificate::from_pem(&authority)?);
                Self::Native(builder.build()?)
            }
        })
    }

    /// A context as it comes when nothing is said: trusts the system.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn with_defaults(side: Side, library: Library) -> Result<Self, Failure> {
        if side == Side::Facade {
            return Ok(Self::Facade(polytls::default_client_ssl_context()?));
        }
        Ok(match library {
            Library::Rustls => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                let config = ClientConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Self::Rustls(Arc::new(config))
            }
            Library::Openssl => Self::Openssl(SslConnector::builder(SslMethod::tls())?.build()),
            Library::Native => Self::Native(TlsConnector::new()?),
        })
    }

    /// A blocking connection whose handshake is done.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn connect<S: Transport>(&self, transport: S) -> Result<Box<dyn Stream>, Failure> {
        Ok(match self {
            Self::Facade(context) => {
                let options = UpgradeOptions::new().context(context.clone());
                Box::new(polytls::ssl_client_upgrade(transport, HOST, options)?)
            }
            Self::Rustls(config) => {
                let name = ServerName::try_from(HOST)?;
                let tls = ClientConnection::new(Arc::clone(config), name)?;
                let mut stream = rustls::StreamOwned::new(tls, transport);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Box::new(stream)
            }
            Self::Openssl(connector) => {
                Box::new(connector.connect(HOST, transport).map_err(|error| error.to_string())?)
            }
            Self::Native(connector) => {
                Box::new(connector.connect(HOST, transport).map_err(native_failure)?)
            }
        })
    }

    /// An asynchronous connection whose handshake is done.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub async fn connect_async<S: AsyncTransport>(
        &self,
        transport: S,
    ) -> Result<Box<dyn AsyncStream>, Failure> {
        Ok(match self {
            Self::Facade(context) => {
                let options = UpgradeOptions::new().context(context.clone());
                Box::new(polytls::tokio::ssl_client_upgrade(transport, HOST, options).await?)
            }
            Self::Rustls(config) => {
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(ServerName::try_from(HOST)?, transport).await?)
            }
            Self::Openssl(connector) => {
                let ssl = connector.configure()?.into_ssl(HOST)?;
                let mut stream = tokio_openssl::SslStream::new(ssl, transport)?;
                std::pin::Pin::new(&mut stream).connect().await?;
                Box::new(stream)
            }
            Self::Native(connector) => {
                let connector = tokio_native_tls::TlsConnector::from(connector.clone());
                Box::new(connector.connect(HOST, transport).await?)
            }
        })
    }
}

/// A server's context.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "not every library's context has one")]
pub enum Server {
    /// Of the facade.
    Facade(ServerContext),
    /// Of rustls.
    Rustls(Arc<ServerConfig>),
    /// Of openssl.
    Openssl(SslAcceptor),
    /// Of native-tls.
    Native(TlsAcceptor),
}

impl Server {
    /// A context with the run's certificate.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn new(side: Side, setup: Setup, pki: &Pki) -> Result<Self, Failure> {
        Self::numbered(side, setup, pki, 0)
    }

    /// As many contexts as there are strangers, each with its own certificate.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn strangers(side: Side, setup: Setup, pki: &Pki) -> Result<Vec<Self>, Failure> {
        (1..=STRANGERS).map(|number| Self::numbered(side, setup, pki, number)).collect()
    }

    fn numbered(side: Side, setup: Setup, pki: &Pki, number: usize) -> Result<Self, Failure> {
        let (chain, key) = (pki.chain(setup.key, number)?, pki.key(setup.key, number)?);
        let library = setup.server_library();
        if side == Side::Facade {
            let version = facade_version(setup.version);
            let context = ServerContext::builder(Identity::from_bytes(&chain, &key)?)
                .backend(library.backend())
                .min_version(version)
                .max_version(version)
                .build()?;
            return Ok(Self::Facade(context));
        }
        Ok(match library {
            Library::Rustls => {
                let mut config = rustls_server(setup, &chain, &key)?;
                // As OpenSSL and the facade do: the default keeps its last 128 clients in a cache,
                // and no other client resumes.
                config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
                Self::Rustls(Arc::new(config))
            }
            Library::Openssl => {
                let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
                builder.set_certificate_chain_file(pki.file_of(setup.key, number, "chain"))?;
                builder.set_private_key_file(
                    pki.file_of(setup.key, number, "key"),
                    SslFiletype::PEM,
                )?;
                openssl_version(&mut builder, setup.version)?;
                Self::Openssl(builder.build())
            }
            Library::Native => {
                let version = native_version(setup.version);
                let identity = native_tls::Identity::from_pkcs8(&chain, &key)?;
                let mut builder = TlsAcceptor::builder(identity);
                builder.min_protocol_version(version).max_protocol_version(version);
                Self::Native(builder.build()?)
            }
        })
    }

    /// The same, with sessions kept as the library does by default.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn with_defaults(side: Side, setup: Setup, pki: &Pki) -> Result<Self, Failure> {
        match (side, setup.server_library()) {
            (Side::Plain, Library::Rustls) => {
                let config =
                    rustls_server(setup, &pki.chain(setup.key, 0)?, &pki.key(setup.key, 0)?)?;
                Ok(Self::Rustls(Arc::new(config)))
            }
            _ => Self::new(side, setup, pki),
        }
    }

    /// A blocking connection whose handshake is done.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub fn accept<S: Transport>(&self, transport: S) -> Result<Box<dyn Stream>, Failure> {
        Ok(match self {
            Self::Facade(context) => Box::new(polytls::ssl_server_upgrade(transport, context)?),
            Self::Rustls(config) => {
                let tls = ServerConnection::new(Arc::clone(config))?;
                let mut stream = rustls::StreamOwned::new(tls, transport);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Box::new(stream)
            }
            Self::Openssl(acceptor) => {
                Box::new(acceptor.accept(transport).map_err(|error| error.to_string())?)
            }
            Self::Native(acceptor) => Box::new(acceptor.accept(transport).map_err(native_failure)?),
        })
    }

    /// An asynchronous connection whose handshake is done.
    ///
    /// # Errors
    ///
    /// Of the library.
    pub async fn accept_async<S: AsyncTransport>(
        &self,
        transport: S,
    ) -> Result<Box<dyn AsyncStream>, Failure> {
        Ok(match self {
            Self::Facade(context) => {
                Box::new(polytls::tokio::ssl_server_upgrade(transport, context).await?)
            }
            Self::Rustls(config) => {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(config));
                Box::new(acceptor.accept(transport).await?)
            }
            Self::Openssl(acceptor) => {
                let ssl = openssl::ssl::Ssl::new(acceptor.context())?;
                let mut stream = tokio_openssl::SslStream::new(ssl, transport)?;
                std::pin::Pin::new(&mut stream).accept().await?;
                Box::new(stream)
            }
            Self::Native(acceptor) => {
                let acceptor = tokio_native_tls::TlsAcceptor::from(acceptor.clone());
                Box::new(acceptor.accept(transport).await?)
            }
        })
    }
}

impl<S: Transport> Stream for polytls::TlsStream<S> {
    fn finish(&mut self) -> io::Result<()> {
        // Dropping it says goodbye.
        Ok(())
    }
}

impl<S: Transport> Stream for rustls::StreamOwned<ClientConnection, S> {
    fn finish(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }
}

impl<S: Transport> Stream for rustls::StreamOwned<ServerConnection, S> {
    fn finish(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }
}

impl<S: Transport> Stream for openssl::ssl::SslStream<S> {
    fn finish(&mut self) -> io::Result<()> {
        // That the peer has gone already is no failure here.
        let _ = self.shutdown();
        Ok(())
    }
}

impl<S: Transport> Stream for native_tls::TlsStream<S> {
    fn finish(&mut self) -> io::Result<()> {
        let _ = self.shutdown();
        Ok(())
    }
}

fn rustls_client(roots: RootCertStore, setup: Setup) -> Result<Arc<ClientConfig>, Failure> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[rustls_version(setup.version)])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !setup.resumption {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Ok(Arc::new(config))
}

fn rustls_server(setup: Setup, chain: &[u8], key: &[u8]) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>()?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[rustls_version(setup.version)])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn rustls_version(version: Version) -> &'static rustls::SupportedProtocolVersion {
    match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    }
}

fn openssl_version(
    builder: &mut SslContextBuilder,
    version: Version,
) -> Result<(), openssl::error::ErrorStack> {
    let version = Some(match version {
        Version::Tls12 => SslVersion::TLS1_2,
        Version::Tls13 => SslVersion::TLS1_3,
    });
    builder.set_min_proto_version(version)?;
    builder.set_max_proto_version(version)
}

fn native_version(version: Version) -> Option<native_tls::Protocol> {
    Some(match version {
        Version::Tls12 => native_tls::Protocol::Tlsv12,
        Version::Tls13 => native_tls::Protocol::Tlsv13,
    })
}

fn facade_version(version: Version) -> ProtocolVersion {
    match version {
        Version::Tls12 => ProtocolVersion::Tls12,
        Version::Tls13 => ProtocolVersion::Tls13,
    }
}

fn native_failure<S: Debug>(error: HandshakeError<S>) -> Failure {
    match error {
        HandshakeError::Failure(error) => error.into(),
        HandshakeError::WouldBlock(_) => "the transport would block".into(),
    }
}

/// Both ends of a blocking connection whose handshake is done.
///
/// # Errors
///
/// Of the library.
pub fn open<S: Transport>(
    client: &Client,
    server: &Server,
    near: S,
    far: S,
) -> Result<Pair<dyn Stream>, Failure> {
    std::thread::scope(|scope| {
        let far = scope.spawn(move || server.accept(far));
        let near = client.connect(near)?;
        Ok((near, far.join().map_err(|_| "the server panicked")??))
    })
}

/// Both ends of an asynchronous connection whose handshake is done.
///
/// # Errors
///
/// Of the library.
pub async fn open_async<S: AsyncTransport>(
    client: &Client,
    server: &Server,
    near: S,
    far: S,
) -> Result<Pair<dyn AsyncStream>, Failure> {
    tokio::try_join!(client.connect_async(near), server.accept_async(far))
}
