//! What is done over two ends of a connection, blocking and asynchronously.

use std::io::{self, IoSlice};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ends::{AsyncStream, Failure, Pair, Stream};

/// One operation.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// The client writes messages of this size one behind the other; the server reads them.
    Send(usize),
    /// The same with messages of a header and a body, in one vectored write.
    SendParts(usize, usize),
    /// The client writes a message of this size and waits for one of the same size.
    RoundTrip(usize),
}

/// How much a reader asks for at a time.
const READ: usize = 64 << 10;

impl Operation {
    /// Those whose system calls and allocations are counted, by name.
    pub const COUNTED: [(&'static str, Self); 4] = [
        ("write 64 B", Self::Send(64)),
        ("round trip 1 KiB", Self::RoundTrip(1 << 10)),
        ("round trip 16 KiB", Self::RoundTrip(16 << 10)),
        ("bulk 256 KiB", Self::Send(256 << 10)),
    ];

    fn size(self) -> usize {
        match self {
            Self::Send(size) | Self::RoundTrip(size) => size,
            Self::SendParts(header, body) => header + body,
        }
    }

    /// Does it `count` times over blocking streams, with a thread for the server.
    ///
    /// # Errors
    ///
    /// Of a stream.
    pub fn run(
        self,
        client: &mut dyn Stream,
        server: &mut dyn Stream,
        count: usize,
    ) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let server = scope.spawn(move || self.serve(server, count));
            self.request(client, count)?;
            server.join().map_err(|_| "the server panicked")??;
            Ok(())
        })
    }

    fn request(self, stream: &mut dyn Stream, count: usize) -> io::Result<()> {
        let message = vec![7; self.size()];
        let mut answer = vec![0; self.size()];
        for _ in 0..count {
            match self {
                Self::Send(_) => stream.write_all(&message)?,
                Self::SendParts(header, _) => {
                    let (header, body) = message.split_at(header);
                    let mut parts = [IoSlice::new(header), IoSlice::new(body)];
                    let mut parts = &mut parts[..];
                    while !parts.is_empty() {
                        let n = stream.write_vectored(parts)?;
                        IoSlice::advance_slices(&mut parts, n);
                    }
                }
                Self::RoundTrip(_) => {
                    stream.write_all(&message)?;
                    stream.flush()?;
                    stream.read_exact(&mut answer)?;
                }
            }
        }
        stream.flush()
    }

    fn serve(self, stream: &mut dyn Stream, count: usize) -> io::Result<()> {
        if let Self::RoundTrip(size) = self {
            let mut message = vec![0; size];
            for _ in 0..count {
                stream.read_exact(&mut message)?;
                stream.write_all(&message)?;
                stream.flush()?;
            }
            return Ok(());
        }
        let mut buf = vec![0; READ];
        let mut left = self.size() * count;
        while left > 0 {
            match stream.read(&mut buf)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => left -= n,
            }
        }
        Ok(())
    }

    /// Does it `count` times over asynchronous streams, with a task for each, and gives them back.
    ///
    /// # Errors
    ///
    /// Of a stream.
    pub async fn run_async(
        self,
        (mut client, mut server): Pair<dyn AsyncStream>,
        count: usize,
    ) -> Result<Pair<dyn AsyncStream>, Failure> {
        let server =
            tokio::spawn(
                async move { self.serve_async(&mut *server, count).await.map(|()| server) },
            );
        let client =
            tokio::spawn(
                async move { self.request_async(&mut *client, count).await.map(|()| client) },
            );
        Ok((client.await??, server.await??))
    }

    async fn request_async(self, stream: &mut dyn AsyncStream, count: usize) -> io::Result<()> {
        let message = vec![7; self.size()];
        let mut answer = vec![0; self.size()];
        for _ in 0..count {
            match self {
                Self::Send(_) => stream.write_all(&message).await?,
                Self::SendParts(header, _) => {
                    let (header, body) = message.split_at(header);
                    let mut parts = [IoSlice::new(header), IoSlice::new(body)];
                    let mut parts = &mut parts[..];
                    while !parts.is_empty() {
                        let n = stream.write_vectored(parts).await?;
                        IoSlice::advance_slices(&mut parts, n);
                    }
                }
                Self::RoundTrip(_) => {
                    stream.write_all(&message).await?;
                    stream.flush().await?;
                    stream.read_exact(&mut answer).await?;
                }
            }
        }
        stream.flush().await
    }

    async fn serve_async(self, stream: &mut dyn AsyncStream, count: usize) -> io::Result<()> {
        if let Self::RoundTrip(size) = self {
            let mut message = vec![0; size];
            for _ in 0..count {
                stream.read_exact(&mut message).await?;
                stream.write_all(&message).await?;
                stream.flush().await?;
            }
            return Ok(());
        }
        let mut buf = vec![0; READ];
        let mut left = self.size() * count;
        while left > 0 {
            match stream.read(&mut buf).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => left -= n,
            }
        }
        Ok(())
    }
}
