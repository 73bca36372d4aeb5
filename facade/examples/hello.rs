//! The main job in one command: makes an authority and a certificate, listens on loopback, connects
//! by TCP, verifies, exchanges a line, and shows what a user is told when something is wrong.
//!
//! ```text
//! cargo run -p polytls --example hello
//! cargo run -p polytls --example hello --features openssl,native
//! ```

// An example may print, and stop at the first thing that it did not expect.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use std::error::Error as StdError;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use polytls::{
    Backend, ClientContext, ConnectOptions, Error, Identity, ListenOptions, ServerContext, Tls,
    TlsListener, Trust, Verification, backend, ssl_connect, ssl_listen,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

fn main() -> Result<(), Box<dyn StdError>> {
    let pki = Pki::new()?;
    let backends = backend::all();
    println!("backends compiled in: {}\n", names(backends));

    show_one_connection(&pki)?;
    show_failures(&pki)?;
    show_every_pair(&pki, backends)
}

/// One connection with the default backend, and all that can be told of it.
fn show_one_connection(pki: &Pki) -> Result<(), Box<dyn StdError>> {
    let server = Server::start(ServerContext::builder(pki.good.clone()).build()?)?;
    let context = ClientContext::builder().trust(pki.trust()).build()?;
    let options = ConnectOptions::new()
        .timeout(Duration::from_secs(10))
        .context(context)
        .host("hello.example");
    let mut stream = ssl_connect(server.address, options)?;

    stream.write_all(b"hello\n")?;
    let mut stream = BufReader::new(stream);
    let mut answer = String::new();
    stream.read_line(&mut answer)?;
    let mut stream = stream.into_inner();

    let certificate = stream.peer_certificate().ok_or("no certificate")?;
    println!("connected to {} with the {} backend", server.address, stream.backend());
    println!("  the server answered    {:?}", answer.trim_end());
    println!("  protocol version       {}", stream.protocol_version().ok_or("no version")?);
    println!("  cipher suite           {}", stream.cipher_suite().ok_or("no cipher suite")?);
    println!("  certificate's subject  {}", certificate.subject()?);
    println!("  certificate's SHA-256  {}\n", certificate.sha256_text());
    stream.close()?;
    Ok(())
}

/// What a user is told when something is wrong, and that the insecure context connects all the same.
fn show_failures(pki: &Pki) -> Result<(), Box<dyn StdError>> {
    let trusting = ClientContext::builder().trust(pki.trust()).build()?;
    let elsewhere = ClientContext::builder().trust(pki.other_trust()).build()?;
    let insecure = ClientContext::builder().danger_verification(Verification::Nothing).build()?;

    let good = Server::start(ServerContext::builder(pki.good.clone()).build()?)?;
    let expired = Server::start(ServerContext::builder(pki.expired.clone()).build()?)?;
    let plaintext = plaintext_server()?;

    println!("what a user is told:");
    for (what, address, context, host) in [
        ("wrong host", good.address, &trusting, "other.example"),
        ("unknown CA", good.address, &elsewhere, "hello.example"),
        ("expired", expired.address, &trusting, "hello.example"),
        ("not TLS", plaintext, &trusting, "hello.example"),
    ] {
        match connect(address, context, host) {
            Ok(_) => return Err(format!("{what}: connected all the same").into()),
            Err(error) => println!("  {what:<11} {:?}\n              {error}", error.kind()),
        }
    }
    for (what, address) in [("wrong host", good.address), ("expired", expired.address)] {
        connect(address, &insecure, "other.example")?;
        println!("  {what:<11} connects with the insecure context");
    }
    Ok(())
}

