//! What carries the bytes between two ends.
//!
//! | file | holds |
//! |---|---|
//! | `entangled` | [`Entangled`], a stream that has to receive before it sends |
//! | `once` | [`Once`], a listener that has one stream to give |
//! | `panicky` | [`Panicky`], a stream that panics |
//! | `pipe` | [`Pipe`], a stream in memory that can deliver, cut, alter and remember |
//! | `stingy` | [`Stingy`], a stream that times out all the time |
//!
//! Cases see a [`Transport`] and never ask which one it is.

mod entangled;
mod once;
mod panicky;
mod pipe;
mod stingy;

use std::fmt;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use polytls::StreamSocket;

pub use entangled::Entangled;
pub use once::Once;
pub use panicky::{Fuses, Panicky};
pub use pipe::{Delivery, Pipe, PipeOptions, Tap, pipe, pipe_with};
pub use stingy::Stingy;

/// What carries the bytes, and which kind of stream drives the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In memory, each piece as it was sent.
    Whole,
    /// In memory, one byte at a time.
    Bytewise,
    /// In memory, everything that was sent before the sender waits, at once.
    Coalesced,
    /// A TCP connection over loopback, blocking.
    Tcp,
    /// A TCP connection over loopback, driven by tokio.
    Tokio,
}

impl Transport {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Whole, Self::Bytewise, Self::Coalesced, Self::Tcp, Self::Tokio];

    /// The name in a test's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Bytewise => "bytewise",
            Self::Coalesced => "coalesced",
            Self::Tcp => "tcp",
            Self::Tokio => "tokio",
        }
    }

    /// Two connected streams, the client's first.
    pub fn pair(self) -> (Carrier, Carrier) {
        let delivery = match self {
            Self::Whole => Delivery::Whole,
            Self::Bytewise => Delivery::OneByte,
            Self::Coalesced => Delivery::Coalesced,
            Self::Tcp | Self::Tokio => {
                let (client, server) = tcp_pair();
                return (Carrier::Tcp(client), Carrier::Tcp(server));
            }
        };
        let (client, server) = pipe(delivery);
        (Carrier::Pipe(client), Carrier::Pipe(server))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One end of a transport, before anything speaks TLS over it.
#[derive(Debug)]
pub enum Carrier {
    /// An end of a pipe in memory.
    Pipe(Pipe),
    /// An end of a TCP connection.
    Tcp(TcpStream),
}

impl Carrier {
    /// The stream, whichever it is, to look at.
    pub fn stream(&self) -> &dyn StreamSocket {
        match self {
            Self::Pipe(pipe) => pipe,
            Self::Tcp(stream) => stream,
        }
    }

    /// The stream, whichever it is.
    pub fn into_stream(self) -> Box<dyn StreamSocket> {
        match self {
            Self::Pipe(pipe) => Box::new(pipe),
            Self::Tcp(stream) => Box::new(stream),
        }
    }
}

/// A TCP connection over loopback, on ports that the system chose; the client's end first.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    // As `ssl_connect` does; otherwise the delayed acknowledgements of small writes take the time.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    (client, server)
}
