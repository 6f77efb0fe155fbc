//! Which node has to do with what: pods and their references, volumes and their claims, attachments; kept up to date from the store.
//!
//! Only names are kept, and only of pods that have a node.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_store::{ListOptions, WatchError, Watcher};
use k8s_types::policy::read::Read;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::references::{self, Kind, Reference};
use crate::catalog::Row;
use crate::registry::{self, Registry};
use crate::stored;

/// How long until the next attempt when the objects cannot be listed again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known.
#[derive(Default)]
pub struct Graph {
    /// By `namespace/name`.
    pods: HashMap<Box<str>, Pod>,
    /// How many pods of a node refer to something.
    nodes: HashMap<Box<str>, HashMap<Reference, u32>>,
    volumes: HashMap<Box<str>, Volume>,
    attachments: HashMap<Box<str>, Box<str>>,
}

struct Pod {
    node: Box<str>,
    references: Vec<Reference>,
}

struct Volume {
    /// `namespace/name`
    claim: Box<str>,
    secrets: Vec<Box<str>>,
}

impl Graph {
    /// Whether a pod of the node refers to it.
    pub fn refers(&self, node: &str, kind: Kind, place: &str) -> bool {
        self.nodes.get(node).is_some_and(|references| references.contains_key(&(kind, place.into())))
    }

    /// Whether the pod is bound to the node.
    pub fn bound(&self, node: &str, pod: &str) -> bool {
        self.pods.get(pod).is_some_and(|pod| &*pod.node == node)
    }

    /// Whether a pod of the node refers to the volume's claim.
    pub fn volume(&self, node: &str, name: &str) -> bool {
        self.volumes.get(name).is_some_and(|volume| self.refers(node, Kind::Claim, &volume.claim))
    }

    /// Whether a volume of the node's pods needs the secret.
    pub fn volume_secret(&self, node: &str, secret: &str) -> bool {
        let mut needing = self.volumes.values().filter(|volume| volume.secrets.iter().any(|it| &**it == secret));
        needing.any(|volume| self.refers(node, Kind::Claim, &volume.claim))
    }

    /// Whether the attachment is of the node.
    pub fn attachment(&self, node: &str, name: &str) -> bool {
        self.attachments.get(name).is_some_and(|it| &**it == node)
    }

    fn pod(&mut self, place: &str, pod: Option<&Value>) {
        if let Some(old) = self.pods.remove(place)
            && let Some(counts) = self.nodes.get_mut(&old.node)
        {
            for reference in &old.references {
                if let Some(count) = counts.get_mut(reference) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(reference);
                    }
                }
            }
            if counts.is_empty() {
                self.nodes.remove(&old.node);
            }
        }
        let Some(pod) = pod else { return };
        let node = pod["spec"]["nodeName"].text();
        if node.is_empty() {
            return;
        }
        let over = matches!(pod["status"]["phase"].text(), "Succeeded" | "Failed");
        let references = if over { Vec::new() } else { references::of_pod(pod) };
        let counts = self.nodes.entry(node.into()).or_default();
        for reference in &references {
            *counts.entry(reference.clone()).or_default() += 1;
        }
        self.pods.insert(place.into(), Pod { node: node.into(), references });
    }

    fn volume_object(&mut self, name: &str, volume: Option<&Value>) {
        self.volumes.remove(name);
        let Some(volume) = volume else { return };
        let claim = &volume["spec"]["claimRef"];
        if claim["name"].text().is_empty() {
            return;
        }
        let secrets = references::of_volume_object(volume, claim["namespace"].text());
        let claim = format!("{}/{}", claim["namespace"].text(), claim["name"].text()).into_boxed_str();
        self.volumes.insert(name.into(), Volume { claim, secrets });
    }

    fn attachment_object(&mut self, name: &str, attachment: Option<&Value>) {
        match attachment {
            Some(attachment) => {
                self.attachments.insert(name.into(), attachment["spec"]["nodeName"].text().into());
            }
            None => drop(self.attachments.remove(name)),
        }
    }

    fn change(&mut self, what: What, place: &str, object: Option<&Value>) {
        match what {
            What::Pods => self.pod(place, object),
            What::Volumes => self.volume_object(place, object),
            What::Attachments => self.attachment_object(place, object),
        }
    }

    /// What is there of a kind.
    fn places(&self, what: What) -> Vec<Box<str>> {
        match what {
            What::Pods => self.pods.keys().cloned().collect(),
            What::Volumes => self.volumes.keys().cloned().collect(),
            What::Attachments => self.attachments.keys().cloned().collect(),
        }
    }
}

#[derive(Clone, Copy)]
enum What {
    Pods,
    Volumes,
    Attachments,
}

