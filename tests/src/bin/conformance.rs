//! Runs the suite for the backends that `polytls` is compiled with: for each set of its features, say.
//!
//! ```text
//! cargo run -p polytls-conformance --features polytls/openssl -- handshake::
//! ```

fn main() {
    polytls_conformance::main(polytls::backend::all());
}
