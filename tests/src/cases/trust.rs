//! Trust that is given: which anchors are taken, which are refused, and how that is said.
//! The system's store and its variables are the family `environment`.

use std::fs;
use std::io;

use polytls::contract::pki_types::CertificateDer;
use polytls::{
    Capability, Certificate, CertificateReason, ErrorKind, Trust, TrustReason as Reason,
};

use crate::bench::trust_only;
use crate::pki::{self, Authority, Leaf, Unusable};
use crate::transport::Transport;
use crate::{Bench, Case, Failure, ensure, ensure_eq, expect_kind};

/// A connection shows what is trusted.
const fn used(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).transports(&[Transport::Whole])
}

const fn built(name: &'static str, run: fn(&Bench) -> Result<(), Failure>) -> Case {
    Case::new(name, run).each_client().any_version().no_transport()
}

pub(super) const CASES: &[Case] = &[
    used("trust::every_certificate_of_a_bundle", every_certificate_of_a_bundle),
    used("trust::only_is_only", only_is_only),
    used("trust::der", der),
    used("trust::file", file),
    used("trust::renewed_root", renewed_root),
    used("trust::anchor_without_key_usage", anchor_without_key_usage),
    used("trust::intermediate", intermediate).client_needs(Capability::PartialChain),
    built("trust::expired_anchor", expired_anchor),
    built("trust::anchor_not_yet_valid", anchor_not_yet_valid),
    built("trust::anchor_without_certificate_signing", anchor_without_certificate_signing),
    built("trust::anchor_with_weak_key", anchor_with_weak_key),
    built("trust::anchor_with_dsa_key", anchor_with_dsa_key),
    built("trust::anchor_with_malformed_constraint", anchor_with_malformed_constraint),
    built("trust::leaf_as_anchor", leaf_as_anchor),
    built("trust::one_bad_anchor_among_good_ones", one_bad_anchor_among_good_ones),
    built("trust::not_a_certificate", not_a_certificate).holds(&["B3"]),
    built("trust::no_anchor", no_anchor),
    built("trust::wrong_label", wrong_label),
    built("trust::missing_file", missing_file),
];

fn connects(bench: &Bench, trust: Trust, server: &pki::Credential) -> Result<(), Failure> {
    let client = bench.client_with(trust).build()?;
    bench.connects(&client, &bench.server_with(server).build()?)?;
    Ok(())
}

/// Not only the first (a reader that takes one block).
fn every_certificate_of_a_bundle(bench: &Bench) -> Result<(), Failure> {
    let (one, two) = (Authority::named("One").root(), Authority::named("Two").root());
    let bundle = format!("# one\r\n{}# two\n{}", one.pem().replace('\n', "\r\n"), two.pem());
    for authority in [&one, &two] {
        let trust = Trust::only_bytes(bundle.as_bytes())?;
        connects(bench, trust, &Leaf::server().issued_by(authority))?;
    }
    Ok(())
}

/// Nothing of the system's store creeps in, and nothing given earlier.
fn only_is_only(bench: &Bench) -> Result<(), Failure> {
    let other = Authority::named("Other").root();
    let client = bench.client().trust(trust_only(other.der())).build()?;
    let verdict = bench.verdict(&client, &bench.server().build()?)?;
    expect_kind(verdict.client, ErrorKind::Certificate(CertificateReason::UnknownIssuer))?;
    Ok(())
}

fn der(bench: &Bench) -> Result<(), Failure> {
    let standard = pki::standard();
    connects(bench, Trust::only_bytes(standard.root.der())?, &standard.server)?;
    let given = Certificate::from_der(standard.root.der())?;
    connects(bench, Trust::Only(vec![given.into()]), &standard.server)
}

fn file(bench: &Bench) -> Result<(), Failure> {
    let standard = pki::standard();
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), format!("\u{feff}{}", standard.root.pem()))?;
    connects(bench, Trust::only_file(file.path())?, &standard.server)
}

/// A root that was certified again, with the key it had, vouches for what it signed before.
fn renewed_root(bench: &Bench) -> Result<(), Failure> {
    let old = Authority::named("Renewed").root();
    let new = Authority::named("Renewed").with_key_of(&old).root();
    connects(bench, trust_only(new.der()), &Leaf::server().issued_by(&old))
}

fn anchor_without_key_usage(bench: &Bench) -> Result<(), Failure> {
    let plain = Authority::named("Plain").without_key_usage().root();
    connects(bench, trust_only(plain.der()), &Leaf::server().issued_by(&plain))
}

fn intermediate(bench: &Bench) -> Result<(), Failure> {
    let standard = pki::standard();
    connects(bench, trust_only(standard.intermediate.der()), &standard.server)?;
    let short = standard.server.clone().without_intermediates();
    connects(bench, trust_only(standard.intermediate.der()), &short)?;
    // Its issuer is not trusted by that.
    let client = bench.client_trusting(&standard.intermediate).build()?;
    let server = Leaf::server().issued_by(&standard.root);
    let verdict = bench.verdict(&client, &bench.server_with(&server).build()?)?;
    expect_kind(verdict.client, ErrorKind::Certificate(CertificateReason::UnknownIssuer))?;
    Ok(())
}

