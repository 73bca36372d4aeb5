//! STARTTLS: a small SMTP server and client that begin in plaintext and upgrade; and what becomes of
//! a command that someone on the path slips in before.
//!
//! ```text
//! cargo run -p polytls --example starttls_smtp --features tokio
//! ```
//!
//! What stands in a reader's buffer when TLS begins came in plaintext. To read it afterwards, as if it
//! had come from inside TLS, is the mistake behind a whole family of attacks (CVE-2011-0411 and its
//! successors); `unbuffer` refuses it on both sides.

// An example may print, and stop at the first thing that it did not expect.
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error as StdError;

use polytls::tokio::{ssl_client_upgrade, ssl_server_upgrade, unbuffer};
use polytls::{ClientContext, Error, ErrorKind, Identity, ServerContext, Trust, UpgradeOptions};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const NAME: &str = "mail.example";

type Failure = Box<dyn StdError + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_bytes(chain.as_bytes(), key.as_bytes())?;
    let server = ServerContext::builder(identity).build()?;
    let client = ClientContext::builder().trust(Trust::only_bytes(chain.as_bytes())?).build()?;

    println!("-- a mail is sent");
    let (near, far) = connect().await?;
    let (sent, received) = tokio::join!(send_mail(near, &client), receive_mail(far, &server));
    sent?;
    println!("-- received: {:?}", received?);

    println!("-- someone slips a command in behind STARTTLS");
    let (mut near, far) = connect().await?;
    near.write_all(b"EHLO client.example\r\nSTARTTLS\r\nMAIL FROM:<mallory@example>\r\n").await?;
    match receive_mail(far, &server).await {
        Ok(mail) => Err(format!("accepted: {mail:?}").into()),
        Err(error) => match Error::find(&*error) {
            Some(found) if found.kind() == ErrorKind::PlaintextBeforeTls => {
                println!("-- refused: {found}");
                Ok(())
            }
            _ => Err(error),
        },
    }
}

async fn send_mail(stream: TcpStream, context: &ClientContext) -> Result<(), Failure> {
    let mut stream = BufReader::new(stream);
    expect(&mut stream, "220").await?;
    say(&mut stream, "EHLO client.example").await?;
    expect(&mut stream, "250").await?;
    say(&mut stream, "STARTTLS").await?;
    expect(&mut stream, "220").await?;

    // An answer that was slipped in behind the server's consent would be left in the buffer.
    let stream = unbuffer(stream)?;
    let options = UpgradeOptions::new().context(context.clone());
    let stream = ssl_client_upgrade(stream, NAME, options).await?;

    // What was said before counts no more: the client greets again (RFC 3207, section 4.2).
    let mut stream = BufReader::new(stream);
    for (command, answer) in [
        ("EHLO client.example", "250"),
        ("MAIL FROM:<alice@client.example>", "250"),
        ("RCPT TO:<bob@mail.example>", "250"),
        ("DATA", "354"),
        ("Subject: hello\r\n\r\nNobody on the path can read this.\r\n.", "250"),
        ("QUIT", "221"),
    ] {
        say(&mut stream, command).await?;
        expect(&mut stream, answer).await?;
    }
    Ok(stream.into_inner().close().await?)
}

async fn receive_mail(stream: TcpStream, context: &ServerContext) -> Result<String, Failure> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 mail.example ESMTP").await?;
    loop {
        match hear(&mut stream).await?.as_str() {
            "STARTTLS" => break,
            hello if hello.starts_with("EHLO") => say(&mut stream, "250 STARTTLS").await?,
            _ => say(&mut stream, "530 Must issue a STARTTLS command first").await?,
        }
    }

    // Before the consent: whoever speaks TLS waits for that, so anything here is not the client's.
    let mut stream = unbuffer(stream)?;
    stream.write_all(b"220 Ready to start TLS\r\n").await?;
    let stream = ssl_server_upgrade(stream, context).await?;

    let mut stream = BufReader::new(stream);
    let mut mail = String::new();
    loop {
        match hear(&mut stream).await?.as_str() {
            "DATA" => {
                say(&mut stream, "354 End data with <CR><LF>.<CR><LF>").await?;
                loop {
                    match hear(&mut stream).await?.as_str() {
                        "." => break,
                        line => mail.extend([line, "\n"]),
                    }
                }
                say(&mut stream, "250 OK").await?;
            }
            "QUIT" => {
                say(&mut stream, "221 Bye").await?;
                stream.into_inner().close().await?;
                return Ok(mail);
            }
            _ => say(&mut stream, "250 OK").await?,
        }
    }
}

async fn connect() -> Result<(TcpStream, TcpStream), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    Ok((near, listener.accept().await?.0))
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> Result<(), Failure> {
    println!("   {line}");
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    Ok(stream.flush().await?)
}

async fn hear<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String, Failure> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err("the other end has gone".into());
    }
    Ok(line.trim_end().to_owned())
}

async fn expect<S: AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
    code: &str,
) -> Result<(), Failure> {
    let answer = hear(stream).await?;
    if answer.starts_with(code) {
        return Ok(());
    }
    Err(format!("expected {code}, got {answer:?}").into())
}
