//! resource.k8s.io: devices that pods claim.

use crate::policy::Policy;

mod claim;
mod device_class;
mod requests;
mod slice;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "DeviceClass" => Some(&device_class::DEVICE_CLASS),
        "ResourceClaim" => Some(&claim::RESOURCE_CLAIM),
        "ResourceClaimTemplate" => Some(&claim::RESOURCE_CLAIM_TEMPLATE),
        "ResourceSlice" => Some(&slice::RESOURCE_SLICE),
        _ => None,
    }
}
