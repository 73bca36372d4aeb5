//! The facade allocates nothing for a read or a write, and an idle connection holds no I/O buffer.
//!
//! In one test, since whatever else the process did would be counted too.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::io::{IoSlice, Read, Write};

use polytls::{ClientContext, TlsStream, UpgradeOptions};
use polytls_benches::allocations::{Counter, of_operation};
use polytls_benches::ends::{Client, Server};
use polytls_benches::operation::Operation;
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Library, Mode, Setup, Side};
use polytls_benches::{CannedSocket, NullContext};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

#[global_allocator]
static ALLOCATOR: &Counter = &INSTRUMENTED_SYSTEM;

/// How often each operation is done.
const COUNT: usize = 64;

/// What an open stream may hold of the heap: session, negotiated facts, and no buffer.
const IDLE: usize = 1024;

#[test]
fn reads_and_writes_do_not_allocate() {
    by_itself();
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::create(dir.path()).unwrap();
    for library in Library::ALL {
        beside_the_library(library, &pki);
    }
}

/// Over a session that allocates nothing.
fn by_itself() {
    let mut stream = null_stream(&[7; 1024]);
    let mut buf = [0; 1024];
    // The first ones fill the pool.
    exchange(&mut stream, &mut buf);
    let region = Region::new(ALLOCATOR);
    for _ in 0..COUNT {
        exchange(&mut stream, &mut buf);
    }
    assert_eq!(region.change().allocations, 0, "reads and writes");

    let region = Region::new(ALLOCATOR);
    let mut another = null_stream(&[7; 1024]);
    another.read_exact(&mut buf).unwrap();
    another.write_all(&buf).unwrap();
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    // The canned record is the socket's.
    assert!(held <= IDLE + 1024 + 5, "an idle connection holds {held} bytes");
}

fn exchange(stream: &mut TlsStream<CannedSocket>, buf: &mut [u8]) {
    stream.write_all(buf).unwrap();
    stream.write_all(&[1; 64]).unwrap();
    let parts = [IoSlice::new(&buf[..10]), IoSlice::new(&buf[10..])];
    assert_eq!(stream.write_vectored(&parts).unwrap(), buf.len());
    stream.read_exact(buf).unwrap();
}

fn null_stream(payload: &[u8]) -> TlsStream<CannedSocket> {
    let context = ClientContext::from_connector(NullContext::connector());
    let options = UpgradeOptions::new().context(context).timeout(None);
    polytls::ssl_client_upgrade(CannedSocket::new(payload), "localhost", options).unwrap()
}

/// No more than the same library used plainly.
fn beside_the_library(library: Library, pki: &Pki) {
    for operation in [Operation::Send(64), Operation::RoundTrip(1024), Operation::RoundTrip(16384)]
    {
        for mode in Mode::ALL {
            let [facade, plain] = Side::BOTH.map(|side| {
                let setup = Setup::of(library);
                let client = Client::new(side, setup, pki).unwrap();
                let server = Server::new(side, setup, pki).unwrap();
                of_operation(ALLOCATOR, operation, mode, &client, &server).unwrap()
            });
            // A stray one is the operating system's timing (a queue that grows once), not the
            // facade's: that would be one for each operation.
            assert!(
                facade <= plain + 0.125,
                "{} {} {operation:?}: {facade} allocations, {plain} without the facade",
                library.name(),
                mode.name()
            );
        }
    }
}