/// Every client against every server, and whether they agree.
fn show_every_pair(
    pki: &Pki,
    backends: &'static [&'static dyn Backend],
) -> Result<(), Box<dyn StdError>> {
    println!(
        "\nclient    server    version  cipher suite                                   verdicts"
    );
    for &server in backends {
        let build = |identity: &Identity| ServerContext::builder(identity.clone()).backend(server);
        let good = Server::start(build(&pki.good).build()?)?;
        let expired = Server::start(build(&pki.expired).build()?)?;
        for &client in backends {
            let trusting = ClientContext::builder().backend(client).trust(pki.trust()).build()?;
            let elsewhere =
                ClientContext::builder().backend(client).trust(pki.other_trust()).build()?;
            let stream = connect(good.address, &trusting, "hello.example")?;
            let verdicts = [
                connect(good.address, &trusting, "other.example"),
                connect(good.address, &elsewhere, "hello.example"),
                connect(expired.address, &trusting, "hello.example"),
            ]
            .map(|result| match result {
                Ok(_) => "accepted".to_owned(),
                Err(error) => match error.certificate_reason() {
                    Some(reason) => reason.to_string(),
                    None => format!("{:?}", error.kind()),
                },
            });
            println!(
                "{:<9} {:<9} {:<8} {:<46} {}",
                client.name(),
                server.name(),
                stream.protocol_version().ok_or("no version")?.to_string(),
                stream.cipher_suite().ok_or("no cipher suite")?.to_string(),
                verdicts.join(", "),
            );
        }
    }
    Ok(())
}

fn connect(
    address: SocketAddr,
    context: &ClientContext,
    host: &str,
) -> Result<polytls::TlsStream<std::net::TcpStream>, Error> {
    let options =
        ConnectOptions::new().timeout(Duration::from_secs(10)).context(context.clone()).host(host);
    ssl_connect(address, options)
}

fn names(backends: &[&dyn Backend]) -> String {
    backends.iter().map(|backend| backend.name()).collect::<Vec<_>>().join(", ")
}

/// A server that answers each line in capitals; it ends with the process.
struct Server {
    address: SocketAddr,
}

impl Server {
    fn start(context: ServerContext) -> Result<Self, Box<dyn StdError>> {
        let listener = ssl_listen("127.0.0.1:0", context, ListenOptions::new())?;
        let address = listener.local_addr()?;
        thread::spawn(move || serve(&listener));
        Ok(Self { address })
    }
}

fn serve(listener: &TlsListener) {
    for stream in listener.incoming() {
        // A client that breaks off is not the server's problem.
        thread::spawn(move || -> Result<(), Box<dyn StdError + Send + Sync>> {
            let mut stream = BufReader::new(stream?);
            let mut line = String::new();
            while stream.read_line(&mut line)? > 0 {
                stream.get_mut().write_all(line.to_uppercase().as_bytes())?;
                line.clear();
            }
            Ok(stream.into_inner().close()?)
        });
    }
}

fn plaintext_server() -> Result<SocketAddr, Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"220 mail.example ESMTP\r\n");
            // Kept open: it is the answer, not the end, that tells.
            std::mem::forget(stream);
        }
    });
    Ok(address)
}

/// An authority, another one that nobody trusts, and two certificates.
struct Pki {
    authority: String,
    other_authority: String,
    good: Identity,
    expired: Identity,
}

impl Pki {
    fn new() -> Result<Self, Box<dyn StdError>> {
        let authority = Self::authority("Hello Authority")?;
        let other = Self::authority("Other Authority")?;
        let today = time::OffsetDateTime::now_utc();
        let issue = |days: i64| -> Result<Identity, Box<dyn StdError>> {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(vec!["hello.example".to_owned()])?;
            params.distinguished_name.push(rcgen::DnType::CommonName, "hello.example");
            params.not_before = today - time::Duration::days(30);
            params.not_after = today + time::Duration::days(days);
            let certificate = params.signed_by(&key, &authority)?;
            Ok(Identity::from_bytes(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())?)
        };
        Ok(Self {
            good: issue(90)?,
            expired: issue(-3)?,
            authority: authority.pem(),
            other_authority: other.pem(),
        })
    }

    fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Box<dyn StdError>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    }

    fn trust(&self) -> Trust {
        Trust::only_bytes(self.authority.as_bytes()).unwrap()
    }

    fn other_trust(&self) -> Trust {
        Trust::only_bytes(self.other_authority.as_bytes()).unwrap()
    }
}
