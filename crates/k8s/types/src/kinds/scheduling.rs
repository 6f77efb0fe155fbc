//! scheduling.k8s.io: priority classes.

use crate::policy::Policy;

mod priority_class;

pub use priority_class::HIGHEST_USER_PRIORITY;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "PriorityClass").then_some(&priority_class::PRIORITY_CLASS)
}
