//! rbac.authorization.k8s.io: who may what.

use crate::policy::Policy;

mod binding;
mod role;
#[cfg(test)]
mod tests;

/// The name of the group, which roles and subjects carry too.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "Role" => Some(&role::ROLE),
        "ClusterRole" => Some(&role::CLUSTER_ROLE),
        "RoleBinding" => Some(&binding::ROLE_BINDING),
        "ClusterRoleBinding" => Some(&binding::CLUSTER_ROLE_BINDING),
        _ => None,
    }
}
