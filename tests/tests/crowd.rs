//! Five thousand connections at once through one tokio listener, for each backend: each exchanges
//! data, all close cleanly, and 200 silent clients among them delay nobody. Prints how much memory a
//! connection takes.
//!
//! The server is a process of its own, so that the figure is of its side alone, and so that each
//! process needs half of the file descriptors.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the figures are for whoever runs the test, and its server speaks to its parent"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use polytls::tokio::{TlsStream, ssl_connect, ssl_listen};
use polytls::{
    Backend, ClientContext, ConnectOptions, Identity, ListenOptions, ServerContext, backend,
};
use polytls_conformance::bench::trust_only;
use polytls_conformance::pki::{self, NAME};
use polytls_conformance::{Failure, ensure, ensure_eq, watchdog};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 5_000;
const SILENT: usize = 200;

/// One end of each connection, and what a process has open beside.
const DESCRIPTORS: u64 = CONNECTIONS as u64 + SILENT as u64 + 200;

/// Far above what it takes, also on a loaded machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How many clients connect at the same time.
const AT_A_TIME: usize = 64;

/// Says to a process that it is the server, of the backend of this name.
const SERVE: &str = "POLYTLS_CROWD_SERVE";

fn main() {
    if let Ok(name) = std::env::var(SERVE) {
        return serve(&name).unwrap();
    }
    let trials = backend::all().iter().map(|backend| {
        let name = format!("crowd/{}", backend.name());
        Trial::test(name.clone(), move || {
            watchdog::run(&name, LIMIT, || gather(*backend))
                .map_err(|failure| Failed::from(failure.to_string()))
        })
    });
    // Two crowds at once would spoil each other's figures.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn gather(backend: &'static dyn Backend) -> Result<(), Failure> {
    raise_limit()?;
    let place = tempfile::tempdir()?;
    let credential = &pki::standard().server;
    std::fs::write(place.path().join("chain.pem"), credential.chain_pem())?;
    std::fs::write(place.path().join("key.pem"), credential.key_pem())?;
    let mut server = Server::start(backend, place.path())?;
    let context = ClientContext::builder()
        .backend(backend)
        .trust(trust_only(pki::standard().root.der()))
        .build()?;

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            silent.push(TcpStream::connect(("127.0.0.1", server.port)).await?);
        }
        let before = server.ask("memory")?;

        let start = Instant::now();
        let crowd = connect(&context, server.port).await?;
        let connected = start.elapsed();
        ensure_eq!(server.ask("open")?, CONNECTIONS);
        let each = server.ask("memory")?.saturating_sub(before) as f64 / CONNECTIONS as f64;

        let start = Instant::now();
        let crowd = together(crowd, exchange).await?;
        let exchanged = start.elapsed();

        let start = Instant::now();
        let crowd = together(crowd, close).await?;
        let closed = start.elapsed();
        ensure_eq!(server.ask("closed")?, CONNECTIONS);
        ensure_eq!(server.ask("failed")?, 0);
        drop((crowd, silent));

        println!(
            "{}: {CONNECTIONS} connections at once beside {SILENT} silent clients: connected in \
             {:.1} s, 1 KiB there and back for each in {:.1} s, closed in {:.1} s; {:.1} KiB of the \
             server's memory for each",
            backend.name(),
            connected.as_secs_f64(),
            exchanged.as_secs_f64(),
            closed.as_secs_f64(),
            each / 1024.0,
        );
        Ok(())
    })
}

fn raise_limit() -> Result<(), Failure> {
    let limit = rlimit::increase_nofile_limit(DESCRIPTORS)?;
    ensure!(
        limit >= DESCRIPTORS,
        "needs {DESCRIPTORS} file descriptors and may only open {limit}: raise the hard limit \
         (ulimit -Hn, or LimitNOFILE of the service)"
    );
    Ok(())
}

type Stream = TlsStream<TcpStream>;

