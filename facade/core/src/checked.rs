//! Which leaf certificates were found good a short while ago.
//!
//! Whether a certificate may be a leaf, and whether it is for a name, depends on its bytes alone, not
//! on the time or on who asks. A client meets the same few servers again and again, and its backend
//! checks before the facade does: parsing the same bytes each time would be a tenth of what a
//! handshake costs beside its arithmetic.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::{Certificate, ServerName};

/// How many checks a thread remembers, the last ones.
const KEPT: usize = 16;

/// A certificate longer than this is checked each time, so that what is kept has a bound.
const LONGEST: usize = 4 << 10;

thread_local! {
    static CHECKED: RefCell<VecDeque<Check>> = const { RefCell::new(VecDeque::new()) };
}

/// A check that a certificate has passed: for its usage or, with a name, for that.
struct Check {
    leaf: Certificate,
    name: Option<ServerName>,
}

/// Runs `check`, unless this leaf has passed it lately, for this name or, without one, for its usage.
pub(crate) fn unless_passed<E>(
    leaf: &Certificate,
    name: Option<&ServerName>,
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if has_passed(leaf, name) {
        return Ok(());
    }
    check()?;
    if leaf.der().len() <= LONGEST {
        remember(Check { leaf: leaf.clone(), name: name.cloned() });
    }
    Ok(())
}

fn has_passed(leaf: &Certificate, name: Option<&ServerName>) -> bool {
    let passed = |check: &Check| check.name.as_ref() == name && check.leaf == *leaf;
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

    fn passes(leaf: &Certificate, name: Option<&ServerName>) -> bool {
        unless_passed(leaf, name, || Err(())).is_ok()
    }

    #[test]
    fn only_the_same_check_of_the_same_bytes_is_known() {
        let (one, other) = (Certificate::from_peer([1; 100]), Certificate::from_peer([2; 100]));
        let name = ServerName::parse("example.com").unwrap();
        let another_name = ServerName::parse("example.org").unwrap();
        assert_eq!(unless_passed(&one, Some(&name), || Ok::<_, ()>(())), Ok(()));
        assert!(passes(&one, Some(&name)));
        assert!(!passes(&one, Some(&another_name)));
        assert!(!passes(&one, None));
        assert!(!passes(&other, Some(&name)));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let huge = Certificate::from_peer(vec![1; LONGEST + 1]);
        assert_eq!(unless_passed(&huge, None, || Ok::<_, ()>(())), Ok(()));
        assert!(!passes(&huge, None));
        for i in 0..=KEPT {
            let leaf = Certificate::from_peer(i.to_be_bytes());
            assert_eq!(unless_passed(&leaf, None, || Ok::<_, ()>(())), Ok(()));
        }
        assert!(!passes(&Certificate::from_peer(0usize.to_be_bytes()), None));
        assert!(passes(&Certificate::from_peer(KEPT.to_be_bytes()), None));
    }
}
