//! One's own certificate and key: what is read, what is refused, and how that is said.

use std::fs;
use std::io;

use polytls::{
    Capability, ClientContext, ErrorKind, Identity, IdentityReason as Reason, KeyFormat,
    ProtocolVersion, ServerContext, make_server_ssl_context,
};

use crate::bench::trust_only;
use crate::pki::{self, Algorithm, Credential, ENCRYPTED_PKCS1_PEM, ENCRYPTED_PKCS8_PEM, Leaf};
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_error, expect_kind};

/// Reading is core's; that the backend can use what was read shows in a connection.
const fn used(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).any_version().in_memory()
}

/// For what is refused before any backend is asked.
const fn read(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).once().any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    used("identity::every_key_format", every_key_format),
    used("identity::every_key_format_of_a_client", every_key_format_of_a_client)
        .client_needs(Capability::ClientIdentity)
        .server_needs(Capability::ClientAuth),
    used("identity::der", der),
    used("identity::carriage_returns", carriage_returns),
    used("identity::byte_order_mark", byte_order_mark),
    used("identity::text_between_blocks", text_between_blocks),
    used("identity::one_file_for_both", one_file_for_both),
    used("identity::parameters_before_the_key", parameters_before_the_key),
    Case::new("identity::key_mismatch", key_mismatch)
        .holds(&["B2"])
        .each_server()
        .any_version()
        .no_transport(),
    Case::new("identity::key_mismatch_of_a_client", key_mismatch_of_a_client)
        .each_client()
        .any_version()
        .no_transport()
        .client_needs(Capability::ClientIdentity),
    Case::new("identity::key_that_is_none", key_that_is_none)
        .each_server()
        .any_version()
        .no_transport(),
    read("identity::encrypted_key", encrypted_key),
    read("identity::wrong_label", wrong_label),
    read("identity::empty_file", empty_file),
    read("identity::malformed", malformed),
    read("identity::missing_file", missing_file),
    read("identity::errors_name_the_file", errors_name_the_file),
    read("identity::debug_hides_the_key", debug_hides_the_key),
    Case::new("identity::debug_shows_no_key", debug_shows_no_key)
        .any_version()
        .no_transport()
        .client_needs(Capability::ClientIdentity),
];

fn serves(bench: &Bench, identity: Identity) -> Result<(), Failure> {
    let server = polytls::ServerContext::builder(identity).backend(bench.server_backend());
    bench.connects(&bench.client().build()?, &server.build()?)?;
    Ok(())
}

/// A server's credential, and its key in each encoding that there is for its algorithm.
fn encodings(leaf: impl Fn() -> Leaf) -> Vec<(Credential, Vec<(KeyFormat, String)>)> {
    let root = &pki::standard().root;
    [Algorithm::P256, Algorithm::P384, Algorithm::Ed25519, Algorithm::Rsa2048]
        .map(|algorithm| {
            let credential = leaf().algorithm(algorithm).issued_by(root);
            let key = &credential.key;
            let mut keys = vec![(KeyFormat::Pkcs8, key.pkcs8_pem())];
            match algorithm {
                Algorithm::Rsa2048 => keys.push((KeyFormat::Pkcs1, key.pkcs1_pem())),
                Algorithm::Ed25519 => {}
                _ => keys.push((KeyFormat::Sec1, key.sec1_pem())),
            }
            (credential, keys)
        })
        .into()
}

fn every_key_format(bench: &Bench) -> Result<(), Failure> {
    for (credential, keys) in encodings(Leaf::server) {
        for (format, key) in keys {
            let identity = Identity::from_bytes(credential.chain_pem().as_bytes(), key.as_bytes())?;
            ensure_eq!(identity.key_format(), format);
            serves(bench, identity).map_err(|failure| failure.at(format_args!("{format:?}")))?;
        }
    }
    Ok(())
}

