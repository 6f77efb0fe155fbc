//! events.k8s.io: the same events as core's, with other field names.

use crate::policy::Policy;

mod event;
#[cfg(test)]
mod tests;

pub use event::{from_core, to_core};

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "Event").then_some(&event::EVENT)
}
