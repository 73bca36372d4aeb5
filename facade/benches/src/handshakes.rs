//! Many connections, all of which stay open.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ends::{AsyncStream, Client, Failure, Server, Stream};
use crate::transport;

/// Clients' and servers' ends.
pub type Pairs<C> = (Vec<C>, Vec<C>);

/// Connections one after the other, each with a handshake and one byte there and back, to the servers in
/// turns.
///
/// # Errors
///
/// Of a library.
pub fn many(
    client: &Client,
    servers: &[Server],
    listener: &TcpListener,
    count: usize,
) -> Result<Pairs<Box<dyn Stream>>, Failure> {
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let accepted = scope.spawn(move || -> Result<_, Failure> {
            let mut streams = Vec::with_capacity(count);
            for server in servers.iter().cycle().take(count) {
                let mut stream = server.accept(transport::accept(listener)?)?;
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                stream.write_all(&byte)?;
                stream.flush()?;
                streams.push(stream);
            }
            Ok(streams)
        });
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = client.connect(transport::connect(address, None)?)?;
            stream.write_all(&[1])?;
            stream.flush()?;
            stream.read_exact(&mut [0])?;
            clients.push(stream);
        }
        let accepted = accepted.join().map_err(|_| "the server panicked")??;
        Ok((clients, accepted))
    })
}

/// The same asynchronously.
///
/// # Errors
///
/// Of a library.
pub async fn many_async(
    client: &Client,
    servers: &[Server],
    listener: Arc<tokio::net::TcpListener>,
    count: usize,
) -> Result<Pairs<Box<dyn AsyncStream>>, Failure> {
    let address = listener.local_addr()?;
    let (client, servers) = (client.clone(), servers.to_vec());
    let accepted = tokio::spawn(async move {
        let mut streams = Vec::with_capacity(count);
        for server in servers.iter().cycle().take(count) {
            let (transport, _) = listener.accept().await?;
            transport.set_nodelay(true)?;
            let mut stream = server.accept_async(transport).await?;
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            stream.write_all(&byte).await?;
            stream.flush().await?;
            streams.push(stream);
        }
        Ok::<_, Failure>(streams)
    });
    let clients = tokio::spawn(async move {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let transport = tokio::net::TcpStream::connect(address).await?;
            transport.set_nodelay(true)?;
            let mut stream = client.connect_async(transport).await?;
            stream.write_all(&[1]).await?;
            stream.flush().await?;
            stream.read_exact(&mut [0]).await?;
            streams.push(stream);
        }
        Ok::<_, Failure>(streams)
    });
    Ok((clients.await??, accepted.await??))
}