fn every_key_format_of_a_client(bench: &Bench) -> Result<(), Failure> {
    let root = crate::bench::trust_only(pki::standard().root.der());
    let server = bench.server().client_auth(polytls::ClientAuth::Required(root)).build()?;
    for (credential, keys) in encodings(|| Leaf::client("one")) {
        for (format, key) in keys {
            let identity = Identity::from_bytes(credential.chain_pem().as_bytes(), key.as_bytes())?;
            bench
                .connects(&bench.client().identity(identity).build()?, &server)
                .map_err(|failure| failure.at(format_args!("{format:?}")))?;
        }
    }
    Ok(())
}

fn der(bench: &Bench) -> Result<(), Failure> {
    for (credential, _) in encodings(Leaf::server) {
        serves(bench, Identity::from_bytes(credential.leaf(), credential.key.pkcs8())?)?;
    }
    let p256 = Leaf::server().issued_by(&pki::standard().root);
    serves(bench, Identity::from_bytes(p256.leaf(), &p256.key.sec1())?)?;
    let rsa = Leaf::server().algorithm(Algorithm::Rsa2048).issued_by(&pki::standard().root);
    serves(bench, Identity::from_bytes(rsa.leaf(), &rsa.key.pkcs1())?)
}

fn standard() -> (String, String) {
    let server = &pki::standard().server;
    (server.chain_pem(), server.key_pem())
}

fn serves_text(bench: &Bench, chain: &str, key: &str) -> Result<(), Failure> {
    let identity = Identity::from_bytes(chain.as_bytes(), key.as_bytes())?;
    ensure_eq!(identity.chain().len(), 2);
    serves(bench, identity)
}

fn carriage_returns(bench: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    serves_text(bench, &chain.replace('\n', "\r\n"), &key.replace('\n', "\r\n"))
}

fn byte_order_mark(bench: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    serves_text(bench, &format!("\u{feff}{chain}"), &format!("\u{feff}{key}"))
}

/// Also text that is not UTF-8, as some distributions' bundles have (reqwest#2125).
fn text_between_blocks(bench: &Bench) -> Result<(), Failure> {
    let server = &pki::standard().server;
    let mut chain = b"subject=CN = S\xe9rver\n\xff\xfe\n".to_vec();
    chain.extend_from_slice(server.leaf_pem().as_bytes());
    chain.extend_from_slice(b"\nBag Attributes\n    localKeyID: 01\n# an intermediate\n");
    chain.extend_from_slice(pki::standard().intermediate.pem().as_bytes());
    chain.extend_from_slice(b"the end");
    let key = format!("Key Attributes: <No Attributes>\n{}", server.key_pem());
    let identity = Identity::from_bytes(&chain, key.as_bytes())?;
    ensure_eq!(identity.chain().len(), 2);
    serves(bench, identity)
}

fn one_file_for_both(bench: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    for together in [format!("{key}{chain}"), format!("{chain}{key}")] {
        serves_text(bench, &together, &together)?;
    }
    Ok(())
}

/// What `openssl ecparam -genkey` writes.
fn parameters_before_the_key(bench: &Bench) -> Result<(), Failure> {
    let server = &pki::standard().server;
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    serves_text(bench, &server.chain_pem(), &format!("{parameters}{}", server.key.sec1_pem()))
}

/// Credentials whose key is not the leaf's.
fn mismatches() -> Result<Vec<Identity>, Failure> {
    let keys = [Algorithm::P256, Algorithm::P384, Algorithm::Ed25519, Algorithm::Rsa2048];
    let mut identities = Vec::new();
    for leaf in [Algorithm::P256, Algorithm::Rsa2048] {
        let chain = Leaf::server().algorithm(leaf).self_signed().chain_pem();
        for key in keys.into_iter().filter(|key| *key != leaf || leaf == Algorithm::P256) {
            let key = pki::Key::generate(key).pkcs8_pem();
            identities.push(Identity::from_bytes(chain.as_bytes(), key.as_bytes())?);
        }
    }
    Ok(identities)
}

fn key_mismatch(bench: &Bench) -> Result<(), Failure> {
    for identity in mismatches()? {
        let server = polytls::ServerContext::builder(identity).backend(bench.server_backend());
        expect_kind(server.build(), ErrorKind::Identity(Reason::KeyMismatch))?;
    }
    Ok(())
}

