//! What a node's conditions become when nothing is heard of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Conditions that only the kubelet can know.
const KNOWN_BY_KUBELET: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// A condition's status; `Unknown` where there is none.
pub fn status<'a>(node: &'a Node, kind: &str) -> &'a str {
    condition(node, kind).map_or("Unknown", |condition| condition.status.as_str())
}

/// A condition of a node.
pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// The conditions that must be written for a node that is lost; empty when all say so already.
pub fn lost(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    let unknown = |kind: &&str| {
        let old = condition(node, kind);
        if old.is_some_and(|old| old.status == "Unknown") {
            return None;
        }
        let (reason, message) = match old {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let heard = old.map_or_else(|| node.metadata.creation_timestamp.clone(), |old| old.last_heartbeat_time.clone());
        Some(NodeCondition {
            type_: (*kind).to_owned(),
            status: "Unknown".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: heard,
            last_transition_time: Some(Time(now)),
        })
    };
    KNOWN_BY_KUBELET.iter().filter_map(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn what_is_not_heard_of_is_unknown_and_says_since_when() {
        let node: Node = from_value(json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-02T00:00:00Z"},
                {"type": "DiskPressure", "status": "Unknown"},
            ]},
        }))
        .unwrap();
        let found = lost(&node, Timestamp::UNIX_EPOCH);
        let text: Vec<_> = found.iter().map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap())).collect();
        let want = [
            ("Ready", "NodeStatusUnknown"),
            ("MemoryPressure", "NodeStatusNeverUpdated"),
            ("PIDPressure", "NodeStatusNeverUpdated"),
        ];
        assert_eq!(text, want);
        assert_eq!(found[0].last_heartbeat_time.as_ref().unwrap().0.to_string(), "2026-01-02T00:00:00Z");
        assert_eq!(found[1].last_heartbeat_time.as_ref().unwrap().0.to_string(), "2026-01-01T00:00:00Z");
    }
}
