//! Runs the suite for every pair of the backends that are compiled in.

fn main() {
    polytls_conformance::main(polytls::backend::all())
}
