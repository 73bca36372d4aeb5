//! Who may vouch for a peer, and how rustls asks.
//!
//! rustls' own verifiers are not used, since the rules differ from theirs: a self-signed certificate
//! without the CA flag vouches for itself, the name can be left out alone, and the leaf is held to
//! the checks that all backends share. Running those here, and not only after the handshake, sends
//! the peer the alert that fits.

mod anchors;

use std::cell::Cell;
use std::sync::Arc;

use polytls_core::pki_types::{CertificateDer, ServerName as PkiName, UnixTime};
use polytls_core::{ClientAuth, ClientConfig, Error, ServerConfig, ServerName, Verification};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use webpki::KeyUsage;

use anchors::{Anchors, Presented};

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
        client_auth: config.client_auth().clone(),
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

/// How both verifiers check the signature of the handshake itself: as rustls does.
macro_rules! handshake_signatures {
    () => {
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
    };
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

    handshake_signatures!();
}

#[derive(Debug)]
struct ClientVerifier {
    anchors: Anchors,
    schemes: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
    client_auth: ClientAuth,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self.client_auth, ClientAuth::Required(_))
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

    handshake_signatures!();
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

/// The name that rustls was given, in our words.
fn ours(name: &PkiName<'_>) -> Result<ServerName, rustls::Error> {
    ServerName::parse(&name.to_str()).map_err(|_| rustls::Error::UnsupportedNameType)
}
