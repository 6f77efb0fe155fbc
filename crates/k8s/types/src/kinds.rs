//! The built-in kinds: one file each under its group, holding what the table cannot say about it.

use crate::policy::Policy;

pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod core;
pub mod policy;

/// The policy of a built-in kind, `None` where nothing is special. Core's group is the empty string.
pub fn of(group: &str, kind: &str) -> Option<&'static Policy> {
    match group {
        "" => core::of(kind),
        "apps" => apps::of(kind),
        "batch" => batch::of(kind),
        "autoscaling" => autoscaling::of(kind),
        "policy" => policy::of(kind),
        _ => None,
    }
}
