//! coordination.k8s.io: leases.

use crate::policy::Policy;

mod lease;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "Lease").then_some(&lease::LEASE)
}
