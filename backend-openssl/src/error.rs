//! OpenSSL's error queue as one error: by library and reason codes, never by text.

use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, SslRef};
use polytls_core::openssl_codes;
use polytls_core::{CertificateReason, Error, ErrorKind};

use crate::session::Peer;

/// The library refuses something that it refuses only when it has no memory, or that is a bug here.
pub(crate) fn internal(error: ErrorStack) -> Error {
    Error::new(ErrorKind::Internal).with_source(error)
}

/// A call of the library on this connection failed for good.
pub(crate) fn failed(ssl: &SslRef, error: openssl::ssl::Error) -> Error {
    let refused = Peer::of(ssl).and_then(Peer::refused);
    let meaning = match (error.code(), error.ssl_error()) {
        (ErrorCode::SSL, Some(queue)) => {
            let codes = queue.errors().iter().map(|it| (it.library_code(), it.reason_code()));
            openssl_codes::error(codes, || verify_reason(ssl))
        }
        // The wire neither fails nor ends, and nothing is set up that could ask for more.
        _ => Error::internal("an outcome that a memory buffer cannot have"),
    };
    let told = match (meaning.kind(), refused) {
        (ErrorKind::Certificate(_), Some(refused)) => refused.clone(),
        _ => meaning,
    };
    told.with_source(error)
}

/// What the verification itself found, for contexts that came ready and have no callback of ours.
fn verify_reason(ssl: &SslRef) -> CertificateReason {
    openssl_codes::verify_reason(ssl.verify_result().as_raw())
}
