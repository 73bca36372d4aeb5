//! Rows that need a process of their own: the first of something, the environment, memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use polytls_benches::ends::{Client, Failure, Server};
use polytls_benches::handshakes::many;
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Key, Library, Mode, Setup, Side, Version};
use polytls_benches::transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::report::{Row, Run, Target, cpu_of};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// Connections of an idle server that are counted, and those before, which warm everything up.
const IDLE: usize = 1000;
const WARM: usize = 200;

/// All rows of children.
pub(crate) fn rows(run: &mut Run) -> Result<(), Failure> {
    for library in Library::ALL {
        contexts(run, library)?;
    }
    for library in Library::ALL {
        requests(run, library)?;
    }
    for version in Version::ALL {
        for library in Library::ALL {
            reconnects(run, library, version)?;
        }
    }
    for library in Library::ALL {
        first_handshake(run, library)?;
    }
    for library in Library::ALL {
        for mode in Mode::ALL {
            idle(run, library, mode)?;
        }
    }
    Ok(())
}

fn contexts(run: &mut Run, library: Library) -> Result<(), Failure> {
    let pki = run.pki.clone();
    let first = Row::new("default context, first", library, None);
    if run.wants(&first) {
        run.measure(&first, 7, |side| figure(&pki, &["contexts", library.name(), side.name()], 0))?;
    }
    let second = Row::new("default context, second", library, None).target(Target::Figure(1.0));
    if run.wants(&second) {
        run.measure(&second, 7, |side| {
            figure(&pki, &["contexts", library.name(), side.name()], 1)
        })?;
    }
    Ok(())
}

fn requests(run: &mut Run, library: Library) -> Result<(), Failure> {
    let target = Target::Ratio(match library {
        Library::Rustls => 0.12,
        Library::Openssl => 0.04,
        Library::Native => 0.02,
    });
    let row = Row::new("connection per request, defaults", library, None).target(target);
    if !run.wants(&row) {
        return Ok(());
    }
    let (pki, count) = (run.pki.clone(), run.scaled(50).to_string());
    run.measure(&row, 7, |side| figure(&pki, &["requests", library.name(), side.name(), &count], 0))
}

fn reconnects(run: &mut Run, library: Library, version: Version) -> Result<(), Failure> {
    let target = match (library, version) {
        (Library::Rustls, Version::Tls13) => Target::Ratio(1.00),
        (Library::Rustls, Version::Tls12) => Target::Ratio(1.02),
        (Library::Openssl, Version::Tls13) => Target::Ratio(0.55),
        (Library::Openssl, Version::Tls12) => Target::Ratio(0.23),
        (Library::Native, _) => Target::None,
    };
    let name = format!("reconnect, defaults, {}", version.name());
    let row = Row::new(name, library, None).target(target);
    if !run.wants(&row) {
        return Ok(());
    }
    let (pki, count) = (run.pki.clone(), run.scaled(200).to_string());
    run.measure(&row, 9, |side| {
        figure(&pki, &["reconnects", library.name(), side.name(), version.name(), &count], 0)
    })
}

fn first_handshake(run: &mut Run, library: Library) -> Result<(), Failure> {
    let row = Row::new("first handshake of a process", library, None);
    if !run.wants(&row) {
        return Ok(());
    }
    let pki = run.pki.clone();
    run.measure(&row, 9, |side| figure(&pki, &["first", library.name(), side.name()], 0))
}

fn idle(run: &mut Run, library: Library, mode: Mode) -> Result<(), Failure> {
    let row = Row::new("idle server connection", library, Some(mode))
        .unit("bytes")
        .target(Target::Ratio(1.05));
    if !run.wants(&row) {
        return Ok(());
    }
    let (pki, count) = (run.pki.clone(), run.scaled(IDLE));
    run.measure(&row, 3, |side| {
        let setup = Setup::of(library);
        let count_text = count.to_string();
        let arguments = ["idle", library.name(), side.name(), mode.name(), &count_text];
        let (child, mut output) = spawn(&pki, &arguments)?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        let address = line.trim().parse()?;
        let client = Client::new(Side::Plain, setup, &pki)?;
        let mut open = Vec::with_capacity(WARM + count);
        for _ in 0..WARM + count {
            let mut stream = client.connect(transport::connect(address, None)?)?;
            stream.write_all(&[1])?;
            stream.flush()?;
            stream.read_exact(&mut [0])?;
            open.push(stream);
        }
        finish(child, output, 0)
    })
}

/// Runs a child, and gives the n-th of the figures it prints.
fn figure(pki: &Pki, arguments: &[&str], which: usize) -> Result<f64, Failure> {
    let (child, output) = spawn(pki, arguments)?;
    finish(child, output, which)
}

fn spawn(
    pki: &Pki,
    arguments: &[&str],
) -> Result<((Child, ChildStdin), BufReader<std::process::ChildStdout>), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(FLAG)
        .arg(pki.dir())
        .args(arguments)
        // Ours is trusted among the system's.
        .env("SSL_CERT_FILE", pki.bundle())
        // Debian's default is a file and a directory; those who take one take the other too.
        .env("SSL_CERT_DIR", "/etc/ssl/certs")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("a child without output")?;
    let input = child.stdin.take().ok_or("a child without input")?;
    Ok(((child, input), BufReader::new(output)))
}

