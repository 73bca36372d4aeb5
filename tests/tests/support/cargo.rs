//! Building programs in a test, with the Cargo and the target directory that the test was built with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use polytls_conformance::Failure;

/// The root of the checkout.
pub(crate) fn checkout() -> PathBuf {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR"));
    suite.parent().unwrap_or(suite).to_path_buf()
}

/// Runs `cargo build` with these arguments in a directory and returns the executables by their names.
/// Without a network: what is needed was needed for the test as well.
pub(crate) fn build(
    directory: &Path,
    arguments: &[&str],
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target()?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Failure::new(format!("cargo build {}: {said}", arguments.join(" "))));
    }
    let messages = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut executables = BTreeMap::new();
    for message in messages {
        let message: serde_json::Value = serde_json::from_slice(message)?;
        if let (Some(name), Some(path)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            executables.insert(name.to_owned(), path.into());
        }
    }
    Ok(executables)
}

/// The target directory of this very test: three levels above `debug/deps/NAME`.
fn target() -> Result<PathBuf, Failure> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).map(Path::to_path_buf);
    target.ok_or_else(|| Failure::new("this test does not stand in a target directory"))
}