fn refused(bench: &Bench, der: &[u8], names: &str) -> Result<(), Failure> {
    let outcome = bench.client_with(trust_only(der)).build();
    let error = expect_kind(outcome, ErrorKind::Trust(Reason::BadAnchor))?;
    ensure!(error.to_string().contains(names), "does not name it: {error}");
    Ok(())
}

fn expired_anchor(bench: &Bench) -> Result<(), Failure> {
    refused(bench, Authority::named("Once Good").expired().root().der(), "Once Good")
}

fn anchor_not_yet_valid(bench: &Bench) -> Result<(), Failure> {
    refused(bench, Authority::named("Too Early").not_yet_valid().root().der(), "Too Early")
}

fn anchor_without_certificate_signing(bench: &Bench) -> Result<(), Failure> {
    let narrow = Authority::named("Narrow").without_certificate_signing().root();
    refused(bench, narrow.der(), "Narrow")
}

/// Libraries refuse such a root only when a chain ends in it, one of them as a bad signature.
fn anchor_with_weak_key(bench: &Bench) -> Result<(), Failure> {
    let weak = Authority::named("Weak").unusable(Unusable::Rsa1024).root();
    refused(bench, weak.der(), "Weak")
}

/// Not every library knows the algorithm.
fn anchor_with_dsa_key(bench: &Bench) -> Result<(), Failure> {
    let dsa = Authority::named("Last Century").unusable(Unusable::Dsa).root();
    refused(bench, dsa.der(), "Last Century")
}

/// Libraries say so only of some chains below it, or never.
fn anchor_with_malformed_constraint(bench: &Bench) -> Result<(), Failure> {
    let wild = Authority::named("Wild").excluding("*.polytls.test").root();
    refused(bench, wild.der(), "Wild")?;
    let gap = Authority::named("Gap").permitting_network([127, 0, 0, 1], [255, 0, 0, 255]).root();
    refused(bench, gap.der(), "Gap")
}

/// Neither an authority nor its own issuer.
fn leaf_as_anchor(bench: &Bench) -> Result<(), Failure> {
    refused(bench, pki::standard().server.leaf(), "suite server")
}

fn one_bad_anchor_among_good_ones(bench: &Bench) -> Result<(), Failure> {
    let old = Authority::named("Once Good").expired().root();
    let bundle = format!("{}{}", pki::standard().root.pem(), old.pem());
    let outcome = bench.client_with(Trust::only_bytes(bundle.as_bytes())?).build();
    let error = expect_kind(outcome, ErrorKind::Trust(Reason::BadAnchor))?;
    ensure!(error.to_string().contains("Once Good"), "{error}");
    Ok(())
}

fn not_a_certificate(bench: &Bench) -> Result<(), Failure> {
    let bad = Trust::Only(vec![CertificateDer::from(b"0\x03\x02\x01\x00".to_vec())]);
    expect_kind(bench.client_with(bad).build(), ErrorKind::Trust(Reason::Malformed))?;
    for text in [
        "-----BEGIN CERTIFICATE-----\nnot base 64!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n",
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n",
    ] {
        let outcome =
            Trust::only_bytes(text.as_bytes()).and_then(|trust| bench.client_with(trust).build());
        expect_kind(outcome, ErrorKind::Trust(Reason::Malformed))
            .map_err(|failure| failure.at(format_args!("{text:?}")))?;
    }
    Ok(())
}

fn no_anchor(bench: &Bench) -> Result<(), Failure> {
    let outcome = bench.client_with(Trust::Only(Vec::new())).build();
    let error = expect_kind(outcome, ErrorKind::Trust(Reason::NoRoots))?;
    ensure!(error.is_ssl_error(), "{error:?}");
    for nothing in [&b""[..], b"\n \n", b"hello"] {
        expect_kind(Trust::only_bytes(nothing), ErrorKind::Trust(Reason::NoRoots))?;
    }
    Ok(())
}

fn wrong_label(_: &Bench) -> Result<(), Failure> {
    let key = pki::standard().server.key_pem();
    let error = expect_kind(Trust::only_bytes(key.as_bytes()), ErrorKind::Trust(Reason::NoRoots))?;
    ensure!(error.to_string().contains("PRIVATE KEY"), "{error}");
    Ok(())
}

fn missing_file(_: &Bench) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("roots.pem");
    let error = expect_kind(Trust::only_file(&path), ErrorKind::Trust(Reason::File))?;
    ensure_eq!(error.io_kind(), io::ErrorKind::NotFound);
    ensure_eq!(error.path(), Some(path.as_path()));
    for word in ["not found", "roots.pem"] {
        ensure!(error.to_string().contains(word), "{error}");
    }
    Ok(())
}
