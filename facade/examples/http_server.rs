//! A tiny HTTP/1.1 server with connections that stay open: enough for a browser, curl, or a load
//! generator (`admin/load` runs wrk).
//!
//! ```text
//! cargo run -p polytls --example http_server --features tokio
//! cargo run -p polytls --example http_server --features tokio,openssl -- 127.0.0.1:8443 openssl
//! curl --insecure https://127.0.0.1:8443/
//! ```

// An example may print.
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error as StdError;

use polytls::tokio::{TlsStream, ssl_listen};
use polytls::{Identity, ListenOptions, ServerContext, backend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head of a request.
const LONGEST_HEAD: usize = 16 << 10;

const PAGE: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 6\r\n\
    \r\n\
    hello\n";

const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\n\
    Content-Length: 0\r\n\
    \r\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let backend = match arguments.next() {
        Some(name) => backend::by_name(&name)?,
        None => backend::default()?,
    };
    // Nobody has reason to trust it; yours comes from files, by `make_server_ssl_context`.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = made.signing_key.serialize_pem();
    let identity = Identity::from_bytes(made.cert.pem().as_bytes(), key.as_bytes())?;
    let context = ServerContext::builder(identity).backend(backend).alpn(["http/1.1"]).build()?;
    let listener = ssl_listen(address, context, ListenOptions::new()).await?;
    println!("https://{}/", listener.local_addr()?);
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
            if let Err(error) = answer(stream).await {
                println!("{address}: {error}");
            }
        });
    }
}

/// Answers every request with the same page until the client closes, or says something else than GET
/// or HEAD.
async fn answer(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut received = Vec::new();
    loop {
        let mut answers = String::new();
        while let Some(end) = head_end(&received) {
            let head: Vec<u8> = received.drain(..end).collect();
            match head.split(|byte| *byte == b' ').next() {
                Some(b"GET") => answers.push_str(PAGE),
                Some(b"HEAD") => answers.push_str(PAGE.trim_end_matches("hello\n")),
                _ => return refuse(stream).await,
            }
        }
        // Requests that came together are answered together.
        stream.write_all(answers.as_bytes()).await?;
        stream.flush().await?;
        if received.len() > LONGEST_HEAD {
            return refuse(stream).await;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(stream.close().await?);
        }
    }
}

async fn refuse(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(REFUSAL.as_bytes()).await?;
    Ok(stream.close().await?)
}

/// Where the first request's head ends, if it is whole.
fn head_end(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    Some(bytes.windows(END.len()).position(|window| window == END)? + END.len())
}
