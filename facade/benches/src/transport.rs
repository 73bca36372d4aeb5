//! TCP connections over loopback, all set up alike.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// What a socket of the kernel buffers; `None` is the system's default, which grows by itself.
pub type Buffer = Option<usize>;

/// Fixed buffer sizes for bulk rows: throughput over loopback has two states, and which one a
/// connection falls into depends on them. Below 64 KiB, which no system defaults to, the window is
/// smaller than a segment of loopback, and it is chance: either side may take twice the other's time.
pub const BUFFERS: [usize; 6] = [64 << 10, 96 << 10, 128 << 10, 192 << 10, 256 << 10, 512 << 10];

/// A listener whose connections have buffers of this size.
///
/// # Errors
///
/// Of the system.
pub fn listener(buffer: Buffer) -> io::Result<TcpListener> {
    let socket = new_socket(buffer)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// A connection to such a listener.
///
/// # Errors
///
/// Of the system.
pub fn connect(address: SocketAddr, buffer: Buffer) -> io::Result<TcpStream> {
    let socket = new_socket(buffer)?;
    socket.connect(&address.into())?;
    // Left off, it costs 44 ms for each request behind a handshake.
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// A connection from such a listener.
///
/// # Errors
///
/// Of the system.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Both ends of a connection.
///
/// # Errors
///
/// Of the system.
pub fn pair(buffer: Buffer) -> io::Result<(TcpStream, TcpStream)> {
    let listener = listener(buffer)?;
    let client = connect(listener.local_addr()?, buffer)?;
    Ok((client, accept(&listener)?))
}

/// The same stream for the current tokio runtime.
///
/// # Errors
///
/// Of the system.
pub fn for_tokio(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

fn new_socket(buffer: Buffer) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(size) = buffer {
        socket.set_send_buffer_size(size)?;
        socket.set_recv_buffer_size(size)?;
    }
    Ok(socket)
}
