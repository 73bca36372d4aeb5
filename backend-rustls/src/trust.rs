//! Who may vouch for a peer: the anchor rules of the contract, on top of webpki.
//!
//! rustls' own verifiers are not used, since the rules differ from theirs: a self-signed certificate
//! without the CA flag vouches for itself, the name can be left out alone, and the leaf is held to
//! the checks that all backends share. Running those here, and not only after the handshake, sends
//! the peer the alert that fits.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use polytls_core::pki_types::{
    CertificateDer, ServerName as PkiName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use polytls_core::{
    AnchorKind, Certificate, CertificateDetails, CertificateReason, ClientAuth, ClientConfig,
    Error, Roots, ServerConfig, ServerName, Trust, Verification, leaf,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::error::webpki_reason;
use crate::signatures::Remembering;

/// How a client verifies its servers.
pub(crate) fn server_verifier(
    config: &ClientConfig,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let schemes = provider.signature_verification_algorithms;
    let names = match config.verification() {
        Verification::Nothing => return Ok(Arc::new(AnyServer { schemes })),
        Verification::SkipHostname => Names::Any,
        _ => Names::AsAsked,
    };
    let anchors = Anchors::new(config.roots()?, config.trust(), schemes)?;
    Ok(Arc::new(ServerVerifier { anchors, schemes, names }))
}

/// How a server verifies its clients; `None` when it does not ask for certificates.
pub(crate) fn client_verifier(
    config: &ServerConfig,
    provider: &CryptoProvider,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    let (Some(roots), Some(trust)) = (config.client_roots()?, config.client_auth().trust()) else {
        return Ok(None);
    };
    let schemes = provider.signature_verification_algorithms;
    let anchors = Anchors::new(roots, trust, schemes)?;
    Ok(Some(Arc::new(ClientVerifier {
        hints: anchors.subjects(),
        anchors,
        schemes,
        mandatory: matches!(config.client_auth(), ClientAuth::Required(_)),
    })))
}

thread_local! {
    /// The refusal that a verifier of this thread has just given to rustls, which passes on neither
    /// the certificate nor, for every reason, the reason.
    static REFUSAL: Cell<Option<Error>> = const { Cell::new(None) };
}

/// Takes the last refusal of this thread. rustls calls verifiers synchronously, so right after it
/// failed this is the cause.
pub(crate) fn take_refusal() -> Option<Error> {
    REFUSAL.try_with(Cell::take).ok().flatten()
}

fn leave_refusal(refusal: Error) {
    // Fails only while the thread's own variables are being destroyed: then the details are lost.
    let _ = REFUSAL.try_with(|cell| cell.set(Some(refusal)));
}

/// Whether the server's name matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    AsAsked,
    Any,
}

