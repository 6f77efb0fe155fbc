//! Kinds of the group policy.

use crate::policy::Policy;

pub mod disruption_budget;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "PodDisruptionBudget").then_some(&disruption_budget::POLICY)
}
