//! Which certificates were found good a short while ago.
//!
//! Whether a certificate may be a leaf or an issuer, and whether it is for a name, depends on its
//! bytes alone, not on the time or on who asks. A client meets the same few servers again and again, and its backend
//! checks before the facade does: parsing the same bytes each time would be a tenth of what a
//! handshake costs beside its arithmetic.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::{Certificate, ServerName};

/// How many checks a thread remembers, the last ones.
const KEPT: usize = 24;

/// A certificate longer than this is checked each time, so that what is kept has a bound.
const LONGEST: usize = 4 << 10;

thread_local! {
    static CHECKED: RefCell<VecDeque<Check>> = const { RefCell::new(VecDeque::new()) };
}

/// What a certificate is to be found good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For<N> {
    Leaf,
    Issuer,
    /// A leaf whose names need no second look, whatever its issuers' constraints.
    AnyIssuer,
    /// An issuer without constraints that need one.
    AnyName,
    Name(N),
}

impl<N> For<N> {
    fn map<M>(self, name: impl FnOnce(N) -> M) -> For<M> {
        match self {
            Self::Leaf => For::Leaf,
            Self::Issuer => For::Issuer,
            Self::AnyIssuer => For::AnyIssuer,
            Self::AnyName => For::AnyName,
            Self::Name(of) => For::Name(name(of)),
        }
    }
}

/// A check that a certificate has passed.
struct Check {
    certificate: Certificate,
    purpose: For<ServerName>,
}

impl Check {
    fn is_for(&self, purpose: For<&ServerName>) -> bool {
        match (&self.purpose, purpose) {
            (For::Name(passed), For::Name(name)) => passed == name,
            (For::Leaf, For::Leaf)
            | (For::Issuer, For::Issuer)
            | (For::AnyIssuer, For::AnyIssuer)
            | (For::AnyName, For::AnyName) => true,
            _ => false,
        }
    }
}

/// Runs `check`, unless this certificate has passed it lately, for the same purpose.
pub(crate) fn unless_passed<E>(
    certificate: &Certificate,
    purpose: For<&ServerName>,
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if has_passed(certificate, purpose) {
        return Ok(());
    }
    check()?;
    if certificate.der().len() <= LONGEST {
        let purpose = purpose.map(ServerName::clone);
        remember(Check { certificate: certificate.clone(), purpose });
    }
    Ok(())
}

fn has_passed(certificate: &Certificate, purpose: For<&ServerName>) -> bool {
    let passed = |check: &Check| check.is_for(purpose) && check.certificate == *certificate;
    // A thread that is being torn down remembers nothing any more.
    CHECKED.try_with(|checked| checked.borrow().iter().any(passed)).unwrap_or(false)
}

fn remember(check: Check) {
    let _ = CHECKED.try_with(|checked| {
        let mut checked = checked.borrow_mut();
        checked.truncate(KEPT - 1);
        checked.push_front(check);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(certificate: &Certificate, purpose: For<&ServerName>) {
        assert_eq!(unless_passed(certificate, purpose, || Ok::<_, ()>(())), Ok(()));
    }

    fn passes(certificate: &Certificate, purpose: For<&ServerName>) -> bool {
        unless_passed(certificate, purpose, || Err(())).is_ok()
    }

    #[test]
    fn only_the_same_check_of_the_same_bytes_is_known() {
        let (one, other) = (Certificate::from_peer([1; 100]), Certificate::from_peer([2; 100]));
        let name = ServerName::parse("example.com").unwrap();
        let another_name = ServerName::parse("example.org").unwrap();
        pass(&one, For::Name(&name));
        assert!(passes(&one, For::Name(&name)));
        assert!(!passes(&one, For::Name(&another_name)));
        assert!(!passes(&one, For::Leaf));
        assert!(!passes(&one, For::Issuer));
        assert!(!passes(&one, For::AnyIssuer));
        assert!(!passes(&one, For::AnyName));
        assert!(!passes(&other, For::Name(&name)));
        pass(&other, For::Issuer);
        assert!(passes(&other, For::Issuer));
        assert!(!passes(&other, For::Leaf));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let huge = Certificate::from_peer(vec![1; LONGEST + 1]);
        pass(&huge, For::Leaf);
        assert!(!passes(&huge, For::Leaf));
        for i in 0..=KEPT {
            pass(&Certificate::from_peer(i.to_be_bytes()), For::Leaf);
        }
        assert!(!passes(&Certificate::from_peer(0usize.to_be_bytes()), For::Leaf));
        assert!(passes(&Certificate::from_peer(KEPT.to_be_bytes()), For::Leaf));
    }
}
