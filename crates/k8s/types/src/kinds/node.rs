//! node.k8s.io: runtime classes.

use crate::policy::Policy;

mod runtime_class;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "RuntimeClass").then_some(&runtime_class::RUNTIME_CLASS)
}