fn finish(
    (mut child, input): (Child, ChildStdin),
    mut output: impl Read,
    which: usize,
) -> Result<f64, Failure> {
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    drop(input);
    if !child.wait()?.success() {
        return Err("a child failed".into());
    }
    let figure = text.split_whitespace().nth(which).ok_or("a child said nothing")?;
    Ok(figure.parse()?)
}

/// What a child does: the arguments behind [`FLAG`].
pub(crate) fn main(arguments: &[String]) -> Result<(), Failure> {
    let [dir, what, library, side, rest @ ..] = arguments else {
        return Err("a child needs four arguments".into());
    };
    let pki = Pki::open(dir.as_ref());
    let library: Library = library.parse()?;
    let side: Side = side.parse()?;
    polytls::backend::set_default(library.backend())?;
    match (what.as_str(), rest) {
        ("contexts", []) => {
            println!("{}", cpu_of(1, || Client::with_defaults(side, library))?.0);
            // Reading the clock costs as much as a context that is shared.
            let count = if side == Side::Facade { 1000 } else { 3 };
            let further = || {
                (0..count)
                    .map(|_| Client::with_defaults(side, library))
                    .collect::<Result<Vec<_>, _>>()
            };
            println!("{}", cpu_of(count, further)?.0);
        }
        ("requests", [count]) => {
            let setup = Setup::of(library);
            let server = Server::with_defaults(side, setup, &pki)?;
            // Once beforehand: the shared context is built with the first connection of a process,
            // whose cost is a row of its own.
            one_by_one(1, &server, || Client::with_defaults(side, library))?;
            let count = count.parse()?;
            println!("{}", one_by_one(count, &server, || Client::with_defaults(side, library))?);
        }
        ("reconnects", [version, count]) => {
            let setup = Setup { version: version.parse()?, ..Setup::of(library) };
            let server = Server::with_defaults(side, setup, &pki)?;
            let client = Client::with_defaults(side, library)?;
            one_by_one(5, &server, || Ok(client.clone()))?;
            println!("{}", one_by_one(count.parse()?, &server, || Ok(client.clone()))?);
        }
        ("first", []) => {
            // With both contexts: whichever of them wakes the library up first pays for that.
            let taken = cpu_of(1, || {
                let setup = Setup::of(library);
                let client = Client::new(side, setup, &pki)?;
                let server = Server::new(side, setup, &pki)?;
                many(&client, &[server], &transport::listener(None)?, 1)
            });
            println!("{}", taken?.0);
        }
        ("idle", [mode, count]) => {
            let setup =
                Setup { library, version: library.version(), key: Key::P256, resumption: true };
            let server = Server::new(side, setup, &pki)?;
            println!("{}", idle_server(&server, mode.parse()?, count.parse()?)?);
        }
        _ => return Err("a child does not know what to do".into()),
    }
    Ok(())
}

/// Connections with a handshake, a request, an answer and a proper end, each with the context that
/// `client` gives.
fn one_by_one(
    count: usize,
    server: &Server,
    client: impl Fn() -> Result<Client, Failure>,
) -> Result<f64, Failure> {
    let listener = transport::listener(None)?;
    let address = listener.local_addr()?;
    let run = cpu_of(count, || {
        std::thread::scope(|scope| {
            let served = scope.spawn(|| -> Result<(), Failure> {
                let mut message = [0; 1024];
                for _ in 0..count {
                    let mut stream = server.accept(transport::accept(&listener)?)?;
                    stream.read_exact(&mut message)?;
                    stream.write_all(&message)?;
                    stream.flush()?;
                    stream.finish()?;
                }
                Ok(())
            });
            let mut message = [0; 1024];
            for _ in 0..count {
                let mut stream = client()?.connect(transport::connect(address, None)?)?;
                stream.write_all(&message)?;
                stream.flush()?;
                stream.read_exact(&mut message)?;
                stream.finish()?;
            }
            served.join().map_err(|_| "the server panicked")?
        })
    });
    run.map(|(taken, ())| taken)
}

/// Opens connections, and gives the bytes that each of them keeps resident: OpenSSL allocates on its
/// own, so only the system sees all of it.
fn idle_server(server: &Server, mode: Mode, count: usize) -> Result<f64, Failure> {
    let listener = transport::listener(None)?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut before = 0;
    match mode {
        Mode::Blocking => {
            let mut open = Vec::with_capacity(WARM + count);
            for i in 0..WARM + count {
                if i == WARM {
                    before = resident()?;
                }
                let mut stream = server.accept(transport::accept(&listener)?)?;
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                stream.write_all(&byte)?;
                stream.flush()?;
                open.push(stream);
            }
            Ok((resident()? - before) as f64 / count as f64)
        }
        Mode::Tokio => runtime()?.block_on(async {
            let mut open = Vec::with_capacity(WARM + count);
            for i in 0..WARM + count {
                if i == WARM {
                    before = resident()?;
                }
                let transport = transport::for_tokio(transport::accept(&listener)?)?;
                let mut stream = server.accept_async(transport).await?;
                let mut byte = [0];
                stream.read_exact(&mut byte).await?;
                stream.write_all(&byte).await?;
                stream.flush().await?;
                // Waiting, as an idle connection does.
                let wait = tokio::time::timeout(Duration::ZERO, stream.read(&mut byte));
                if wait.await.is_ok() {
                    return Err("a client that should be idle is not".into());
                }
                open.push(stream);
            }
            Ok((resident()? - before) as f64 / count as f64)
        }),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = status.lines().find(|line| line.starts_with("Anonymous:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).ok_or("no figure")?;
    Ok(kib.parse::<u64>()? * 1024)
}
