//! An echo server and its client, asynchronous.
//!
//! ```text
//! cargo run -p polytls --example echo_tokio --features tokio
//! cargo run -p polytls --example echo_tokio --features tokio -- --listen 127.0.0.1:8443
//! ```
//!
//! The second one serves until it is stopped; try it with `openssl s_client -connect 127.0.0.1:8443`.

// An example may print, and stop at the first thing that it did not expect.
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error as StdError;
use std::time::Duration;

use polytls::tokio::{TlsListener, TlsStream, ssl_connect, ssl_listen};
use polytls::{ClientContext, ConnectOptions, Identity, ListenOptions, ServerContext, Tls, Trust};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const NAME: &str = "echo.example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let address = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "127.0.0.1:0",
        ["--listen", address] => address,
        _ => return Err("usage: echo_tokio [--listen ADDRESS]".into()),
    };

    // A certificate that vouches for itself: a client must be told of it. Yours come from files, by
    // `make_server_ssl_context`.
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_bytes(chain.as_bytes(), key.as_bytes())?;
    let context = ServerContext::builder(identity).build()?;
    let listener = ssl_listen(address, context, ListenOptions::new()).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}, with the {} backend", listener.context().backend().name());
    if !arguments.is_empty() {
        return Ok(serve(listener).await?);
    }

    tokio::spawn(serve(listener));
    let context = ClientContext::builder().trust(Trust::only_bytes(chain.as_bytes())?).build()?;
    let options =
        ConnectOptions::new().context(context).host(NAME).timeout(Duration::from_secs(10));
    let stream = ssl_connect(address, options).await?;
    println!("connected: {:?}, {:?}", stream.protocol_version(), stream.cipher_suite());

    let mut stream = BufReader::new(stream);
    for line in ["hello\n", "and goodbye\n"] {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        let mut echo = String::new();
        stream.read_line(&mut echo).await?;
        println!("said {line:?}, heard {echo:?}");
    }
    stream.into_inner().close().await?;
    Ok(())
}

/// Accepts for ever. Each connection is a task of its own, so nobody waits for a slow client.
async fn serve(listener: TlsListener) -> Result<(), polytls::Error> {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptors left, say: no reason to stop.
                println!("{error}");
                continue;
            }
        };
        tokio::spawn(async move {
            // The handshake runs in here, too: with the first read.
            if let Err(error) = echo(stream).await {
                println!("{address}: {error}");
            }
        });
    }
}

async fn echo(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut buf = vec![0; 8 << 10];
    loop {
        // 0 is the peer's close_notify; a connection that was cut is an error.
        match stream.read(&mut buf).await? {
            0 => break,
            n => stream.write_all(&buf[..n]).await?,
        }
        stream.flush().await?;
    }
    Ok(stream.close().await?)
}
