//! Which certificates were found good a short while ago.
//!
//! Whether a certificate may be a leaf or an issuer, and whether it is for a name, depends on its
//! bytes alone, not on the time or on who asks. A client meets the same few servers again and again,
//! and its backend checks before the facade does: parsing the same bytes each time would be a tenth of
//! what a handshake costs beside its arithmetic.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::{Certificate, ServerName};

/// How many certificates a thread remembers, the last ones.
const KEPT: usize = 16;

/// A certificate longer than this is checked each time, so that what is kept has a bound.
const LONGEST: usize = 4 << 10;

thread_local! {
    static CHECKED: RefCell<VecDeque<Checked>> = const { RefCell::new(VecDeque::new()) };
}

/// What a certificate is to be found good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For<'n> {
    Leaf,
    Issuer,
    /// A leaf whose names need no second look, whatever its issuers' constraints.
    AnyIssuer,
    /// An issuer without constraints that need one.
    AnyName,
    Name(&'n ServerName),
}

/// A certificate, and what it was found good for.
struct Checked {
    certificate: Certificate,
    leaf: bool,
    issuer: bool,
    any_issuer: bool,
    any_name: bool,
    /// The last name.
    name: Option<ServerName>,
}

impl Checked {
    fn new(certificate: Certificate) -> Self {
        let [leaf, issuer, any_issuer, any_name] = [false; 4];
        Self { certificate, leaf, issuer, any_issuer, any_name, name: None }
    }

    fn is_for(&self, purpose: For<'_>) -> bool {
        match purpose {
            For::Leaf => self.leaf,
            For::Issuer => self.issuer,
            For::AnyIssuer => self.any_issuer,
            For::AnyName => self.any_name,
            For::Name(name) => self.name.as_ref() == Some(name),
        }
    }

    fn add(&mut self, purpose: For<'_>) {
        match purpose {
            For::Leaf => self.leaf = true,
            For::Issuer => self.issuer = true,
            For::AnyIssuer => self.any_issuer = true,
            For::AnyName => self.any_name = true,
            For::Name(name) => self.name = Some(name.clone()),
        }
    }
}

/// Runs `check`, unless this certificate has passed it lately, for the same purpose.
pub(crate) fn unless_passed<E>(
    certificate: &Certificate,
    purpose: For<'_>,
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if has_passed(certificate, purpose) {
        return Ok(());
    }
    check()?;
    passed(certificate, purpose);
    Ok(())
}

/// Takes note that a certificate has passed a check.
pub(crate) fn passed(certificate: &Certificate, purpose: For<'_>) {
    if certificate.der().len() > LONGEST {
        return;
    }
    // A thread that is being torn down remembers nothing any more.
    let _ = CHECKED.try_with(|checked| {
        let mut checked = checked.borrow_mut();
        if let Some(known) = checked.iter_mut().find(|known| known.certificate == *certificate) {
            return known.add(purpose);
        }
        checked.truncate(KEPT - 1);
        let mut new = Checked::new(certificate.clone());
        new.add(purpose);
        checked.push_front(new);
    });
}

/// Whether a certificate has passed a check lately.
pub(crate) fn has_passed(certificate: &Certificate, purpose: For<'_>) -> bool {
    let passed = |known: &Checked| known.certificate == *certificate && known.is_for(purpose);
    CHECKED.try_with(|checked| checked.borrow().iter().any(passed)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(certificate: &Certificate, purpose: For<'_>) {
        assert_eq!(unless_passed(certificate, purpose, || Ok::<_, ()>(())), Ok(()));
    }

    fn passes(certificate: &Certificate, purpose: For<'_>) -> bool {
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
