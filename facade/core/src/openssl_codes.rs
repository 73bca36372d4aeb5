//! What OpenSSL's numbers mean, for the two backends that meet them.
//!
//! Numbers only: no OpenSSL stands below this crate. They are those of OpenSSL 1.1.1 and 3, which
//! never gives a number a new meaning, with one exception that is noted below.

use crate::{Alert, CertificateReason, Error, ErrorKind};

/// The library number of libssl (`ERR_LIB_SSL`).
const LIB_SSL: i32 = 20;

/// Added to an alert's number when the peer sent it (`SSL_AD_REASON_OFFSET`).
const ALERT_OFFSET: i32 = 1000;

/// What an error queue says, as `(library, reason)` pairs.
///
/// `refused` is why the peer's certificate was refused, for a queue that says only that it was.
/// A queue that says nothing we know is `Protocol`: OpenSSL has hundreds of reasons for "the peer
/// broke the protocol", and a few dozen for everything else.
pub fn error(
    queue: impl IntoIterator<Item = (i32, i32)>,
    refused: impl FnOnce() -> CertificateReason,
) -> Error {
    let known = queue
        .into_iter()
        .filter(|&(library, _)| library == LIB_SSL)
        .find_map(|(_, reason)| Some((reason, ssl_reason(reason)?)));
    match known {
        Some((CERTIFICATE_VERIFY_FAILED, _)) => Error::certificate(refused()),
        Some((_, error)) => error,
        None => Error::new(ErrorKind::Protocol),
    }
}

const CERTIFICATE_VERIFY_FAILED: i32 = 134;

/// The meaning of a libssl reason (`SSL_R_*`); `None` for all that are the peer's mistakes.
fn ssl_reason(reason: i32) -> Option<Error> {
    let alert = reason.checked_sub(ALERT_OFFSET).and_then(|alert| u8::try_from(alert).ok());
    if let Some(alert) = alert {
        return Some(Error::alert_received(Alert::new(alert)));
    }
    let kind = match reason {
        // UNSUPPORTED_PROTOCOL, NO_PROTOCOLS_AVAILABLE, WRONG_SSL_VERSION, VERSION_TOO_LOW,
        // VERSION_TOO_HIGH, UNKNOWN_PROTOCOL, UNSUPPORTED_SSL_VERSION, INAPPROPRIATE_FALLBACK
        258 | 191 | 266 | 396 | 166 | 252 | 259 | 373 => ErrorKind::NoCommonVersion,
        // NO_SHARED_CIPHER, NO_CIPHERS_AVAILABLE, NO_SUITABLE_KEY_SHARE,
        // NO_SUITABLE_SIGNATURE_ALGORITHM, NO_SUITABLE_GROUPS, NO_SHARED_GROUPS,
        // NO_SHARED_SIGNATURE_ALGORITHMS, UNSUPPORTED_ELLIPTIC_CURVE
        193 | 181 | 101 | 118 | 295 | 410 | 376 | 315 => ErrorKind::NoCommonCipherSuite,
        // NO_APPLICATION_PROTOCOL
        235 => ErrorKind::NoCommonAlpn,
        // PEER_DID_NOT_RETURN_A_CERTIFICATE: the same failure, seen from the server.
        199 => ErrorKind::ClientCertificateRequired,
        CERTIFICATE_VERIFY_FAILED => ErrorKind::Certificate(CertificateReason::Other),
        // BAD_SIGNATURE: of the handshake, by the certificate's key.
        123 => ErrorKind::Certificate(CertificateReason::BadSignature),
        // UNKNOWN_CERTIFICATE_TYPE, WRONG_CERTIFICATE_TYPE, UNABLE_TO_FIND_PUBLIC_KEY_PARAMETERS,
        // EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL, CA_MD_TOO_WEAK
        247 | 383 | 239 | 399 | 397 | 398 => {
            ErrorKind::Certificate(CertificateReason::UnsupportedAlgorithm)
        }
        // ECC_CERT_NOT_FOR_SIGNING, SIGNATURE_FOR_NON_SIGNING_CERTIFICATE
        318 | 220 => ErrorKind::Certificate(CertificateReason::WrongUsage),
        // ERR_R_ASN1_LIB, in OpenSSL 1.1.1 and 3: a certificate is the only DER in a handshake.
        13 | 0x8_000d => ErrorKind::Certificate(CertificateReason::BadEncoding),
        // ERR_R_MALLOC_FAILURE, in OpenSSL 1.1.1 and 3.
        65 | 0xc_0100 => return Some(Error::internal("the library has no memory left")),
        _ => return None,
    };
    Some(Error::new(kind))
}

/// The meaning of a verification result (`X509_V_ERR_*`).
pub fn verify_reason(code: i32) -> CertificateReason {
    use CertificateReason as Reason;
    match code {
        // No issuer found, or one that is not trusted, or is not the one that was named; or one that
        // is no authority, INVALID_CA: 24 in OpenSSL 1.1.1 and 79 in 3, where 24 is a missing key.
        2 | 18..=21 | 24 | 27..=32 | 55 | 79 => Reason::UnknownIssuer,
        4 | 7 | 77 => Reason::BadSignature,
        9 => Reason::NotYetValid,
        10 => Reason::Expired,
        // Dates, extensions, policies or names that cannot be read; two signature algorithms named.
        13 | 14 | 41 | 42 | 53 | 78 => Reason::BadEncoding,
        22 | 25 | 38 => Reason::PathTooLong,
        23 => Reason::Revoked,
        26 | 39 | 40 | 81 | 82 | 92 => Reason::WrongUsage,
        37 => Reason::CaUsedAsEndEntity,
        47..=49 | 51 | 52 => Reason::NameConstraints,
        56 | 93 => Reason::UnsupportedVersion,
        // An undecodable public key, Suite B, the security level, unknown algorithms, curves spelt
        // out.
        6 | 57..=61 | 66..=68 | 76 | 94 => Reason::UnsupportedAlgorithm,
        62..=64 => Reason::NameMismatch,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(queue: &[(i32, i32)]) -> ErrorKind {
        error(queue.iter().copied(), || CertificateReason::Expired).kind()
    }

    #[test]
    fn an_alert_is_told_from_a_reason() {
        assert_eq!(kind(&[(20, 1070)]), ErrorKind::NoCommonVersion);
        assert_eq!(kind(&[(20, 1080)]), ErrorKind::Alert(Alert::INTERNAL_ERROR));
        assert_eq!(kind(&[(20, 1256)]), ErrorKind::Protocol);
        assert_eq!(kind(&[(20, i32::MIN)]), ErrorKind::Protocol);
    }

    #[test]
    fn the_verification_is_asked_only_when_it_failed() {
        let expired = ErrorKind::Certificate(CertificateReason::Expired);
        assert_eq!(kind(&[(20, CERTIFICATE_VERIFY_FAILED)]), expired);
        assert_eq!(kind(&[(20, 193)]), ErrorKind::NoCommonCipherSuite);
    }

    #[test]
    fn other_libraries_numbers_are_not_libssls() {
        assert_eq!(kind(&[(13, 193)]), ErrorKind::Protocol);
        assert_eq!(kind(&[(4, 134), (20, 123)]), {
            ErrorKind::Certificate(CertificateReason::BadSignature)
        });
        assert_eq!(kind(&[]), ErrorKind::Protocol);
    }
}
