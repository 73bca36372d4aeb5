//! The facade's own instructions per read and write, with a budget that fails the run.
//!
//! A session that only copies and a socket that sends nowhere stand below the facade. What they cost
//! by themselves is measured too, with a limit of its own, and comes off.
//!
//! ```text
//! cargo bench -p polytls-benches --bench instructions
//! ```
//!
//! Needs valgrind, and `gungraun-runner` of the version that Cargo.lock names for `gungraun`.
#![forbid(unsafe_code)]
#![expect(missing_docs, reason = "what the macros of the harness generate has none")]

use std::hint::black_box;
use std::io::{Read, Write};

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};
use polytls::{ClientContext, TlsStream, UpgradeOptions};
use polytls_benches::direct::Direct;
use polytls_benches::{CannedSocket, NullContext};

/// How many reads or writes one figure is of.
const COUNT: usize = 1000;

/// What the facade may cost per read or write.
const BUDGET: u64 = 400;

/// What session, wire and socket cost per write and per read: as much as was measured, and a little.
const BELOW_WRITE: u64 = 370;
const BELOW_READ: u64 = 430;

const SIZE: usize = 64;

fn limit(per_call: u64) -> LibraryBenchmarkConfig {
    let callgrind =
        Callgrind::default().hard_limits([(EventKind::Ir, per_call * COUNT as u64)]).clone();
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

fn stream() -> TlsStream<CannedSocket> {
    let context = ClientContext::from_connector(NullContext::connector());
    let options = UpgradeOptions::new().context(context).timeout(None);
    let socket = CannedSocket::new(&[7; SIZE]);
    let Ok(mut stream) = polytls::ssl_client_upgrade(socket, "localhost", options) else {
        std::process::abort()
    };
    // Once beforehand: the first buffers come from the system, all later ones from the pool.
    write(&mut stream);
    read(&mut stream);
    stream
}

fn direct() -> (Direct, CannedSocket) {
    let (mut direct, socket) = (Direct::default(), CannedSocket::new(&[7; SIZE]));
    direct.write(&socket, &[7; SIZE]);
    direct.read(&socket, &mut [0; SIZE]);
    (direct, socket)
}

fn write(stream: &mut TlsStream<CannedSocket>) {
    black_box(stream.write(black_box(&[7; SIZE])).is_ok());
}

fn read(stream: &mut TlsStream<CannedSocket>) {
    black_box(stream.read(black_box(&mut [0; SIZE])).is_ok());
}

#[library_benchmark(config = limit(BELOW_WRITE + BUDGET))]
#[bench::blocking(stream())]
fn facade_write(mut stream: TlsStream<CannedSocket>) -> TlsStream<CannedSocket> {
    for _ in 0..COUNT {
        write(&mut stream);
    }
    stream
}

#[library_benchmark(config = limit(BELOW_READ + BUDGET))]
#[bench::blocking(stream())]
fn facade_read(mut stream: TlsStream<CannedSocket>) -> TlsStream<CannedSocket> {
    for _ in 0..COUNT {
        read(&mut stream);
    }
    stream
}

#[library_benchmark(config = limit(BELOW_WRITE))]
#[bench::by_hand(direct())]
fn below_write((mut direct, socket): (Direct, CannedSocket)) -> Direct {
    for _ in 0..COUNT {
        black_box(direct.write(&socket, black_box(&[7; SIZE])));
    }
    direct
}

#[library_benchmark(config = limit(BELOW_READ))]
#[bench::by_hand(direct())]
fn below_read((mut direct, socket): (Direct, CannedSocket)) -> Direct {
    for _ in 0..COUNT {
        black_box(direct.read(&socket, black_box(&mut [0; SIZE])));
    }
    direct
}

library_benchmark_group!(
    name = per_call,
    benchmarks = [facade_write, facade_read, below_write, below_read]
);
main!(library_benchmark_groups = per_call);
