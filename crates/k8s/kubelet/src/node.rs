//! The node itself: registered at once, its lease renewed, its status told when something changed.

pub mod addresses;
pub mod facts;
mod lease;
mod object;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_client::{Informer, Severity};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_types::quantity::Quantity;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::context::Context;

/// How often the lease is renewed, and with it what costs little is looked at.
const BEAT: Duration = Duration::from_secs(10);
/// After so many beats without any address of its own, the node is where only this machine reaches it.
const PATIENCE: u32 = 2;
/// A status that did not change is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(300);
/// Pauses while the API does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What keeps the node known.
pub struct Keeper {
    pub context: Arc<Context>,
    pub node: Informer<Node>,
    pub addresses: watch::Sender<Vec<IpAddr>>,
    pub capacity: BTreeMap<String, Quantity>,
    pub allocatable: BTreeMap<String, Quantity>,
    pub port: Option<u16>,
    /// Something that is told changed (pressure).
    pub changed: Arc<Notify>,
}

impl Keeper {
    /// Registers the node and keeps it known until dropped.
    pub async fn run(self) {
        let api = Api::<Node>::all(self.context.client.clone());
        let mut told = self.register(&api).await;
        let mut last = Instant::now();
        let mut lost = 0;
        let mut lease = lease::Lease::new(&self.context, &told);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    lease.renew().await;
                    self.follow_addresses(&mut lost);
                }
                () = self.changed.notified() => {}
            }
            let old = self
                .node
                .list()
                .into_iter()
                .next()
                .and_then(|node| node.status.clone())
                .or_else(|| told.status.clone());
            let status = self.status(old.as_ref()).await;
            let same = old.as_ref().is_some_and(|old| object::same(&ours(old), &status));
            if same && last.elapsed() < TOLD_AGAIN {
                continue;
            }
            match tell(&api, &self.context.config.node_name, &status).await {
                Ok(node) => (told, last) = (node, Instant::now()),
                Err(kube::Error::Api(answer)) if answer.code == 404 => {
                    told = self.register(&api).await;
                    lease = lease::Lease::new(&self.context, &told);
                    last = Instant::now();
                }
                Err(error) => tracing::debug!(%error, "the node's status is not told yet"),
            }
        }
    }

    /// Until the API has taken it.
    async fn register(&self, api: &Api<Node>) -> Node {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_register(api).await {
                Ok(node) => {
                    tracing::info!(node = %node.name_any(), "registered");
                    self.context.recorder.tell(&node, Severity::Normal, "Starting", "Starting kubelet.");
                    return node;
                }
                Err(error) => tracing::debug!(%error, "the node is not registered yet"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_register(&self, api: &Api<Node>) -> kube::Result<Node> {
        let config = &self.context.config;
        let known = api.get_opt(&config.node_name).await?;
        let status = self.status(known.as_ref().and_then(|node| node.status.as_ref())).await;
        match known {
            None => {
                api.create(&PostParams::default(), &object::node(config, status.clone())).await?;
            }
            Some(node) => {
                let labels = object::labels(config);
                if labels.iter().any(|(name, value)| node.labels().get(name) != Some(value)) {
                    let patch = json!({ "metadata": { "labels": labels } });
                    api.patch(&config.node_name, &PatchParams::default(), &Patch::Merge(patch)).await?;
                }
            }
        }
        tell(api, &config.node_name, &status).await
    }

    async fn status(&self, old: Option<&NodeStatus>) -> NodeStatus {
        let images = self.context.runtime.images.list().await.unwrap_or_default();
        let addresses = self.addresses.borrow().clone();
        let facts = object::Facts {
            config: &self.context.config,
            addresses: &addresses,
            system: facts::system(&self.context.runtime.version),
            capacity: &self.capacity,
            allocatable: &self.allocatable,
            images: &images,
            pressure: self.context.admission.pressure(),
            port: self.port,
        };
        object::status(&facts, old, Timestamp::now())
    }

    /// `lost` counts the beats in which the machine had no address but the loopback.
    fn follow_addresses(&self, lost: &mut u32) {
        if !self.context.config.addresses.is_empty() {
            return;
        }
        let found = addresses::find();
        let before = self.addresses.borrow().clone();
        *lost = if found.iter().all(IpAddr::is_loopback) { *lost + 1 } else { 0 };
        // A link that is down for a moment does not make the node another one; but an address that is gone reaches nobody.
        if found != before && (*lost == 0 || *lost >= PATIENCE) {
            tracing::info!(?before, ?found, "the node's addresses changed");
            self.addresses.send_replace(found);
        }
    }
}

/// What of a status is the node's own to tell.
fn ours(status: &NodeStatus) -> NodeStatus {
    let own = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
    let conditions = status.conditions.iter().flatten().filter(|one| own.contains(&one.type_.as_str())).cloned();
    NodeStatus {
        addresses: status.addresses.clone(),
        capacity: status.capacity.clone(),
        allocatable: status.allocatable.clone(),
        conditions: Some(conditions.collect()),
        daemon_endpoints: status.daemon_endpoints.clone(),
        images: status.images.clone(),
        node_info: status.node_info.clone(),
        ..NodeStatus::default()
    }
}

async fn tell(api: &Api<Node>, name: &str, status: &NodeStatus) -> kube::Result<Node> {
    let mut status = serde_json::to_value(status).unwrap_or_default();
    // These lists are the node's own as a whole; a merge would keep what is gone.
    for field in ["addresses", "images"] {
        if let Some(Value::Array(list)) = status.get_mut(field) {
            list.insert(0, json!({ "$patch": "replace" }));
        }
    }
    if let Some(Value::Array(images)) = status.get_mut("images") {
        images.remove(0);
    }
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(json!({ "status": status }))).await
}
