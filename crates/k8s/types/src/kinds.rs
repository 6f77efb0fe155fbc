//! The built-in kinds: one file each under its group, holding what the table cannot say about it.

use crate::policy::Policy;

pub mod admissionregistration;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod rules;
pub mod scheduling;
pub mod storage;
#[cfg(test)]
pub mod testing;

/// The policy of a built-in kind, `None` where nothing is special. Core's group is the empty string.
pub fn of(group: &str, kind: &str) -> Option<&'static Policy> {
    match group {
        "" => core::of(kind),
        "apps" => apps::of(kind),
        "batch" => batch::of(kind),
        "autoscaling" => autoscaling::of(kind),
        "policy" => policy::of(kind),
        "admissionregistration.k8s.io" => admissionregistration::of(kind),
        "apiregistration.k8s.io" => apiregistration::of(kind),
        "authentication.k8s.io" => authentication::of(kind),
        "authorization.k8s.io" => authorization::of(kind),
        "apiextensions.k8s.io" if kind == "CustomResourceDefinition" => Some(&crate::crd::POLICY),
        "certificates.k8s.io" => certificates::of(kind),
        "coordination.k8s.io" => coordination::of(kind),
        "discovery.k8s.io" => discovery::of(kind),
        "events.k8s.io" => events::of(kind),
        "flowcontrol.apiserver.k8s.io" => flowcontrol::of(kind),
        "networking.k8s.io" => networking::of(kind),
        "node.k8s.io" => node::of(kind),
        rbac::GROUP => rbac::of(kind),
        "resource.k8s.io" => resource::of(kind),
        "scheduling.k8s.io" => scheduling::of(kind),
        "storage.k8s.io" => storage::of(kind),
        _ => None,
    }
}