async fn connect(context: &ClientContext, port: u16) -> Result<Vec<Stream>, Failure> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut connecting = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (places, context) = (places.clone(), context.clone());
        connecting.spawn(async move {
            let _place = places.acquire().await?;
            let options = ConnectOptions::new().context(context).host(NAME);
            let stream = ssl_connect(("127.0.0.1", port), options).await?;
            exchange(stream).await
        });
    }
    let mut crowd = Vec::with_capacity(CONNECTIONS);
    while let Some(connected) = connecting.join_next().await {
        crowd.push(connected??);
    }
    Ok(crowd)
}

/// Does something with every connection, with all of them at the same time.
async fn together<F>(crowd: Vec<Stream>, act: fn(Stream) -> F) -> Result<Vec<Stream>, Failure>
where
    F: Future<Output = Result<Stream, Failure>> + Send + 'static,
{
    let mut acting: JoinSet<_> = crowd.into_iter().map(act).collect();
    let mut crowd = Vec::with_capacity(CONNECTIONS);
    while let Some(done) = acting.join_next().await {
        crowd.push(done??);
    }
    Ok(crowd)
}

async fn exchange(mut stream: Stream) -> Result<Stream, Failure> {
    let question = [7; 1024];
    stream.write_all(&question).await?;
    stream.flush().await?;
    let mut answer = [0; 1024];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == question, "another answer");
    Ok(stream)
}

async fn close(mut stream: Stream) -> Result<Stream, Failure> {
    stream.shutdown().await?;
    // The server's own close_notify, and nothing before it.
    ensure_eq!(stream.read(&mut [0; 8]).await?, 0);
    Ok(stream)
}

/// The server's process, as its parent sees it.
struct Server {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(backend: &dyn Backend, place: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(SERVE, backend.name())
            .current_dir(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (asks, answers) = pipes.ok_or_else(|| Failure::new("the server has no pipes"))?;
        let mut server = Self { child, asks, answers: BufReader::new(answers), port: 0 };
        server.port = u16::try_from(server.answer()?)?;
        Ok(server)
    }

    /// A number that the server keeps.
    fn ask(&mut self, what: &str) -> Result<usize, Failure> {
        writeln!(self.asks, "{what}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<usize, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the server has ended");
        Ok(line.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    closed: AtomicUsize,
    failed: AtomicUsize,
}

/// The whole of the server's process: says its port, and then answers its parent until that is gone.
fn serve(name: &str) -> Result<(), Failure> {
    raise_limit()?;
    let identity = Identity::from_files("chain.pem", "key.pem")?;
    // The silent ones are to stay until the end.
    let context = ServerContext::builder(identity)
        .backend(backend::by_name(name)?)
        .handshake_timeout(2 * LIMIT)
        .build()?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = ListenOptions::new().backlog(4096);
    let listener = runtime.block_on(ssl_listen("127.0.0.1:0", context, options))?;
    let port = listener.local_addr()?.port();
    let counts = Arc::new(Counts::default());
    let counting = counts.clone();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counts = counting.clone();
            tokio::spawn(async move {
                match echo(stream, &counts).await {
                    Ok(()) => counts.closed.fetch_add(1, Ordering::SeqCst),
                    Err(_) => counts.failed.fetch_add(1, Ordering::SeqCst),
                }
            });
        }
    });
    println!("{port}");
    for line in std::io::stdin().lines() {
        println!(
            "{}",
            match line?.as_str() {
                "memory" => resident_bytes(),
                "open" => counts.open.load(Ordering::SeqCst),
                "failed" => counts.failed.load(Ordering::SeqCst),
                // The last clients have seen the end before the task that sent it goes on.
                _ => settled(&counts.closed),
            }
        );
    }
    Ok(())
}

async fn echo(mut stream: Stream, counts: &Counts) -> std::io::Result<()> {
    stream.handshake().await?;
    counts.open.fetch_add(1, Ordering::SeqCst);
    // As a server with this many clients does: no buffer is kept while nothing comes.
    let mut buf = vec![0; 1024];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buf[..n]).await?;
    }
}

fn settled(count: &AtomicUsize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    while count.load(Ordering::SeqCst) < CONNECTIONS && Instant::now() < deadline {
        std::thread::yield_now();
    }
    count.load(Ordering::SeqCst)
}

/// How much memory this process has in use, where the system tells; else 0.
fn resident_bytes() -> usize {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kib.unwrap_or(0) * 1024
}
