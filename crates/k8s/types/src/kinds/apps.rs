//! Kinds of the group apps.

use crate::policy::Policy;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        _ => None,
    }
}
