//! What a tokio stream promises beside deadlines.

use std::io::IoSlice;

use polytls::tokio::{HandshakenListener, TlsListener, TlsStream};
use polytls::{ErrorKind, ServerName, Tls};
use polytls_conformance::bench::pattern;
use polytls_conformance::pki::NAME;
use polytls_conformance::sessions::records;
use polytls_conformance::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::listener::memory_listener;
use crate::support::{Outcome, both, client, connected, converse, paused, real, server, tcp_pair};

pub(crate) const CASES: &[Case] = &[
    Case::new("stream::both_write_ten_megabytes", both_write_ten_megabytes).no_transport(),
    Case::new("stream::both_write_over_little_room", both_write_over_little_room).no_transport(),
    Case::new("stream::halves_in_two_tasks", halves_in_two_tasks).no_transport(),
    Case::new("stream::halves_shake_hands", halves_shake_hands).no_transport(),
    Case::new("stream::flush_hands_over", flush_hands_over).no_transport(),
    Case::new("stream::half_close", half_close).no_transport(),
    Case::new("stream::vectored_writes_share_records", vectored_writes_share_records)
        .no_transport(),
    Case::new("stream::tls_inside_tls", tls_inside_tls).no_transport(),
    Case::new("stream::outer_failure_is_told", outer_failure_is_told).no_transport(),
    Case::new("stream::same_facts", same_facts).no_transport(),
    Case::new("stream::leftover", leftover).no_transport(),
    Case::new("stream::closed_before_the_handshake", closed_before_the_handshake)
        .each_server()
        .no_transport(),
];

/// Streams go where tokio's own go.
#[expect(dead_code, reason = "compiling it is the test")]
fn traits() {
    fn usable<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    usable::<TlsStream<TcpStream>>();
    usable::<TlsStream<DuplexStream>>();
    usable::<TlsStream<TlsStream<TcpStream>>>();
    usable::<TlsListener>();
    usable::<HandshakenListener<tokio::net::TcpListener>>();
    fn sendable<T: Send>(_: T) {}
    fn futures(stream: &mut TlsStream<TcpStream>, listener: &TlsListener) {
        sendable(stream.handshake());
        sendable(stream.close());
        sendable(listener.accept());
        sendable(polytls::tokio::ssl_connect("host:1", polytls::ConnectOptions::new()));
    }
}

const TEN_MEGABYTES: usize = 10 << 20;

/// Over sockets with small buffers, with reads polled alongside: nobody waits for ever.
fn both_write_ten_megabytes(bench: &Bench) -> Outcome {
    let data = pattern(TEN_MEGABYTES);
    real(async {
        let (near, far) = tcp_pair()?;
        for socket in [&near, &far] {
            SockRef::from(socket).set_send_buffer_size(16 << 10)?;
            SockRef::from(socket).set_recv_buffer_size(64 << 10)?;
        }
        both(async { converse(client(bench, near).await?, &data, &data).await }, async {
            converse(server(bench, far).await?, &data, &data).await
        })
        .await
    })
}

fn both_write_over_little_room(bench: &Bench) -> Outcome {
    let data = pattern(1 << 20);
    paused(async {
        let (near, far) = tokio::io::duplex(500);
        both(async { converse(client(bench, near).await?, &data, &data).await }, async {
            converse(server(bench, far).await?, &data, &data).await
        })
        .await
    })
}

