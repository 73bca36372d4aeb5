//! The numbers of Secure Transport (SecureTransport.h). Written from Apple's documentation, not run.

use std::fmt::Debug;
use std::io;

use polytls_core::{Alert, CertificateReason, Error, ErrorKind};

#[cfg_attr(not(target_vendor = "apple"), expect(dead_code, reason = "only the table is tested"))]
pub(super) fn handshake(error: &native_tls::Error) -> Error {
    any(error)
}

#[cfg_attr(not(target_vendor = "apple"), expect(dead_code, reason = "only the table is tested"))]
pub(super) fn data(error: &io::Error) -> Error {
    any(error)
}

fn any(error: &impl Debug) -> Error {
    super::number(error, "code: ").map_or_else(|| Error::new(ErrorKind::Protocol), meaning)
}

fn meaning(code: i32) -> Error {
    use CertificateReason as Reason;
    let alert = match code {
        // errSSLPeerUnexpectedMsg to errSSLPeerDecompressFail
        -9819 => Alert::UNEXPECTED_MESSAGE,
        -9820 => Alert::BAD_RECORD_MAC,
        -9821 => Alert::new(21),
        -9822 => Alert::new(22),
        -9823 => Alert::new(30),
        // errSSLPeerHandshakeFail to errSSLPeerDecryptError
        -9824 => Alert::HANDSHAKE_FAILURE,
        -9825 => Alert::BAD_CERTIFICATE,
        -9826 => Alert::UNSUPPORTED_CERTIFICATE,
        -9827 => Alert::CERTIFICATE_REVOKED,
        -9828 => Alert::CERTIFICATE_EXPIRED,
        -9829 => Alert::CERTIFICATE_UNKNOWN,
        -9830 => Alert::ILLEGAL_PARAMETER,
        -9831 => Alert::UNKNOWN_CA,
        -9832 => Alert::new(49),
        -9833 => Alert::DECODE_ERROR,
        -9834 => Alert::DECRYPT_ERROR,
        // errSSLPeerExportRestriction to errSSLPeerNoRenegotiation
        -9835 => Alert::new(60),
        -9836 => Alert::PROTOCOL_VERSION,
        -9837 => Alert::INSUFFICIENT_SECURITY,
        -9838 => Alert::INTERNAL_ERROR,
        -9839 => Alert::USER_CANCELED,
        -9840 => Alert::new(100),
        _ => Alert::CLOSE_NOTIFY,
    };
    if alert != Alert::CLOSE_NOTIFY {
        return Error::alert_received(alert);
    }
    match code {
        // errSSLXCertChainInvalid, errSSLUnknownRootCert, errSSLNoRootCert
        -9807 | -9812 | -9813 => Error::certificate(Reason::UnknownIssuer),
        // errSSLBadCert
        -9808 => Error::certificate(Reason::BadEncoding),
        // errSSLCertExpired, errSSLCertNotYetValid
        -9814 => Error::certificate(Reason::Expired),
        -9815 => Error::certificate(Reason::NotYetValid),
        // errSSLHostNameMismatch
        -9843 => Error::certificate(Reason::NameMismatch),
        // errSSLNegotiation
        -9801 => Error::new(ErrorKind::NoCommonCipherSuite),
        // errSSLInternal
        -9810 => Error::internal("Secure Transport failed"),
        _ => Error::new(ErrorKind::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_from_a_reason() {
        assert_eq!(meaning(-9836).kind(), ErrorKind::NoCommonVersion);
        assert_eq!(meaning(-9836).alert(), Some(Alert::PROTOCOL_VERSION));
        assert_eq!(meaning(-9815).alert(), None);
        assert_eq!(any(&"no number").kind(), ErrorKind::Protocol);
    }
}