/// Reads everything and follows it until the store closes.
pub async fn follow(registry: &Registry) -> Result<Arc<RwLock<Graph>>, ApiError> {
    let graph = Arc::new(RwLock::new(Graph::default()));
    let kinds = [
        (What::Pods, "", "pods"),
        (What::Volumes, "", "persistentvolumes"),
        (What::Attachments, "storage.k8s.io", "volumeattachments"),
    ];
    for (what, group, plural) in kinds {
        let follower =
            Follower { registry: registry.clone(), row: registry.row(group, plural)?, what, graph: graph.clone() };
        let watcher = follower.fill().await?;
        tokio::spawn(follower.run(watcher));
    }
    Ok(graph)
}

struct Follower {
    registry: Registry,
    row: Arc<Row>,
    what: What,
    graph: Arc<RwLock<Graph>>,
}

impl Follower {
    async fn fill(&self) -> Result<Watcher, ApiError> {
        let prefix = self.row.prefix("");
        let store = self.registry.store();
        let listing = store.list(&prefix, ListOptions::default()).await.map_err(registry::read_error)?;
        let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
        for place in graph.places(self.what) {
            graph.change(self.what, &place, None);
        }
        for entry in &listing.entries {
            self.take(&mut graph, &entry.key, Some(&entry.value));
        }
        drop(graph);
        store.watch(&prefix, listing.revision).map_err(registry::read_error)
    }

    async fn run(self, mut watcher: Watcher) {
        loop {
            match watcher.next().await {
                Ok(event) => {
                    let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
                    self.take(&mut graph, &event.key, event.value.as_ref());
                }
                Err(WatchError::Closed) => return,
                Err(_) => match self.fill().await {
                    Ok(again) => watcher = again,
                    Err(error) => {
                        tracing::warn!(%error, "what pods refer to cannot be followed");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn take(&self, graph: &mut Graph, key: &str, value: Option<&bytes::Bytes>) {
        let place = key.strip_prefix(&self.row.prefix("")).unwrap_or(key).to_owned();
        match value.map(|bytes| stored::parse(bytes, 0)).transpose() {
            Ok(object) => graph.change(self.what, &place, object.as_ref()),
            Err(error) => tracing::error!(key, %error, "a stored object is not readable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(node: &str, secret: &str) -> Value {
        json!({"metadata": {"namespace": "ns", "name": "p"}, "spec": {
            "nodeName": node, "serviceAccountName": "sa",
            "containers": [{"name": "c", "envFrom": [{"secretRef": {"name": secret}}]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}}],
        }})
    }

    #[test]
    fn references_come_and_go_with_pods() {
        let mut graph = Graph::default();
        graph.change(What::Pods, "ns/p", Some(&pod("one", "s")));
        graph.change(What::Pods, "ns/q", Some(&pod("one", "s")));
        let has = |graph: &Graph, node: &str, secret: &str| graph.refers(node, Kind::Secret, secret);
        assert!(has(&graph, "one", "ns/s") && !has(&graph, "two", "ns/s") && !has(&graph, "one", "other/s"));
        assert!(graph.refers("one", Kind::Account, "ns/sa") && graph.refers("one", Kind::Claim, "ns/p-e"));
        graph.change(What::Pods, "ns/q", None);
        assert!(has(&graph, "one", "ns/s"));
        graph.change(What::Pods, "ns/p", Some(&pod("two", "t")));
        assert!(!has(&graph, "one", "ns/s") && has(&graph, "two", "ns/t") && graph.bound("two", "ns/p"));
        assert!(!graph.nodes.contains_key("one"));
        let over = json!({"spec": {"nodeName": "two", "serviceAccountName": "sa"}, "status": {"phase": "Failed"}});
        graph.change(What::Pods, "ns/p", Some(&over));
        assert!(!has(&graph, "two", "ns/t") && graph.bound("two", "ns/p"));
    }

    #[test]
    fn volumes_follow_their_claims() {
        let mut graph = Graph::default();
        let volume = json!({"spec": {"claimRef": {"namespace": "ns", "name": "c"},
            "csi": {"nodeStageSecretRef": {"namespace": "csi", "name": "key"}}, "azureFile": {"secretName": "share"}}});
        graph.change(What::Volumes, "pv", Some(&volume));
        assert!(!graph.volume("one", "pv"));
        graph.change(What::Pods, "ns/p", Some(&pod("one", "s")));
        assert!(
            graph.volume("one", "pv")
                && graph.volume_secret("one", "csi/key")
                && graph.volume_secret("one", "ns/share")
        );
        assert!(!graph.volume("two", "pv") && !graph.volume_secret("two", "csi/key"));
        graph.change(What::Volumes, "pv", None);
        assert!(!graph.volume("one", "pv") && !graph.volume_secret("one", "csi/key"));
    }
}
