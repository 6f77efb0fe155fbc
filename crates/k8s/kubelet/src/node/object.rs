//! The node as the API is told it: labels, capacity, conditions, images.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
    NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_types::quantity::Quantity;
use kube::api::ObjectMeta;
use pods::runtime::Image;

use super::facts;
use crate::admission::Pressure;
use crate::config::Config;
use crate::status::time;

/// So many images are told, the largest ones.
const MOST_IMAGES: usize = 50;

/// Everything that a node's status is made of.
pub struct Facts<'a> {
    pub config: &'a Config,
    pub addresses: &'a [IpAddr],
    pub system: NodeSystemInfo,
    pub capacity: &'a BTreeMap<String, Quantity>,
    pub allocatable: &'a BTreeMap<String, Quantity>,
    pub images: &'a [Image],
    pub pressure: Pressure,
    pub port: Option<u16>,
}

/// The labels that a node has by itself, and those that it is told.
pub fn labels(config: &Config) -> BTreeMap<String, String> {
    let own = [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/arch", facts::architecture()),
        ("kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", facts::architecture()),
        ("beta.kubernetes.io/os", "linux"),
    ];
    let mut labels: BTreeMap<String, String> =
        own.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    labels.extend(config.labels.clone());
    labels
}

/// The node to be made where there is none.
pub fn node(config: &Config, status: NodeStatus) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels(config)),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: Some(config.taints.clone()).filter(|all| !all.is_empty()),
            ..NodeSpec::default()
        }),
        status: Some(status),
    }
}

fn texts(amounts: &BTreeMap<String, Quantity>) -> BTreeMap<String, Text> {
    amounts.iter().map(|(name, amount)| (name.clone(), Text(amount.to_string()))).collect()
}

/// The status; moments of conditions that did not turn are those of `old`.
pub fn status(facts: &Facts<'_>, old: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let mut addresses: Vec<NodeAddress> = facts
        .addresses
        .iter()
        .map(|address| NodeAddress { type_: "InternalIP".into(), address: address.to_string() })
        .collect();
    addresses.push(NodeAddress { type_: "Hostname".into(), address: facts.config.node_name.clone() });
    NodeStatus {
        addresses: Some(addresses),
        capacity: Some(texts(facts.capacity)),
        allocatable: Some(texts(facts.allocatable)),
        conditions: Some(conditions(facts.pressure, old, now)),
        daemon_endpoints: facts
            .port
            .map(|port| NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: port.into() }) }),
        images: Some(images(facts.images)),
        node_info: Some(facts.system.clone()),
        ..NodeStatus::default()
    }
}

fn conditions(pressure: Pressure, old: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let own = [
        match pressure.memory {
            true => {
                ("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
            }
            false => {
                ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
            }
        },
        match pressure.disk {
            true => ("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
            false => ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        },
        match pressure.pids {
            true => ("PIDPressure", "True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            false => ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        },
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    own.into_iter()
        .map(|(kind, status, reason, message)| {
            let before =
                old.and_then(|old| old.conditions.as_ref()).into_iter().flatten().find(|one| one.type_ == kind);
            let since = before.filter(|one| one.status == status).and_then(|one| one.last_transition_time.clone());
            NodeCondition {
                type_: kind.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(time(now)),
                last_transition_time: since.or_else(|| Some(time(now))),
            }
        })
        .collect()
}

fn images(all: &[Image]) -> Vec<ContainerImage> {
    let mut all: Vec<&Image> = all.iter().filter(|image| !image.tags.is_empty() || !image.digests.is_empty()).collect();
    all.sort_by_key(|image| (std::cmp::Reverse(image.size), image.id.clone()));
    let told = all.into_iter().take(MOST_IMAGES).map(|image| ContainerImage {
        names: Some(image.digests.iter().chain(&image.tags).cloned().collect()),
        size_bytes: Some(image.size.try_into().unwrap_or(i64::MAX)),
    });
    told.collect()
}

/// Whether two statuses say the same but for the moment of it.
pub fn same(a: &NodeStatus, b: &NodeStatus) -> bool {
    let plain = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_the_moment_of_their_turn() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let old =
            NodeStatus { conditions: Some(conditions(Pressure::default(), None, at(10))), ..NodeStatus::default() };
        let pressed = conditions(Pressure { memory: true, ..Pressure::default() }, Some(&old), at(20));
        let turned = |kind: &str| pressed.iter().find(|one| one.type_ == kind).unwrap().last_transition_time.clone();
        assert_eq!((turned("MemoryPressure"), turned("Ready")), (Some(time(at(20))), Some(time(at(10)))));
        let later = NodeStatus {
            conditions: Some(conditions(Pressure::default(), Some(&old), at(30))),
            ..NodeStatus::default()
        };
        assert!(same(&old, &later));
    }
}
