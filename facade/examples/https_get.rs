//! A small HTTPS client: prints status, headers and what was negotiated, and on failure the kind and
//! message.
//!
//! ```text
//! cargo run -p polytls --example https_get -- example.com
//! https_get HOST[:PORT] [--path P] [--connect ADDRESS:PORT] [--cafile F] [--insecure] [--min 1.3]
//!           [--max 1.2] [--backend NAME] [--timeout SECONDS]
//! ```
//!
//! Exits with 1 when the connection, the certificate or the transfer failed, with 2 for wrong usage.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use polytls::{
    Address, ClientContext, ConnectOptions, Error, ErrorKind, ProtocolVersion, Socket, Tls,
    TlsStream, Trust, Verification, backend, is_ssl_error, ssl_connect,
};

fn main() -> ExitCode {
    let request = match Request::parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match get(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Request {
    host: String,
    address: String,
    path: String,
    cafile: Option<String>,
    insecure: bool,
    min: ProtocolVersion,
    max: ProtocolVersion,
    backend: Option<String>,
    timeout: Duration,
}

impl Request {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut request = Self {
            host: String::new(),
            address: String::new(),
            path: "/".into(),
            cafile: None,
            insecure: false,
            min: ProtocolVersion::default(),
            max: ProtocolVersion::Tls13,
            backend: None,
            timeout: Duration::from_secs(30),
        };
        let mut connect = None;
        let mut target = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} takes a value"));
            match arg.as_str() {
                "--path" => request.path = value()?,
                "--connect" => connect = Some(value()?),
                "--cafile" => request.cafile = Some(value()?),
                "--insecure" => request.insecure = true,
                "--min" => request.min = version(&value()?)?,
                "--max" => request.max = version(&value()?)?,
                "--backend" => request.backend = Some(value()?),
                "--timeout" => {
                    let seconds = value()?.parse().map_err(|_| "--timeout takes seconds")?;
                    request.timeout = Duration::from_secs(seconds);
                }
                option if option.starts_with('-') => return Err(format!("{option} is no option")),
                _ if target.is_some() => return Err("one host only".into()),
                _ => target = Some(arg),
            }
        }
        let target =
            target.ok_or("usage: https_get HOST[:PORT] [--cafile F] [--insecure] [--min 1.3]")?;
        let address = match Address::try_from(target.as_str()) {
            Ok(address) => address,
            Err(_) => {
                Address::try_from((target.as_str(), 443)).map_err(|error| error.to_string())?
            }
        };
        request.host = address.host();
        request.address = connect.unwrap_or(address.to_string());
        Ok(request)
    }

    fn context(&self) -> Result<ClientContext, Error> {
        let mut builder = ClientContext::builder().min_version(self.min).max_version(self.max);
        if let Some(name) = &self.backend {
            builder = builder.backend(backend::by_name(name)?);
        }
        if let Some(file) = &self.cafile {
            builder = builder.trust(Trust::only_file(file)?);
        }
        if self.insecure {
            builder = builder.danger_verification(Verification::Nothing);
        }
        builder.build()
    }
}

fn version(text: &str) -> Result<ProtocolVersion, String> {
    text.parse().map_err(|error: Error| error.to_string())
}

fn get(request: &Request) -> io::Result<()> {
    let options = ConnectOptions::new()
        .timeout(request.timeout)
        .context(request.context()?)
        .host(&request.host);
    let mut stream = ssl_connect(request.address.as_str(), options)?;
    print_negotiated(&stream)?;

    stream.set_read_timeout(Some(request.timeout))?;
    stream.set_write_timeout(Some(request.timeout))?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        request.path, request.host
    )?;
    let mut stream = BufReader::new(stream);
    let (status, length) = print_head(&mut stream)?;
    let body = read_body(&mut stream, length)?;
    println!("\n{} bytes of body", body.len());
    stream.into_inner().close()?;
    if status >= 400 {
        return Err(io::Error::other(format!("the server answered {status}")));
    }
    Ok(())
}

fn print_negotiated(stream: &TlsStream<TcpStream>) -> Result<(), Error> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
    println!("backend       {}", stream.backend());
    println!("version       {}", text(stream.protocol_version().map(|v| v.to_string())));
    println!("cipher suite  {}", text(stream.cipher_suite().map(|suite| suite.to_string())));
    if let Some(certificate) = stream.peer_certificate() {
        println!("certificate   {} of {}", certificate.subject()?, certificate.issuer()?);
        println!("SHA-256       {}", certificate.sha256_text());
    }
    println!();
    Ok(())
}

/// Prints status line and headers; returns the status and the length of the body, where told.
fn print_head(stream: &mut impl BufRead) -> io::Result<(u16, Option<usize>)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    print!("{line}");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| bad("not an HTTP answer"))?;
    let mut length = None;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(bad("the answer ends in its headers"));
        }
        if line.trim_end().is_empty() {
            return Ok((status, length));
        }
        print!("{line}");
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
    }
}

fn read_body(stream: &mut impl Read, length: Option<usize>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match length {
        Some(length) => {
            stream.take(length as u64).read_to_end(&mut body)?;
            if body.len() < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // Without a length the end of the connection is the end of the body, which is why that end
        // must be proven: a cut connection is an error here.
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

fn report(error: &io::Error) {
    let Some(tls) = Error::find(error) else {
        eprintln!("failed: {error}");
        return;
    };
    let whose = if is_ssl_error(error) { "TLS" } else { "the network" };
    eprintln!("failed by {whose}: {:?}\n{tls}", tls.kind());
    let mut source = std::error::Error::source(tls);
    while let Some(error) = source {
        eprintln!("because: {error}");
        source = error.source();
    }
    if matches!(tls.kind(), ErrorKind::Certificate(_)) {
        eprintln!("to connect all the same, without any security: --insecure");
    }
}
