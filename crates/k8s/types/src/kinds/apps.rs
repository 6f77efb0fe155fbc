//! Kinds of the group apps.

use crate::policy::Policy;

pub mod controller_revision;
pub mod daemon_set;
pub mod deployment;
pub mod replica_set;
pub mod rollout;
pub mod stateful_set;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    Some(match kind {
        "ControllerRevision" => &controller_revision::POLICY,
        "DaemonSet" => &daemon_set::POLICY,
        "Deployment" => &deployment::POLICY,
        "ReplicaSet" => &replica_set::POLICY,
        "StatefulSet" => &stateful_set::POLICY,
        _ => return None,
    })
}
