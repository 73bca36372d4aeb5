//! The one reader of PEM and DER files, for identities and trust anchors alike.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pem::Pem;

/// No certificate or key file is larger than this; a larger one is refused unread.
const MAX_FILE: u64 = 64 << 20;

/// The blocks of a PEM text, in order, or the whole content when it is not PEM.
pub(crate) enum Blocks {
    Pem(Vec<Pem>),
    /// There is no PEM block: DER, or something else altogether.
    Other,
}

/// Splits `bytes` into PEM blocks.
///
/// Whatever stands between blocks is skipped: bags attributes, other languages' comments, a byte
/// order mark (RFC 7468, section 2).
pub(crate) fn blocks(bytes: &[u8]) -> Result<Blocks, String> {
    let begun = bytes.windows(MARK.len()).filter(|window| *window == MARK).count();
    if begun == 0 {
        return Ok(Blocks::Other);
    }
    match pem::parse_many(bytes) {
        // A file that was cut short must not pass for one with fewer certificates.
        Ok(blocks) if blocks.len() < begun => Err("a PEM block has no end".into()),
        Ok(blocks) => Ok(Blocks::Pem(blocks)),
        Err(error) => Err(format!("a PEM block is malformed, {}", first_lower(&error.to_string()))),
    }
}

const MARK: &[u8] = b"-----BEGIN ";

/// Reads a whole file, within a bound.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "larger than any certificate file",
        ));
    }
    Ok(bytes)
}

/// Names the labels that were found, for "no X found" errors.
pub(crate) fn labels(blocks: &[Pem]) -> String {
    let mut labels: Vec<&str> = blocks.iter().map(Pem::tag).collect();
    labels.sort_unstable();
    labels.dedup();
    labels.truncate(8);
    format!("it holds {}", labels.join(", "))
}

/// What to say of content without any PEM block.
pub(crate) fn describe_other(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        "it is empty"
    } else if bytes.iter().all(u8::is_ascii_whitespace) {
        "it is blank"
    } else {
        "it is neither PEM nor DER"
    }
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
