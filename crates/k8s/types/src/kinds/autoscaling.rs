//! Kinds of the group autoscaling.

use crate::policy::Policy;

mod convert;
pub mod horizontal_pod_autoscaler;
mod metrics;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    Some(match kind {
        "HorizontalPodAutoscaler" => &horizontal_pod_autoscaler::POLICY,
        "Scale" => &horizontal_pod_autoscaler::SCALE,
        _ => return None,
    })
}
