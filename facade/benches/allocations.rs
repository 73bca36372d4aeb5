//! Counts allocations for the speed program, which must not count while it takes the time.
//!
//! Arguments: the directory of the certificates, a library, a side, a version, and either `handshake` or a
//! mode and the number of an operation.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the figure is what the program is for")]

use polytls_benches::allocations::{Counter, of_handshake, of_operation};
use polytls_benches::ends::{Client, Failure, Server};
use polytls_benches::operation::Operation;
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Setup, Side};
use stats_alloc::INSTRUMENTED_SYSTEM;

#[global_allocator]
static ALLOCATOR: &Counter = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, library, side, version, what @ ..] = &arguments[..] else {
        return Err("allocations DIR LIBRARY SIDE VERSION (handshake | MODE OPERATION)".into());
    };
    let pki = Pki::open(dir.as_ref());
    let side: Side = side.parse()?;
    let setup = Setup { version: version.parse()?, ..Setup::of(library.parse()?) };
    let client = Client::new(side, setup, &pki)?;
    let server = Server::new(side, setup, &pki)?;
    let counted = match what {
        [mode, operation] => {
            let (_, operation) =
                Operation::COUNTED.get(operation.parse::<usize>()?).ok_or("no such operation")?;
            of_operation(ALLOCATOR, *operation, mode.parse()?, &client, &server)?
        }
        _ => of_handshake(ALLOCATOR, &client, &server)?,
    };
    println!("{counted}");
    Ok(())
}
