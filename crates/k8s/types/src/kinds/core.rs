//! Kinds of the core group.

use crate::policy::Policy;

pub mod difference;
pub mod persistent_volume_claim;
pub mod pod;
pub mod pod_spec;
pub mod resource_name;
pub mod volume_columns;
pub mod volume_source;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    Some(match kind {
        "Pod" => &pod::POLICY,
        "PersistentVolumeClaim" => &persistent_volume_claim::POLICY,
        _ => return None,
    })
}
