//! Which pods go first when there are too many: those whose loss costs least.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::pods;

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Puts those first that go first. `on_node`: how many pods that belong together each node has.
pub fn sort(pods: &mut [&Pod], on_node: &HashMap<String, usize>, now: Timestamp) {
    pods.sort_by_cached_key(|pod| key(pod, on_node, now));
}

/// What is compared, in this order; the smaller goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    /// A node that has many can spare one.
    neighbours: Reverse<usize>,
    /// Those that were ready for a short time, in magnitudes, so that which one goes among the old is left to chance.
    ready_for: u32,
    chance: Chance,
    restarts: Reverse<i32>,
    age: u32,
    uid: String,
}

/// The uid decides among pods that have been ready for about as long; those that are not ready are told apart by what follows.
#[derive(Debug, PartialEq, Eq)]
struct Chance(Option<String>);

impl PartialOrd for Chance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Chance {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

fn key(pod: &Pod, on_node: &HashMap<String, usize>, now: Timestamp) -> Rank {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(COST)?.parse().ok());
    let restarts = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let since = pods::ready_since(pod);
    Rank {
        assigned: node.is_some(),
        phase: match pods::phase(pod) {
            "Pending" => 0,
            "Running" => 2,
            _ => 1,
        },
        ready: pods::is_ready(pod),
        cost: cost.unwrap_or(0),
        neighbours: Reverse(node.and_then(|node| on_node.get(node)).copied().unwrap_or(0)),
        ready_for: since.map_or(0, |since| magnitude(now, since)),
        chance: Chance(since.map(|_| uid.clone())),
        restarts: Reverse(restarts.map(|status| status.restart_count).max().unwrap_or(0)),
        age: pod.metadata.creation_timestamp.as_ref().map_or(0, |time| magnitude(now, time.0)),
        uid,
    }
}

/// How many binary digits the seconds since then have.
fn magnitude(now: Timestamp, then: Timestamp) -> u32 {
    let seconds = now.duration_since(then).as_secs().max(0);
    64 - (seconds as u64).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_missed_least_goes_first() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let pod = |name: &str, node: Value, phase: &str, ready: Option<&str>, annotations: Value| -> Pod {
            let ready = ready.map(|since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]));
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name, "annotations": annotations, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"nodeName": node, "containers": []},
                "status": {"phase": phase, "conditions": ready},
            }))
            .unwrap()
        };
        let (young, old) = ("2026-01-01T23:59:00Z", "2026-01-01T01:00:00Z");
        let all = [
            pod("old", json!("a"), "Running", Some(old), json!({})),
            pod("dear", json!("b"), "Running", Some(young), json!({COST: "10"})),
            pod("crowded", json!("b"), "Running", Some(old), json!({})),
            pod("young", json!("a"), "Running", Some(young), json!({})),
            pod("cheap", json!("a"), "Running", Some(old), json!({COST: "-5"})),
            pod("unready", json!("a"), "Running", None, json!({})),
            pod("pending", json!("a"), "Pending", None, json!({})),
            pod("unassigned", Value::Null, "Pending", None, json!({})),
        ];
        let nodes = [("a".to_owned(), 2), ("b".to_owned(), 3)].into();
        let mut ranked: Vec<&Pod> = all.iter().collect();
        sort(&mut ranked, &nodes, now);
        let names: Vec<_> = ranked.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["unassigned", "pending", "unready", "cheap", "crowded", "young", "old", "dear"]);
    }
}
