//! The numbers of Windows (winerror.h): `SEC_E_*` of Schannel, `CERT_E_*`, `CRYPT_E_*` and
//! `TRUST_E_*` of the certificate check. Written from Microsoft's documentation, not run.

use std::fmt::Debug;
use std::io;

use polytls_core::{CertificateReason, Error, ErrorKind};

#[cfg_attr(not(target_os = "windows"), expect(dead_code, reason = "only the table is tested"))]
pub(super) fn handshake(error: &native_tls::Error) -> Error {
    let kind = match number(error) {
        Some(code) => kind(code),
        // native-tls' own check that the chain ends in one of the certificates given has no number.
        None => ErrorKind::Certificate(CertificateReason::UnknownIssuer),
    };
    Error::new(kind)
}

#[cfg_attr(not(target_os = "windows"), expect(dead_code, reason = "only the table is tested"))]
pub(super) fn data(error: &io::Error) -> Error {
    Error::new(number(error).map_or(ErrorKind::Protocol, kind))
}

fn number(error: &impl Debug) -> Option<u32> {
    super::number(error, "code: ").map(|code| code as u32)
}

fn kind(code: u32) -> ErrorKind {
    use CertificateReason as Reason;
    let reason = match code {
        // SEC_E_UNTRUSTED_ROOT, CERT_E_UNTRUSTEDROOT, CERT_E_CHAINING, CERT_E_UNTRUSTEDCA
        0x8009_0325 | 0x800b_0109 | 0x800b_010a | 0x800b_0112 => Reason::UnknownIssuer,
        // SEC_E_CERT_EXPIRED, CERT_E_EXPIRED; also before its validity, which Windows does not tell
        // apart.
        0x8009_0328 | 0x800b_0101 => Reason::Expired,
        // SEC_E_WRONG_PRINCIPAL, CERT_E_CN_NO_MATCH
        0x8009_0322 | 0x800b_010f => Reason::NameMismatch,
        // CERT_E_REVOKED, CRYPT_E_REVOKED
        0x800b_010c | 0x8009_2010 => Reason::Revoked,
        // TRUST_E_CERT_SIGNATURE
        0x8009_6004 => Reason::BadSignature,
        // SEC_E_CERT_WRONG_USAGE, CERT_E_WRONG_USAGE, CERT_E_PURPOSE, CERT_E_ROLE
        0x8009_0349 | 0x800b_0110 | 0x800b_0106 | 0x800b_0103 => Reason::WrongUsage,
        // TRUST_E_BASIC_CONSTRAINTS
        0x8009_6019 => Reason::CaUsedAsEndEntity,
        // CERT_E_INVALID_NAME
        0x800b_0114 => Reason::NameConstraints,
        // CERT_E_PATHLENCONST
        0x800b_0104 => Reason::PathTooLong,
        // SEC_E_CERT_UNKNOWN
        0x8009_0327 => Reason::Other,
        // SEC_E_ALGORITHM_MISMATCH
        0x8009_0331 => return ErrorKind::NoCommonCipherSuite,
        // SEC_E_UNSUPPORTED_FUNCTION
        0x8009_0302 => return ErrorKind::NoCommonVersion,
        // SEC_E_APPLICATION_PROTOCOL_MISMATCH
        0x8009_0367 => return ErrorKind::NoCommonAlpn,
        // SEC_E_INSUFFICIENT_MEMORY, SEC_E_INTERNAL_ERROR
        0x8009_0300 | 0x8009_0304 => return ErrorKind::Internal,
        // SEC_E_INVALID_TOKEN, SEC_E_MESSAGE_ALTERED, SEC_E_ILLEGAL_MESSAGE and the like
        _ => return ErrorKind::Protocol,
    };
    ErrorKind::Certificate(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_through_the_debug_text() {
        let error = io::Error::from_raw_os_error(0x8009_0325_u32 as i32);
        let unknown = ErrorKind::Certificate(CertificateReason::UnknownIssuer);
        assert_eq!(number(&error).map(kind), Some(unknown));
    }
}