#[derive(Debug)]
struct ServerVerifier {
    anchors: Anchors,
    schemes: WebPkiSupportedAlgorithms,
    names: Names,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &PkiName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = match self.names {
            Names::AsAsked => Some(ours(server_name)?),
            Names::Any => None,
        };
        let presented = Presented { leaf: end_entity, intermediates, name: name.as_ref() };
        self.anchors
            .verify(&presented, KeyUsage::server_auth(), now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(|refusal| presented.refuse(refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.supported_schemes()
    }
}

#[derive(Debug)]
struct ClientVerifier {
    anchors: Anchors,
    schemes: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
    mandatory: bool,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let presented = Presented { leaf: end_entity, intermediates, name: None };
        self.anchors
            .verify(&presented, KeyUsage::client_auth(), now)
            .map(|()| ClientCertVerified::assertion())
            .map_err(|refusal| presented.refuse(refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.supported_schemes()
    }
}

/// Accepts whoever answers.
///
/// The handshake's signature is not looked at either: whoever may present any certificate may as
/// well present one whose key is at hand, and webpki could not read every certificate that is to be
/// accepted here.
#[derive(Debug)]
struct AnyServer {
    schemes: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &PkiName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.schemes.supported_schemes();
        // Those of servers whose keys or signatures are too old, or too rare, to be verified.
        for scheme in [
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ] {
            if !schemes.contains(&scheme) {
                schemes.push(scheme);
            }
        }
        schemes
    }
}

/// The trust anchors, as webpki holds them.
#[derive(Debug, Default)]
struct Anchors {
    algorithms: Vec<Remembering>,
    authorities: Vec<TrustAnchor<'static>>,
    /// The last second of each authority, which webpki does not keep: a context may outlive it.
    ends: Vec<i64>,
    /// The name of each authority's key, which webpki does not look at.
    keys: Vec<Option<Vec<u8>>>,
    /// Certificates that vouch for themselves only, each with itself as the anchor: webpki has no
    /// other way to say so.
    themselves: Vec<(CertificateDer<'static>, TrustAnchor<'static>)>,
}

impl Anchors {
    fn new(
        roots: &Roots,
        trust: &Trust,
        schemes: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Error> {
        let algorithms = schemes.all.iter().map(|algorithm| Remembering(*algorithm)).collect();
        let mut this = Self { algorithms, ..Self::default() };
        for trusted in roots.anchors() {
            let Some(anchor) = trust.read_anchor(trusted.der(), read)? else { continue };
            if trusted.kind() == AnchorKind::Itself {
                this.themselves.push((trusted.der().clone(), anchor));
            } else {
                this.authorities.push(anchor);
                this.ends.push(trusted.not_after());
                this.keys.push(trusted.key_identifier().map(<[u8]>::to_vec));
            }
        }
        Ok(this)
    }

    fn subjects(&self) -> Vec<DistinguishedName> {
        let themselves = self.themselves.iter().map(|(_, anchor)| anchor);
        self.authorities
            .iter()
            .chain(themselves)
            .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
            .collect()
    }

    fn end_of(&self, anchor: &TrustAnchor<'_>) -> Option<UnixTime> {
        let at = self.authorities.iter().position(|authority| authority == anchor)?;
        let seconds = u64::try_from(*self.ends.get(at)?).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    fn verify(
        &self,
        presented: &Presented<'_>,
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let end_entity = EndEntityCert::try_from(presented.leaf)?;
        let itself = self.themselves.iter().find(|(der, _)| der == presented.leaf);
        let (anchors, intermediates) = match itself {
            Some((_, anchor)) => (std::slice::from_ref(anchor), &[][..]),
            None => (self.authorities.as_slice(), presented.intermediates),
        };
        let may_issue = |path: &VerifiedPath<'_>| {
            let all = path
                .intermediate_certificates()
                .all(|issuer| leaf::check_issuer(&Certificate::from(issuer.der())).is_ok());
            if !all {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
            match self.end_of(path.anchor()) {
                Some(not_after) if now > not_after => {
                    Err(webpki::Error::CertExpired { time: now, not_after })
                }
                _ => Ok(()),
            }
        };
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            self.algorithms.iter().map(|algorithm| algorithm as _).collect();
        end_entity
            .verify_for_usage(
                &algorithms,
                anchors,
                intermediates,
                now,
                usage,
                None,
                Some(&may_issue),
            )
            .map_err(|error| self.refusal(error, &end_entity, presented))?;
        let leaf = Certificate::from(presented.leaf.clone());
        leaf::check_usage(&leaf)?;
        match presented.name {
            Some(name) => Ok(leaf::check_name(&leaf, name)?),
            None => Ok(()),
        }
    }

    /// The refusal with the reason that every backend tells, where webpki uses one for several faults
    /// or looks in another order.
    fn refusal(
        &self,
        error: webpki::Error,
        end_entity: &EndEntityCert<'_>,
        presented: &Presented<'_>,
    ) -> Refusal {
        use CertificateReason as R;
        let is_unfit = matches!(error, webpki::Error::EndEntityUsedAsCa);
        let mut refusal = Refusal::from(error);
        let leaf = Certificate::from(presented.leaf.clone());
        refusal.reason = match refusal.reason {
            reason @ (R::BadSignature | R::UnsupportedAlgorithm) => {
                let fault = presented.issuers().find_map(|issuer| fault(&issuer));
                fault.unwrap_or_else(|| {
                    let keys = self.keys_of(end_entity.issuer(), presented);
                    let is_stranger = leaf::is_by_another_key(&leaf, &keys);
                    if is_stranger { R::UnknownIssuer } else { reason }
                })
            }
            // An issuer that webpki found fit, and `may_issue` did not.
            R::UnknownIssuer if is_unfit => {
                presented.issuers().find_map(|issuer| fault(&issuer)).unwrap_or(R::UnknownIssuer)
            }
            reason @ (R::BadEncoding | R::NameConstraints) => {
                let checked = presented.name.map(|name| leaf::check_name(&leaf, name));
                let is_mismatch =
                    matches!(checked, Some(Err(_))) && leaf::check_usage(&leaf).is_ok();
                if is_mismatch { R::NameMismatch } else { reason }
            }
            reason => reason,
        };
        refusal
    }

    /// The keys of all that bear this name.
    fn keys_of(&self, subject: &[u8], presented: &Presented<'_>) -> Vec<Option<Vec<u8>>> {
        let authorities = self.authorities.iter().zip(&self.keys);
        let trusted = authorities.filter(|(authority, _)| authority.subject.as_ref() == subject);
        let sent = presented.intermediates.iter().filter(|issuer| {
            EndEntityCert::try_from(*issuer).is_ok_and(|issuer| issuer.subject() == subject)
        });
        trusted
            .map(|(_, key)| key.clone())
            .chain(sent.map(|der| leaf::key_identifier(&Certificate::from(der.clone()))))
            .collect()
    }
}

fn read(der: &CertificateDer<'static>) -> Result<TrustAnchor<'static>, webpki::Error> {
    anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned())
}

/// Why a certificate is refused.
struct Refusal {
    reason: CertificateReason,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl From<webpki::Error> for Refusal {
    fn from(error: webpki::Error) -> Self {
        Self { reason: webpki_reason(&error), source: Arc::new(error) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let reason = error.certificate_reason().unwrap_or(CertificateReason::Other);
        Self { reason, source: Arc::new(error) }
    }
}

impl Refusal {
    /// The error for rustls, which decides by it on the alert.
    fn into_rustls(self) -> rustls::Error {
        use CertificateReason as R;
        rustls::Error::InvalidCertificate(match self.reason {
            R::UnknownIssuer => CertificateError::UnknownIssuer,
            R::Expired => CertificateError::Expired,
            R::NotYetValid => CertificateError::NotValidYet,
            R::NameMismatch => CertificateError::NotValidForName,
            R::Revoked => CertificateError::Revoked,
            R::BadSignature => CertificateError::BadSignature,
            R::WrongUsage | R::CaUsedAsEndEntity => CertificateError::InvalidPurpose,
            R::BadEncoding => CertificateError::BadEncoding,
            // `certificate_unknown`. Not the variants for algorithms: their alert, `decrypt_error`,
            // does not tell the peer that it is the certificate that is refused.
            _ => CertificateError::Other(rustls::OtherError(self.source)),
        })
    }
}

/// What a peer presents, and the name it should be for.
struct Presented<'a> {
    leaf: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: Option<&'a ServerName>,
}

impl Presented<'_> {
    /// Leaves the whole story for the session, and returns what rustls is told.
    fn refuse(&self, refusal: Refusal) -> rustls::Error {
        let mut error = Error::certificate(refusal.reason);
        if let Some(details) = self.culprit(refusal.reason) {
            let details = details.of_chain(1 + self.intermediates.len());
            error = error.with_certificate(match self.name {
                Some(name) => details.expecting(name),
                None => details,
            });
        }
        leave_refusal(error);
        refusal.into_rustls()
    }

    fn issuers(&self) -> impl Iterator<Item = Certificate> {
        self.intermediates.iter().map(|der| Certificate::from(der.clone()))
    }

    /// The details of the certificate at fault: of an authority when it is that which has expired.
    fn culprit(&self, reason: CertificateReason) -> Option<CertificateDetails> {
        let details = |der: &CertificateDer<'_>| Certificate::from(der.clone()).details().ok();
        let at_fault = |details: &CertificateDetails| match reason {
            CertificateReason::Expired => details.validity.is_over(),
            CertificateReason::NotYetValid => details.validity.is_ahead(),
            _ => true,
        };
        std::iter::once(self.leaf)
            .chain(self.intermediates)
            .filter_map(details)
            .find(at_fault)
            .or_else(|| details(self.leaf))
    }
}

/// Why no signature by this authority is good, whatever it is.
fn fault(issuer: &Certificate) -> Option<CertificateReason> {
    leaf::check_issuer(issuer).err()?.certificate_reason()
}

/// The name that rustls was given, in our words.
fn ours(name: &PkiName<'_>) -> Result<ServerName, rustls::Error> {
    ServerName::parse(&name.to_str()).map_err(|_| rustls::Error::UnsupportedNameType)
}
