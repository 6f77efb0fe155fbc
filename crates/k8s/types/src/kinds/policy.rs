//! Kinds of the group policy.

use crate::policy::Policy;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        _ => None,
    }
}
