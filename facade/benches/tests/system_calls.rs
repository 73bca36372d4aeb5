//! A message of up to three records is one call to send and one to receive, whatever the backend.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::io::{Read, Write};
use std::sync::Arc;

use polytls_benches::ends::{Client, Server, Stream, open};
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Key, Library, Setup, Side, Version};
use polytls_benches::{Calls, Counted, transport};

#[test]
fn one_call_for_each_message() {
    for library in Library::ALL {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::create(dir.path()).unwrap();
        let mut ends = Ends::open(Setup::of(library), &pki);
        // What comes behind the handshake, tickets, goes with the first answer.
        ends.exchange(1);
        for size in [1, 64, 1024, 16 << 10, 48 << 10] {
            let name = library.name();
            assert_eq!(ends.exchange(size), [(1, 1), (1, 1)], "{name}, {size} bytes");
        }
    }
}

/// Two flights each way (RFC 5246, section 7.3; RFC 8446, section 2, where the server's second is its
/// tickets).
#[test]
fn one_call_for_each_flight() {
    for library in Library::ALL {
        for version in Version::ALL {
            let setup = Setup { library, version, key: Key::P256, resumption: false };
            let dir = tempfile::tempdir().unwrap();
            let pki = Pki::create(dir.path()).unwrap();
            let ends = Ends::open(setup, &pki);
            let [client, server] = ends.calls.each_ref().map(|calls| calls.take_receive_send());
            // Each flight may come in two pieces: the peer's records leave in one call, but the
            // kernel may hand out the first segment before the second is there.
            let name = library.name();
            assert_eq!(client.1, 2, "{name} {version:?}: the client sends");
            assert_eq!(server.1, 2, "{name} {version:?}: the server sends");
            assert!(client.0 <= 4, "{name} {version:?}: the client receives {client:?}");
            assert!(server.0 <= 4, "{name} {version:?}: the server receives {server:?}");
        }
    }
}

struct Ends {
    client: Box<dyn Stream>,
    server: Box<dyn Stream>,
    /// Of the client and of the server.
    calls: [Arc<Calls>; 2],
}

impl Ends {
    fn open(setup: Setup, pki: &Pki) -> Self {
        let client = Client::new(Side::Facade, setup, pki).unwrap();
        let server = Server::new(Side::Facade, setup, pki).unwrap();
        let calls = [Arc::default(), Arc::default()];
        let (near, far) = transport::pair(Some(192 << 10)).unwrap();
        let (near, far) = (Counted::new(near, &calls[0]), Counted::new(far, &calls[1]));
        let (client, server) = open(&client, &server, near, far).unwrap();
        Self { client, server, calls }
    }

    /// A message there and back, one after the other in this thread; the calls of each end, received
    /// and sent.
    fn exchange(&mut self, size: usize) -> [(usize, usize); 2] {
        for calls in &self.calls {
            calls.take();
        }
        let mut message = vec![7; size];
        self.client.write_all(&message).unwrap();
        self.client.flush().unwrap();
        self.server.read_exact(&mut message).unwrap();
        self.server.write_all(&message).unwrap();
        self.server.flush().unwrap();
        self.client.read_exact(&mut message).unwrap();
        self.calls.each_ref().map(|calls| calls.take_receive_send())
    }
}
