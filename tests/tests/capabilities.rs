//! The capability table in `capabilities.json` and in the README is what the backends say, which
//! `capability::table_is_true` proves.
//!
//! After a change, `POLYTLS_WRITE_TABLE=1 cargo test -p polytls-conformance --test capabilities`
//! writes both.

use std::fs;
use std::path::{Path, PathBuf};

use polytls::{Backend, Capability};
use polytls_conformance::capability_table;

const BEGIN: &str = "<!-- capabilities: begin -->\n";
const END: &str = "<!-- capabilities: end -->";

#[test]
fn the_table_is_what_the_backends_say() {
    let backends = in_order();
    if backends.len() < 3 {
        return println!("the table is of three backends, {} are compiled in", backends.len());
    }
    let json = capability_table(&backends);
    let readme_path = root().join("README.md");
    let readme = fs::read_to_string(&readme_path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README.md marks the table's begin");
    let (_, after) = rest.split_once(END).expect("README.md marks the table's end");
    let generated = format!("{before}{BEGIN}{}{END}{after}", markdown(&backends));
    let json_path = root().join("tests/capabilities.json");
    if std::env::var_os("POLYTLS_WRITE_TABLE").is_some() {
        fs::write(&json_path, &json).unwrap();
        fs::write(&readme_path, &generated).unwrap();
    }
    let how = "write it anew with POLYTLS_WRITE_TABLE=1";
    assert_eq!(fs::read_to_string(&json_path).unwrap_or_default(), json, "{how}");
    assert_eq!(fs::read_to_string(&readme_path).unwrap(), generated, "{how}");
}

/// In the order of their names, which does not depend on which is the default.
fn in_order() -> Vec<&'static dyn Backend> {
    let mut backends = polytls::backend::all().to_vec();
    backends.sort_by_key(|backend| std::cmp::Reverse(backend.name()));
    backends
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn markdown(backends: &[&dyn Backend]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = line(
        std::iter::once("capability".to_owned())
            .chain(backends.iter().map(|backend| backend.name().to_owned()))
            .collect(),
    );
    table.push_str(&format!("|---|{}\n", ":-:|".repeat(backends.len())));
    for capability in Capability::ALL.iter().copied() {
        let can = backends.iter().map(|backend| {
            if backend.capabilities().has(capability) { "yes" } else { "no" }.to_owned()
        });
        table.push_str(&line(
            std::iter::once(format!("`{}`", capability.name())).chain(can).collect(),
        ));
    }
    table
}
