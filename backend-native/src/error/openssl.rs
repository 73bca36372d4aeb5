//! OpenSSL's error queue, dug out of native-tls' errors.

use std::error::Error as _;
use std::io;

use openssl::error::ErrorStack;
use polytls_core::{CertificateReason, Error, ErrorKind, Phase, openssl_codes};

/// The peer's close_notify has come (`SSL_ERROR_ZERO_RETURN`).
const ZERO_RETURN: i32 = 6;

pub(super) fn handshake(error: &native_tls::Error) -> Error {
    if super::number(error, "ErrorCode(") == Some(ZERO_RETURN) {
        return Error::new(ErrorKind::Truncated(Phase::Handshake));
    }
    let stack = error.source().and_then(|source| source.downcast_ref::<ErrorStack>());
    openssl_codes::error(queue(stack), || {
        super::number(error, "X509VerifyResult { code: ")
            .map_or(CertificateReason::Other, openssl_codes::verify_reason)
    })
}

pub(super) fn data(error: &io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>());
    let stack = inner.and_then(openssl::ssl::Error::ssl_error);
    // Certificates are verified in handshakes only.
    openssl_codes::error(queue(stack), || CertificateReason::Other)
}

fn queue(stack: Option<&ErrorStack>) -> impl Iterator<Item = (i32, i32)> {
    let errors = stack.map(ErrorStack::errors).unwrap_or_default();
    errors.iter().map(|error| (error.library_code(), error.reason_code()))
}