fn key_mismatch_of_a_client(bench: &Bench) -> Result<(), Failure> {
    for identity in mismatches()? {
        let client = bench.client().identity(identity).build();
        expect_kind(client, ErrorKind::Identity(Reason::KeyMismatch))?;
    }
    Ok(())
}

/// Well labelled, and no key inside.
fn key_that_is_none(bench: &Bench) -> Result<(), Failure> {
    let chain = pki::standard().server.chain_pem();
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let key = format!("-----BEGIN {label}-----\nMAMCAQA=\n-----END {label}-----\n");
        let outcome = Identity::from_bytes(chain.as_bytes(), key.as_bytes()).and_then(|identity| {
            polytls::ServerContext::builder(identity).backend(bench.server_backend()).build()
        });
        expect_kind(outcome, ErrorKind::Identity(Reason::Malformed))
            .map_err(|failure| failure.at(label))?;
    }
    Ok(())
}

/// Never a prompt, never "no key found" (rustls#1210).
fn encrypted_key(_: &Bench) -> Result<(), Failure> {
    let (chain, _) = standard();
    for key in [ENCRYPTED_PKCS8_PEM, ENCRYPTED_PKCS1_PEM] {
        let outcome = Identity::from_bytes(chain.as_bytes(), key.as_bytes());
        let error = expect_kind(outcome, ErrorKind::Identity(Reason::KeyEncrypted))?;
        ensure!(error.to_string().contains("decrypt"), "{error}");
    }
    Ok(())
}

/// The error says what the file does hold.
fn wrong_label(_: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    let no_chain = Identity::from_bytes(key.as_bytes(), key.as_bytes());
    let error = expect_kind(no_chain, ErrorKind::Identity(Reason::NoCertificate))?;
    ensure!(error.to_string().contains("PRIVATE KEY"), "{error}");
    let no_key = Identity::from_bytes(chain.as_bytes(), chain.as_bytes());
    let error = expect_kind(no_key, ErrorKind::Identity(Reason::NoKey))?;
    ensure!(error.to_string().contains("CERTIFICATE"), "{error}");
    let public = "-----BEGIN PUBLIC KEY-----\nMAMCAQA=\n-----END PUBLIC KEY-----\n";
    let error = expect_kind(
        Identity::from_bytes(chain.as_bytes(), public.as_bytes()),
        ErrorKind::Identity(Reason::NoKey),
    )?;
    ensure!(error.to_string().contains("PUBLIC KEY"), "{error}");
    Ok(())
}

fn empty_file(_: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    for (nothing, word) in [(&b""[..], "empty"), (b" \n\t", "blank"), (b"hello", "neither")] {
        let error = expect_kind(
            Identity::from_bytes(nothing, key.as_bytes()),
            ErrorKind::Identity(Reason::NoCertificate),
        )?;
        ensure!(error.to_string().contains(word), "{error}");
        let error = expect_kind(
            Identity::from_bytes(chain.as_bytes(), nothing),
            ErrorKind::Identity(Reason::NoKey),
        )?;
        ensure!(error.to_string().contains(word), "{error}");
    }
    Ok(())
}

fn malformed(_: &Bench) -> Result<(), Failure> {
    let (chain, key) = standard();
    let cut = chain.len() - 40;
    for bad in [
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nnot base 64!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n",
        &chain[..cut],
    ] {
        let outcome = Identity::from_bytes(bad.as_bytes(), key.as_bytes());
        expect_kind(outcome, ErrorKind::Identity(Reason::Malformed))
            .map_err(|failure| failure.at(format_args!("{bad:?}")))?;
    }
    let bad = "-----BEGIN PRIVATE KEY-----\n%%%\n-----END PRIVATE KEY-----\n";
    let outcome = Identity::from_bytes(chain.as_bytes(), bad.as_bytes());
    expect_kind(outcome, ErrorKind::Identity(Reason::Malformed))?;
    Ok(())
}

