//! flowcontrol.apiserver.k8s.io: which requests wait for which. Kept and answered; this server does not queue by them yet.

use crate::policy::Policy;

mod flow_schema;
mod priority_level;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "FlowSchema" => Some(&flow_schema::FLOW_SCHEMA),
        "PriorityLevelConfiguration" => Some(&priority_level::PRIORITY_LEVEL),
        _ => None,
    }
}
