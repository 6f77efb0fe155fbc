//! A cluster without nodes: pods are said to run as soon as they are there.

use std::time::Duration;

use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::{Informer, Informers, Subscription};
use k8s_controllers::Controllers;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Generous: the machine may be loaded.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub client: Client,
    informers: Informers,
    controllers: Option<Controllers>,
    _server: ApiServer,
    _kubelet: Option<Kubelet>,
    _folder: tempfile::TempDir,
}

/// Says of every pod that it runs; has a cache of its own, as it outlives the controllers.
struct Kubelet {
    _pods: Informer<Pod>,
    _told: Subscription,
    _task: tokio::task::JoinHandle<()>,
}

/// Kinds of objects in namespaces.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Serialize
    + DeserializeOwned
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static
{
}

impl Cluster {
    /// Whose pods run and are ready at once.
    pub async fn new() -> Cluster {
        let mut cluster = Cluster::idle().await;
        cluster._kubelet = Some(cluster.kubelet());
        cluster
    }

    /// Whose pods do what the test says.
    pub async fn idle() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        let client = Client::new(server.service(Identity::loopback()), "default");
        let informers = Informers::new(client.clone());
        let controllers = Some(k8s_controllers::start(&informers));
        Cluster { client, informers, controllers, _server: server, _kubelet: None, _folder: folder }
    }

    /// The controllers end, as in a crash, and begin again with nothing in memory.
    pub async fn restart(&mut self) {
        self.controllers.take().unwrap().shutdown().await;
        self.informers = Informers::new(self.client.clone());
        self.controllers = Some(k8s_controllers::start(&self.informers));
    }

    fn kubelet(&self) -> Kubelet {
        let (queue, mut fresh) = mpsc::unbounded_channel();
        let pods: Informer<Pod> = Informers::new(self.client.clone()).get();
        let told = pods.on(move |change| {
            let Some(pod) = &change.new else { return };
            if phase(pod) == "Pending" && pod.metadata.deletion_timestamp.is_none() {
                let _ = queue.send(pod.name_any());
            }
        });
        let api = self.api::<Pod>();
        let task = tokio::spawn(async move {
            while let Some(name) = fresh.recv().await {
                let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(running())).await;
            }
        });
        Kubelet { _pods: pods, _told: told, _task: task }
    }

    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn create<K: Kind>(&self, value: Value) -> K {
        let object: K = serde_json::from_value(value).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    pub async fn get<K: Kind>(&self, name: &str) -> K {
        self.api().get(name).await.unwrap()
    }

    /// The object as JSON, null if there is none.
    pub async fn json<K: Kind>(&self, name: &str) -> Value {
        serde_json::to_value(self.api::<K>().get_opt(name).await.unwrap()).unwrap()
    }

    pub async fn patch<K: Kind>(&self, name: &str, patch: Value) -> K {
        self.api().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn status<K: Kind>(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api::<K>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn delete<K: Kind>(&self, name: &str) {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub async fn list<K: Kind>(&self, labels: &str) -> Vec<K> {
        self.api().list(&ListParams::default().labels(labels)).await.unwrap().items
    }

    /// The pods with these labels that are not being deleted.
    pub async fn pods(&self, labels: &str) -> Vec<Pod> {
        let mut pods = self.list::<Pod>(labels).await;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// The pod runs and is ready.
    pub async fn run(&self, pod: &str) {
        self.status::<Pod>(pod, running()["status"].clone()).await;
    }

    /// The pod's only container has ended.
    pub async fn end(&self, pod: &str, code: i32) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let ended = json!({"terminated": {"exitCode": code, "finishedAt": jiff::Timestamp::now().to_string()}});
        let status =
            json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": ended});
        let ready = json!([{"type": "Ready", "status": "False"}]);
        self.status::<Pod>(pod, json!({"phase": phase, "conditions": ready, "containerStatuses": [status]})).await;
    }

    /// Waits for an event of this reason about an object of this name.
    pub async fn event(&self, about: &str, reason: &str) {
        eventually(&format!("event {reason} of {about}"), async || {
            let events = self.list::<Event>("").await;
            events.iter().any(|event| {
                event.reason.as_deref() == Some(reason) && event.involved_object.name.as_deref() == Some(about)
            })
        })
        .await;
    }

    /// Waits until an object's JSON is as wanted.
    pub async fn until<K: Kind>(&self, name: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let started = std::time::Instant::now();
        while started.elapsed() < LIMIT {
            last = self.json::<K>(name).await;
            if test(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {what}; last: {last:#}");
    }
}

fn running() -> Value {
    let now = jiff::Timestamp::now().to_string();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    json!({"status": {"phase": "Running", "conditions": [condition("Initialized"), condition("Ready")]}})
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// A template of pods with these labels.
pub fn template(labels: Value, image: &str) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

pub async fn eventually(what: &str, mut test: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while started.elapsed() < LIMIT {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
