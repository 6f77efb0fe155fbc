//! discovery.k8s.io: the endpoints of services, in slices.

use crate::policy::Policy;

mod endpoint_slice;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "EndpointSlice").then_some(&endpoint_slice::ENDPOINT_SLICE)
}