/// Reader and writer in tasks of their own, on more than one thread.
fn halves_in_two_tasks(bench: &Bench) -> Outcome {
    let data = std::sync::Arc::new(pattern(2 << 20));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (near, far) = tcp_pair()?;
        let (client, server) = tokio::join!(client(bench, near), server(bench, far));
        let mut tasks = tokio::task::JoinSet::new();
        for stream in [client?, server?] {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let (said, heard) = (data.clone(), data.clone());
            tasks.spawn(async move {
                for piece in said.chunks(30_000) {
                    writer.write_all(piece).await?;
                }
                writer.shutdown().await?;
                Ok::<_, Failure>(())
            });
            tasks.spawn(async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await?;
                ensure!(all == *heard, "{} bytes are not what was said", all.len());
                Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}

/// Both halves begin before the handshake: whichever finishes it must wake the other.
fn halves_shake_hands(bench: &Bench) -> Outcome {
    let (question, answer) = (pattern(5000), pattern(70_000));
    for capacity in [1, 100, 64 << 10] {
        paused(async {
            let (listener, dial) = memory_listener(bench.server().build()?);
            let (near, far) = tokio::io::duplex(capacity);
            dial.connect(far);
            let (server, _) = listener.accept().await?;
            let (mut reader, mut writer) = tokio::io::split(server);
            let (hear, say) = (question.clone(), answer.clone());
            let reads = tokio::spawn(async move {
                let mut heard = Vec::new();
                reader.read_to_end(&mut heard).await?;
                ensure!(heard == hear, "{} bytes are not what was said", heard.len());
                Ok::<_, Failure>(())
            });
            let writes = tokio::spawn(async move {
                writer.write_all(&say).await?;
                writer.shutdown().await?;
                Ok::<_, Failure>(())
            });
            both(async { converse(client(bench, near).await?, &question, &answer).await }, async {
                reads.await??;
                writes.await?
            })
            .await
        })?;
    }
    Ok(())
}

/// After a flush the bytes are with the transport, whoever polls the writer again, or nobody.
fn flush_hands_over(bench: &Bench) -> Outcome {
    let data = pattern(100_000);
    paused(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let near = tokio::io::BufWriter::with_capacity(1 << 20, near);
        let (client, server) = tokio::join!(client(bench, near), server(bench, far));
        let (mut client, mut server) = (client?, server?);
        client.write_all(&data).await?;
        client.flush().await?;
        let mut heard = vec![0; data.len()];
        server.read_exact(&mut heard).await?;
        ensure!(heard == data, "not what was written");
        drop(client);
        ensure_eq!(server.read(&mut [0; 8]).await?, 0, "a drop with nothing unsent says goodbye");
        Ok(())
    })
}

fn half_close(bench: &Bench) -> Outcome {
    let answer = pattern(100_000);
    paused(async {
        let (mut client, mut server) = connected(bench, 10_000).await?;
        both(
            async {
                client.write_all(b"all I have").await?;
                client.shutdown().await?;
                expect_kind(client.write(b"x").await, ErrorKind::Closed)?;
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await?;
                ensure!(heard == answer, "the answer is not whole");
                Ok(client.shutdown().await?)
            },
            async {
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await?;
                ensure_eq!(heard, b"all I have");
                server.write_all(&answer).await?;
                Ok(server.close().await?)
            },
        )
        .await
    })
}

/// A hundred small pieces are one record, not a hundred.
fn vectored_writes_share_records(bench: &Bench) -> Outcome {
    paused(async {
        let (mut client, server) = connected(bench, 64 << 10).await?;
        ensure!(client.is_write_vectored(), "writes are vectored");
        let pieces: Vec<_> = (0..100).map(|_| IoSlice::new(b"a small piece")).collect();
        let n = client.write_vectored(&pieces).await?;
        ensure_eq!(n, 1300);
        client.flush().await?;
        let (mut transport, _) = server.into_inner();
        let mut sent = vec![0; 8192];
        let n = transport.read(&mut sent).await?;
        // OpenSSL against attacks on CBC may put an empty one before; nobody needs more.
        let count = records(&sent[..n]).len();
        ensure!(count <= 2, "{count} records");
        Ok(())
    })
}

fn tls_inside_tls(bench: &Bench) -> Outcome {
    let (question, answer) = (pattern(300_000), pattern(200_000));
    paused(async {
        let (near, far) = tokio::io::duplex(5000);
        both(
            async {
                let outer = client(bench, near).await?;
                converse(client(bench, outer).await?, &question, &answer).await
            },
            async {
                let outer = server(bench, far).await?;
                converse(server(bench, outer).await?, &answer, &question).await
            },
        )
        .await
    })
}

/// What happened to the outer connection is what happened.
fn outer_failure_is_told(bench: &Bench) -> Outcome {
    paused(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        both(
            async {
                let outer = client(bench, near).await?;
                let mut client = client(bench, outer).await?;
                client.write_all(b"?").await?;
                expect_kind(client.read(&mut [0; 8]).await, ErrorKind::Protocol)?;
                Ok(())
            },
            async {
                let outer = server(bench, far).await?;
                let mut server = server(bench, outer).await?;
                server.read_exact(&mut [0; 1]).await?;
                let (outer, _) = server.into_inner();
                let (mut transport, _) = outer.into_inner();
                transport.write_all(b"garbage").await?;
                let _ = transport.read_to_end(&mut Vec::new()).await;
                Ok(())
            },
        )
        .await
    })
}

fn same_facts(bench: &Bench) -> Outcome {
    paused(async {
        let (client, server) = connected(bench, 64 << 10).await?;
        for stream in [&client, &server] {
            ensure!(stream.connection().output().is_empty(), "the handshake has not all left");
        }
        ensure_eq!(client.protocol_version(), Some(bench.version()));
        ensure_eq!(client.protocol_version(), server.protocol_version());
        ensure!(client.cipher_suite().is_some(), "no cipher suite");
        ensure_eq!(client.cipher_suite(), server.cipher_suite());
        ensure_eq!(client.backend(), bench.client_backend().name());
        ensure_eq!(server.backend(), bench.server_backend().name());
        ensure_eq!(client.server_name().as_deref(), Some(NAME));
        ensure_eq!(server.server_name().as_deref(), Some(NAME));
        let leaf = client.peer_certificate().ok_or_else(|| Failure::new("no certificate"))?;
        polytls::contract::leaf::check_name(&leaf, &ServerName::parse(NAME)?)?;
        ensure!(server.peer_certificate().is_none(), "the client sent none");
        Ok(())
    })
}

/// The beginning of the peer's TLS, read before the upgrade, is handed over.
fn leftover(bench: &Bench) -> Outcome {
    paused(async {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let context = bench.server().build()?;
        both(
            async {
                let mut client = client(bench, near).await?;
                client.write_all(b"?").await?;
                client.shutdown().await?;
                Ok(())
            },
            async {
                let mut early = vec![0; 40];
                far.read_exact(&mut early).await?;
                let options = polytls::UpgradeOptions::new().leftover_is_tls(early);
                let upgrade = polytls::tokio::ssl_server_upgrade_with(far, &context, options);
                let mut server = upgrade.await?;
                let mut heard = Vec::new();
                server.read_to_end(&mut heard).await?;
                ensure_eq!(heard, b"?");
                Ok(())
            },
        )
        .await
    })
}

fn closed_before_the_handshake(bench: &Bench) -> Outcome {
    paused(async {
        let (listener, dial) = memory_listener(bench.server().build()?);
        let (mut peer, far) = tokio::io::duplex(64);
        dial.connect(far);
        let (mut server, _) = listener.accept().await?;
        server.shutdown().await?;
        expect_kind(server.read(&mut [0; 8]).await, ErrorKind::Closed)?;
        expect_kind(server.write(b"x").await, ErrorKind::Closed)?;
        // Nothing was said: there was no TLS yet.
        ensure_eq!(peer.read(&mut [0; 8]).await?, 0);
        Ok(())
    })
}
