//! Signatures on certificates that were verified a short while ago.
//!
//! A client meets the same few servers again and again, and verifying the same signatures with the
//! same keys is a tenth of each full handshake, much more with RSA or P-384 above the leaf. Whether
//! a signature is good depends on bytes alone. What depends on the time or on who asks (dates, name,
//! usage, constraints, the anchor) webpki looks at each time.

use std::cell::RefCell;
use std::collections::VecDeque;

use polytls_core::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm,
};

/// How many signatures a thread remembers, the last ones.
const KEPT: usize = 16;

/// A certificate longer than this is verified each time, so that what is kept has a bound.
const LONGEST: usize = 4 << 10;

thread_local! {
    static GOOD: RefCell<VecDeque<Signature>> = const { RefCell::new(VecDeque::new()) };
}

/// An algorithm that remembers what it has found good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembering(pub(crate) &'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let asked = Asked { algorithm: self.0, public_key, message, signature };
        if asked.is_known() {
            return Ok(());
        }
        self.0.verify_signature(public_key, message, signature)?;
        asked.remember();
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// A signature that was found good.
struct Signature {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    public_key: Box<[u8]>,
    message: Box<[u8]>,
    signature: Box<[u8]>,
}

/// A signature that is to be verified.
struct Asked<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    public_key: &'a [u8],
    message: &'a [u8],
    signature: &'a [u8],
}

impl Asked<'_> {
    fn is_known(&self) -> bool {
        // A thread that is being torn down remembers nothing any more.
        GOOD.try_with(|good| good.borrow().iter().any(|one| self.is(one))).unwrap_or(false)
    }

    fn is(&self, one: &Signature) -> bool {
        *self.signature == *one.signature
            && *self.message == *one.message
            && *self.public_key == *one.public_key
            // Of one library only: another may be stricter.
            && std::ptr::addr_eq(self.algorithm, one.algorithm)
            && self.algorithm.signature_alg_id() == one.algorithm.signature_alg_id()
            && self.algorithm.public_key_alg_id() == one.algorithm.public_key_alg_id()
    }

    fn remember(&self) {
        if self.public_key.len() + self.message.len() + self.signature.len() > LONGEST {
            return;
        }
        let signature = Signature {
            algorithm: self.algorithm,
            public_key: self.public_key.into(),
            message: self.message.into(),
            signature: self.signature.into(),
        };
        let _ = GOOD.try_with(|good| {
            let mut good = good.borrow_mut();
            good.truncate(KEPT - 1);
            good.push_front(signature);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use polytls_core::pki_types::alg_id;

    use super::*;

    /// Finds a signature good that equals the message, and counts how often it is asked.
    #[derive(Debug)]
    struct Counting(AtomicUsize, AlgorithmIdentifier);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(
            &self,
            _: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if message == signature { Ok(()) } else { Err(InvalidSignature) }
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            self.1
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            self.1
        }
    }

    fn counting() -> &'static Counting {
        Box::leak(Box::new(Counting(AtomicUsize::new(0), alg_id::ED25519)))
    }

    /// Key, message and signature.
    type Signed<'a> = [&'a [u8]; 3];

    /// How often the algorithm was asked for these verifications.
    fn asked(algorithm: &'static Counting, all: &[Signed<'_>]) -> usize {
        let before = algorithm.0.load(Ordering::Relaxed);
        for [public_key, message, signature] in all {
            let verified = Remembering(algorithm).verify_signature(public_key, message, signature);
            assert_eq!(verified.is_ok(), message == signature);
        }
        algorithm.0.load(Ordering::Relaxed) - before
    }

    #[test]
    fn a_good_signature_is_verified_once() {
        let algorithm = counting();
        assert_eq!(asked(algorithm, &[[b"key", b"m", b"m"], [b"key", b"m", b"m"]]), 1);
    }

    #[test]
    fn a_bad_one_each_time() {
        let algorithm = counting();
        assert_eq!(asked(algorithm, &[[b"key", b"m", b"x"], [b"key", b"m", b"x"]]), 2);
        // Nor does a good one lend its name to another that shares some of it.
        assert_eq!(asked(algorithm, &[[b"key", b"m", b"m"], [b"key", b"m", b"x"]]), 2);
        assert_eq!(asked(algorithm, &[[b"key", b"x", b"m"], [b"other", b"m", b"m"]]), 2);
    }

    #[test]
    fn only_by_the_algorithm_that_verified_it() {
        let (one, other) = (counting(), counting());
        assert_eq!(asked(one, &[[b"key", b"m", b"m"]]), 1);
        assert_eq!(asked(other, &[[b"key", b"m", b"m"]]), 1);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let algorithm = counting();
        let huge = vec![7; LONGEST];
        let huge = [&b"key"[..], &huge[..], &huge[..]];
        assert_eq!(asked(algorithm, &[huge, huge]), 2);
        assert_eq!(asked(algorithm, &[[b"key", b"first", b"first"]]), 1);
        for i in 0..KEPT {
            let message = i.to_be_bytes();
            assert_eq!(asked(algorithm, &[[b"key", &message, &message]]), 1);
        }
        assert_eq!(asked(algorithm, &[[b"key", b"first", b"first"]]), 1);
    }
}
