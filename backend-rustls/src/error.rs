//! What rustls says, in words that no TLS library owns.

use std::error::Error as StdError;

use polytls_core::observe::Side;
use polytls_core::{Alert, CertificateReason, Error, ErrorKind, Phase};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

/// What rustls has no reason to refuse: a bug here, or there.
pub(crate) fn internal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Internal).with_source(error)
}

/// A record that rustls does not even take.
pub(crate) fn protocol(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Protocol).with_source(error)
}

/// The error of the contract for an error that rustls gave on this side, which becomes its source.
pub(crate) fn translate(error: rustls::Error, side: Side) -> Error {
    use rustls::Error as E;
    let translated = match &error {
        // Within the handshake, the only time that rustls takes it for an error.
        E::AlertReceived(AlertDescription::CloseNotify) => {
            Error::new(ErrorKind::Truncated(Phase::Handshake))
        }
        E::AlertReceived(alert) => Error::alert_received(Alert::new((*alert).into())),
        E::InvalidCertificate(error) => Error::certificate(reason(error)),
        E::InvalidCertRevocationList(_) => Error::certificate(CertificateReason::Other),
        E::NoCertificatesPresented if side == Side::Server => {
            Error::new(ErrorKind::ClientCertificateRequired)
        }
        E::PeerIncompatible(error) => Error::new(incompatible(error)),
        E::NoApplicationProtocol => Error::new(ErrorKind::NoCommonAlpn),
        E::InappropriateMessage { .. }
        | E::InappropriateHandshakeMessage { .. }
        | E::InvalidEncryptedClientHello(_)
        | E::InvalidMessage(_)
        | E::NoCertificatesPresented
        | E::DecryptError
        | E::PeerMisbehaved(_)
        | E::PeerSentOversizedRecord => Error::new(ErrorKind::Protocol),
        E::UnsupportedNameType => Error::new(ErrorKind::ServerName),
        _ => Error::new(ErrorKind::Internal),
    };
    translated.with_source(error)
}

fn incompatible(error: &PeerIncompatible) -> ErrorKind {
    use PeerIncompatible as P;
    match error {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::Tls13RequiredForQuic => ErrorKind::NoCommonVersion,
        P::NoCertificateRequestSignatureSchemesInCommon
        | P::NoCipherSuitesInCommon
        | P::NoEcPointFormatsInCommon
        | P::NoKxGroupsInCommon
        | P::NoSignatureSchemesInCommon => ErrorKind::NoCommonCipherSuite,
        _ => ErrorKind::Protocol,
    }
}

/// The reason in the verdict of a verifier that is not ours: a ready configuration has its own.
fn reason(error: &CertificateError) -> CertificateReason {
    use CertificateError as C;
    use CertificateReason as R;
    match error {
        C::BadEncoding => R::BadEncoding,
        C::Expired | C::ExpiredContext { .. } => R::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => R::NotYetValid,
        C::Revoked => R::Revoked,
        C::UnknownIssuer => R::UnknownIssuer,
        C::BadSignature => R::BadSignature,
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => R::UnsupportedAlgorithm,
        C::NotValidForName | C::NotValidForNameContext { .. } => R::NameMismatch,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => R::WrongUsage,
        C::Other(other) => other.0.downcast_ref::<webpki::Error>().map_or(R::Other, webpki_reason),
        _ => R::Other,
    }
}

/// The reason in a verdict of webpki.
pub(crate) fn webpki_reason(error: &webpki::Error) -> CertificateReason {
    use CertificateReason as R;
    use webpki::Error as W;
    match error {
        W::BadDer
        | W::BadDerTime
        | W::ExtensionValueInvalid
        | W::InvalidNetworkMaskConstraint
        | W::InvalidSerialNumber
        | W::MalformedDnsIdentifier
        | W::MalformedExtensions
        | W::SignatureAlgorithmMismatch
        | W::TrailingData(_) => R::BadEncoding,
        W::CaUsedAsEndEntity => R::CaUsedAsEndEntity,
        // An end before its beginning: no moment is in it.
        W::CertExpired { .. } | W::InvalidCertValidity => R::Expired,
        W::CertNotValidForName(_) => R::NameMismatch,
        W::CertNotValidYet { .. } => R::NotYetValid,
        W::CertRevoked => R::Revoked,
        W::EmptyEkuExtension | W::RequiredEkuNotFoundContext(_) => R::WrongUsage,
        W::InvalidSignatureForPublicKey => R::BadSignature,
        W::MaximumPathDepthExceeded | W::PathLenConstraintViolated => R::PathTooLong,
        // Nothing is in a domain that is none, and that is all that OpenSSL can tell.
        W::MalformedNameConstraint | W::NameConstraintViolation => R::NameConstraints,
        // Whoever signed it is no authority; or no path was found within the bounds of a search.
        W::EndEntityUsedAsCa
        | W::MaximumPathBuildCallsExceeded
        | W::MaximumSignatureChecksExceeded
        | W::UnknownIssuer => R::UnknownIssuer,
        W::UnsupportedCertVersion => R::UnsupportedVersion,
        W::UnsupportedSignatureAlgorithmContext(_)
        | W::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => R::UnsupportedAlgorithm,
        _ => R::Other,
    }
}
