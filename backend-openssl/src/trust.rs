//! Trust anchors, and the last word on a peer's certificate.
//!
//! OpenSSL verifies; a callback adds the rules that it does not know, so that the peer is told by
//! an alert within the handshake, and keeps what an error should tell of the certificate.

use std::ops::RangeInclusive;

use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslRef, SslVerifyMode};
use openssl::stack::StackRef;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use openssl::x509::{
    X509, X509Name, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult,
};
use polytls_core::pki_types::CertificateDer;
use polytls_core::{
    AnchorKind, Certificate, CertificateReason, Error, Roots, Trust, leaf, openssl_codes,
};

use crate::error;
use crate::session::Peer;

/// The authorities among `roots`. Certificates that vouch for themselves only stay out, since the
/// library would take some of them for authorities.
///
/// # Errors
///
/// As [`Trust::read_anchor`].
pub(crate) fn store(roots: &Roots, trust: &Trust) -> Result<X509Store, Error> {
    let mut store = X509StoreBuilder::new().map_err(error::internal)?;
    for der in roots.authorities() {
        if let Some(authority) = trust.read_anchor(der, |der| X509::from_der(der))? {
            store.add_cert(authority).map_err(error::internal)?;
        }
    }
    if roots.anchors().iter().any(|anchor| anchor.kind() == AnchorKind::Intermediate) {
        store.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(error::internal)?;
    }
    Ok(store.build())
}

/// Whether the server's name matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    AsAsked,
    Any,
}

/// The rules that OpenSSL does not know.
pub(crate) struct Verifier {
    /// Certificates that vouch for themselves only.
    themselves: Vec<CertificateDer<'static>>,
    names: Names,
    refusal: X509VerifyResult,
}

impl Verifier {
    pub(crate) fn new(roots: &Roots, names: Names) -> Result<Self, ErrorStack> {
        let themselves = roots.themselves().cloned().collect();
        Ok(Self { themselves, names, refusal: refusal()? })
    }

    /// Has the context verify its peers against `store` and by these rules.
    pub(crate) fn install(
        self,
        context: &mut SslContextBuilder,
        mode: SslVerifyMode,
        store: X509Store,
    ) {
        context.set_cert_store(store);
        // webpki's bound, which cannot be moved.
        context.set_verify_depth(MOST_INTERMEDIATES);
        // The library holds a common name to name constraints if a name might be looked for there.
        context.verify_param_mut().set_hostflags(HOST_FLAGS);
        context.set_verify_callback(mode, move |accepted, chain| self.judge(accepted, chain));
    }

    /// Called for each certificate that the library accepts, issuers first, and for each fault.
    fn judge(&self, accepted: bool, chain: &mut X509StoreContextRef) -> bool {
        match self.check(accepted, chain) {
            Ok(()) => {
                // The error of a fault that is none to us would stand as the result.
                if !accepted {
                    chain.set_error(X509VerifyResult::OK);
                }
                true
            }
            Err(error) => {
                if let Some(peer) = ssl(chain).and_then(Peer::of) {
                    peer.refuse(error);
                }
                if accepted {
                    chain.set_error(self.refusal);
                }
                false
            }
        }
    }

    fn check(&self, accepted: bool, chain: &X509StoreContextRef) -> Result<(), Error> {
        let at_leaf = chain.error_depth() == 0;
        let first = chain.chain().and_then(|chain| chain.get(0)).or(chain.current_cert());
        let (Some(leaf), Some(current)) = (first, chain.current_cert()) else {
            return Err(Error::certificate(verify_reason(chain)));
        };
        if accepted && !at_leaf && is_last(chain) {
            // The anchor, which was judged when it was read.
            return Ok(());
        }
        // Each is encoded again for this, so only the one that is needed is.
        let current = certificate(current);
        match (accepted, at_leaf) {
            (true, true) => self.check_leaf(&current, chain),
            (true, false) => leaf::check_issuer(&current),
            (false, true) if self.is_trusted_itself(&current, chain.error()) => Ok(()),
            (false, _) => Err(refused(&certificate(leaf), &current, chain)),
        }
    }

