//! Kinds of the core group.

use crate::policy::Policy;

pub mod config_map;
pub mod difference;
pub mod endpoints;
pub mod event;
pub mod limits;
pub mod namespace;
pub mod node;
pub mod persistent_volume;
pub mod persistent_volume_claim;
pub mod pod;
pub mod pod_spec;
pub mod pod_template;
pub mod replication_controller;
pub mod resource_name;
pub mod service;
pub mod service_account;
pub mod small;
#[cfg(test)]
mod tests;
pub mod volume_columns;
pub mod volume_source;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    Some(match kind {
        "Binding" => &small::BINDING,
        "ComponentStatus" => &small::COMPONENT_STATUS,
        "ConfigMap" => &config_map::CONFIG_MAP,
        "Endpoints" => &endpoints::POLICY,
        "Event" => &event::POLICY,
        "LimitRange" => &limits::LIMIT_RANGE,
        "Namespace" => &namespace::POLICY,
        "Node" => &node::POLICY,
        "PersistentVolume" => &persistent_volume::POLICY,
        "PersistentVolumeClaim" => &persistent_volume_claim::POLICY,
        "Pod" => &pod::POLICY,
        "PodTemplate" => &pod_template::POLICY,
        "ReplicationController" => &replication_controller::POLICY,
        "ResourceQuota" => &limits::QUOTA,
        "Secret" => &config_map::SECRET,
        "Service" => &service::POLICY,
        "ServiceAccount" => &service_account::POLICY,
        _ => return None,
    })
}
