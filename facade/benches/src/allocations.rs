//! How often Rust code allocates, both ends together; OpenSSL's own allocations are not seen.
//!
//! For programs whose allocator counts, and nothing else: counting costs as much as a small allocation,
//! so what is timed must not do it.

use std::alloc::System;

use stats_alloc::{Region, StatsAlloc};

use crate::ends::{Client, Failure, Server, open, open_async};
use crate::handshakes::many;
use crate::operation::Operation;
use crate::setup::Mode;
use crate::transport;

/// The allocator that counts.
pub type Counter = StatsAlloc<System>;

/// How often something is done.
const COUNT: usize = 64;

/// Of one operation among several on an open connection.
///
/// # Errors
///
/// Of a library.
pub fn of_operation(
    counter: &Counter,
    operation: Operation,
    mode: Mode,
    client: &Client,
    server: &Server,
) -> Result<f64, Failure> {
    let (near, far) = transport::pair(None)?;
    match mode {
        Mode::Blocking => {
            let mut ends = open(client, server, near, far)?;
            difference(counter, |times| operation.run(&mut *ends.0, &mut *ends.1, times))
        }
        Mode::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let mut ends = Some(runtime.block_on(async {
                let (near, far) = (transport::for_tokio(near)?, transport::for_tokio(far)?);
                open_async(client, server, near, far).await
            })?);
            difference(counter, |times| {
                let pair = ends.take().ok_or("a connection that failed goes on")?;
                ends = Some(runtime.block_on(operation.run_async(pair, times))?);
                Ok(())
            })
        }
    }
}

/// Of one handshake among several.
///
/// # Errors
///
/// Of a library.
pub fn of_handshake(counter: &Counter, client: &Client, server: &Server) -> Result<f64, Failure> {
    let listener = transport::listener(None)?;
    let servers = std::slice::from_ref(server);
    difference(counter, |times| many(client, servers, &listener, times))
}

/// What one run allocates, by a few of them and more of them: what the first ones leave behind, and what
/// the harness itself needs, cancels out. The end of what `run` makes is not counted.
fn difference<T>(
    counter: &Counter,
    mut run: impl FnMut(usize) -> Result<T, Failure>,
) -> Result<f64, Failure> {
    drop(run(COUNT)?);
    let mut counted = |times| -> Result<usize, Failure> {
        let region = Region::new(counter);
        let _made = run(times)?;
        Ok(region.change().allocations)
    };
    let few = counted(1)?;
    let more = counted(1 + COUNT)?;
    Ok((more as f64 - few as f64) / COUNT as f64)
}
