//! `spec.podCIDR`: every node gets a /24 of 10.42.0.0/16, the lowest one that no other node has.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_client::{Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::sync::Mutex;

/// The addresses of all pods: a /16.
const CLUSTER: [u8; 2] = [10, 42];

/// Runs until dropped.
pub async fn run(informers: &Informers) {
    let nodes = informers.get::<Node>();
    nodes.synced().await;
    let queue: Queue<String> = Queue::default();
    let watched = (nodes.clone(), queue.clone());
    let _watching = nodes.on(move |change| {
        let (nodes, queue) = &watched;
        queue.add(change.object().name_any());
        if change.new.is_none() {
            // A range is free again; somebody may wait for one.
            nodes.list().iter().filter(|node| range(node).is_none()).for_each(|node| queue.add(node.name_any()));
        }
    });
    let recorder = Recorder::new(informers.client().clone(), "node-controller", "");
    let giver = Giver { nodes, api: Api::all(informers.client().clone()), recorder, given: Mutex::default() };
    queue.work("node addresses", 1, |name| giver.sync(name)).await;
}

struct Giver {
    nodes: Informer<Node>,
    api: Api<Node>,
    recorder: Recorder,
    /// What was given and may not show in the cache yet, by node.
    given: Mutex<HashMap<String, u8>>,
}

impl Giver {
    async fn sync(&self, name: String) -> kube::Result<()> {
        let mut given = self.given.lock().await;
        let Some(node) = self.nodes.get("", &name) else {
            given.remove(&name);
            return Ok(());
        };
        if range(&node).is_some() {
            given.remove(&name);
            return Ok(());
        }
        let taken = given.values().copied().chain(self.nodes.list().iter().filter_map(third)).collect();
        let Some(free) = lowest_free(&taken) else {
            self.tell_full(&node);
            return Ok(());
        };
        let range = format!("{}/24", Ipv4Addr::new(CLUSTER[0], CLUSTER[1], free, 0));
        let patch = json!({
            "metadata": { "uid": node.uid(), "resourceVersion": node.resource_version() },
            "spec": { "podCIDR": range, "podCIDRs": [range] },
        });
        given.insert(name.clone(), free);
        let result = self.api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        if result.is_err() {
            given.remove(&name);
        }
        crate::ignore_absent(result)
    }

    fn tell_full(&self, node: &Arc<Node>) {
        let message = format!("Node {} status is now: CIDRNotAvailable", node.name_any());
        self.recorder.tell(&**node, Severity::Normal, "CIDRNotAvailable", message);
    }
}

fn range(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.pod_cidr.as_deref().filter(|range| !range.is_empty())
}

/// The third number of a node's range, where it is one of ours.
fn third(node: &Arc<Node>) -> Option<u8> {
    let address: Ipv4Addr = range(node)?.split('/').next()?.parse().ok()?;
    let [a, b, c, _] = address.octets();
    ([a, b] == CLUSTER).then_some(c)
}

fn lowest_free(taken: &BTreeSet<u8>) -> Option<u8> {
    (0..=u8::MAX).find(|number| !taken.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_range_that_nobody_has_is_given() {
        assert_eq!(lowest_free(&BTreeSet::new()), Some(0));
        assert_eq!(lowest_free(&BTreeSet::from([0, 1, 3])), Some(2));
        assert_eq!(lowest_free(&(0..=255).collect()), None);
    }
}