fn missing_file(_: &Bench) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let outcome = Identity::from_files(&chain, &key);
    let error = expect_kind(outcome, ErrorKind::Identity(Reason::File))?;
    ensure_eq!(error.io_kind(), io::ErrorKind::NotFound);
    ensure_eq!(error.path(), Some(chain.as_path()));
    for word in ["not found", "chain.pem"] {
        ensure!(error.to_string().contains(word), "{error}");
    }
    fs::write(&chain, standard().0)?;
    let error = expect_kind(Identity::from_files(&chain, &key), ErrorKind::Identity(Reason::File))?;
    ensure_eq!(error.path(), Some(key.as_path()));
    let outcome = Identity::from_files(folder.path(), &key);
    let error = expect_kind(outcome, ErrorKind::Identity(Reason::File))?;
    ensure_eq!(error.path(), Some(folder.path()));
    Ok(())
}

fn errors_name_the_file(_: &Bench) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    fs::write(&chain, standard().0)?;
    for (text, reason) in [
        (ENCRYPTED_PKCS8_PEM.to_owned(), Reason::KeyEncrypted),
        (pki::Key::generate(Algorithm::P256).pkcs8_pem(), Reason::KeyMismatch),
        (String::new(), Reason::NoKey),
        (standard().0, Reason::NoKey),
    ] {
        fs::write(&key, text)?;
        let outcome = make_server_ssl_context(&chain, &key, ProtocolVersion::default());
        let error = expect_kind(outcome, ErrorKind::Identity(reason))?;
        ensure_eq!(error.path(), Some(key.as_path()));
        ensure!(error.is_ssl_error(), "{error:?}");
    }
    fs::write(&key, standard().1)?;
    make_server_ssl_context(&chain, &key, ProtocolVersion::default())?;
    Ok(())
}

fn debug_hides_the_key(bench: &Bench) -> Result<(), Failure> {
    let credential = &pki::standard().server;
    let identity = credential.identity();
    let builder = polytls::ServerContext::builder(identity.clone());
    let server = bench.server().build()?;
    let secret = hex(&credential.key.pkcs8()[40..60]);
    for shown in [format!("{identity:?}"), format!("{builder:?}"), format!("{server:?}")] {
        ensure!(!shown.replace(", ", "").contains(&secret), "the key is shown: {shown}");
        ensure!(!shown.contains("PRIVATE KEY"), "the key is shown: {shown}");
    }
    Ok(())
}

/// As `Debug` shows a list of bytes, without what is between them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(ToString::to_string).collect()
}

/// Logs are full of `{:?}`.
fn debug_shows_no_key(bench: &Bench) -> Result<(), Failure> {
    let credential = &pki::standard().client;
    let builder = bench.client().identity(credential.identity());
    let mut texts = vec![
        format!("{:?}", credential.identity()),
        format!("{builder:?}"),
        format!("{:?}", builder.build()?),
    ];
    let builder = ServerContext::builder(credential.identity()).backend(bench.server_backend());
    texts.push(format!("{builder:?}"));
    texts.push(format!("{:?}", builder.build()?));
    let mut wrong = credential.clone();
    wrong.chain.clone_from(&pki::standard().server.chain);
    let builder = ClientContext::builder().backend(bench.client_backend());
    let builder = builder.trust(trust_only(pki::standard().root.der()));
    texts.push(format!("{:?}", expect_error(builder.identity(wrong.identity()).build())?));
    // The private part of an elliptic-curve key, of which no eight bytes may show.
    let secret = credential.key.sec1();
    let secret = &secret[7..39];
    for text in texts {
        let text = text.to_lowercase();
        for part in secret.windows(8) {
            let list: Vec<_> = part.iter().map(ToString::to_string).collect();
            let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            let spaced: Vec<_> = part.iter().map(|byte| format!("{byte:02x}")).collect();
            for shown in [list.join(", "), list.join(","), hex, spaced.join(":")] {
                ensure!(!text.contains(&shown), "the key shows in {text}");
            }
        }
    }
    Ok(())
}