    fn check_leaf(&self, leaf: &Certificate, chain: &X509StoreContextRef) -> Result<(), Error> {
        leaf::check_usage(leaf)?;
        let issuers = chain.chain().into_iter().flatten().skip(1);
        leaf::check_constraints(leaf, issuers.map(certificate))?;
        match ssl(chain).and_then(Peer::of).and_then(Peer::name) {
            Some(name) if self.names == Names::AsAsked => leaf::check_name(leaf, name),
            _ => Ok(()),
        }
    }

    fn is_trusted_itself(&self, leaf: &Certificate, error: X509VerifyResult) -> bool {
        error.as_raw() == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
            && self.themselves.iter().any(|trusted| trusted.as_ref() == leaf.der())
    }
}

/// How many authorities may stand between the leaf and the anchor.
const MOST_INTERMEDIATES: u32 = 6;

/// How names are compared.
pub(crate) const HOST_FLAGS: X509CheckFlags =
    X509CheckFlags::NO_PARTIAL_WILDCARDS.union(X509CheckFlags::NEVER_CHECK_SUBJECT);

/// A self-signed leaf that is not in the store.
const X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: i32 = 18;

/// From that one to `X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE`: no chain led to the store.
const UNTRUSTED: RangeInclusive<i32> = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT..=21;

/// The error for a fault that the library found.
fn refused(leaf: &Certificate, current: &Certificate, chain: &X509StoreContextRef) -> Error {
    use CertificateReason as Reason;
    let reason = verify_reason(chain);
    let at_fault = match reason {
        // An authority's dates, when it is an authority that has expired.
        Reason::Expired | Reason::NotYetValid => current,
        Reason::UnknownIssuer | Reason::NameMismatch | Reason::WrongUsage => {
            // A leaf that is useless from any issuer and for any name is told so, as rustls does.
            if let Err(error) = leaf::check_usage(leaf) {
                return error;
            }
            leaf
        }
        _ => leaf,
    };
    let error = Error::certificate(reason);
    let Ok(mut details) = at_fault.details() else { return error };
    if UNTRUSTED.contains(&chain.error().as_raw()) {
        // Every one of them is the peer's, since none led to the store.
        details = details.of_chain(chain.chain().map_or(0, StackRef::len));
    }
    let name = ssl(chain).and_then(Peer::of).and_then(Peer::name);
    match name {
        Some(name) if reason == Reason::NameMismatch => {
            error.with_certificate(details.expecting(name))
        }
        _ => error.with_certificate(details),
    }
}

fn verify_reason(chain: &X509StoreContextRef) -> CertificateReason {
    openssl_codes::verify_reason(chain.error().as_raw())
}

/// Whether the certificate at hand is the one that the chain ends with.
fn is_last(chain: &X509StoreContextRef) -> bool {
    let length = chain.chain().map_or(0, StackRef::len);
    usize::try_from(chain.error_depth()).is_ok_and(|depth| depth + 1 == length)
}

fn ssl(chain: &X509StoreContextRef) -> Option<&SslRef> {
    chain.ex_data(X509StoreContext::ssl_idx().ok()?)
}

fn certificate(certificate: &X509Ref) -> Certificate {
    // What cannot be encoded again cannot be parsed either, and is refused for that.
    Certificate::from_peer(certificate.to_der().unwrap_or_default())
}

/// A result for which the library sends `certificate_unknown`.
///
/// Of the results that the crate gives safely, `APPLICATION_VERIFICATION` makes it send
/// `handshake_failure`, which peers take for "nothing in common". So this one, which has no alert
/// of its own, is asked of the library: an empty certificate is not issued by one with a name.
fn refusal() -> Result<X509VerifyResult, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_text("CN", "polytls")?;
    let mut issuer = X509::builder()?;
    issuer.set_subject_name(&name.build())?;
    let subject = X509::builder()?.build();
    Ok(issuer.build().issued(&subject))
}
