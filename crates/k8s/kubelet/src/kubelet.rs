//! The kubelet as a whole: everything started and bound together, and ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_client::follow;
use k8s_client::{Change, Informer, Subscription};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::{Client, ResourceExt};
use pods::runtime::Runtime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::config::Config;
use crate::context::Context;
use crate::lookup::Lookup;
use crate::node::{Keeper, addresses, facts};
use crate::pressure::Watch;
use crate::static_pods::StaticPods;
use crate::view::View;
use crate::worker::{Slot, Worker};
use crate::{garbage, server};

/// How often what may have been left behind is looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// Why a kubelet does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Server(#[from] server::Error),
}

/// A running kubelet.
pub struct Kubelet {
    tasks: JoinSet<()>,
    server: Option<server::Server>,
    lookup: Lookup,
    workers: Workers,
    _following: [Subscription; 2],
}

/// The workers by uid of their pods; a cheap handle.
#[derive(Clone)]
struct Workers {
    context: Arc<Context>,
    node: Informer<Node>,
    all: Arc<Mutex<BTreeMap<String, (Slot, tokio::task::AbortHandle)>>>,
}

impl Kubelet {
    /// Registers the node and begins to run its pods.
    ///
    /// # Errors
    /// When its folders cannot be made or its server cannot listen. An API that does not answer is no error: pods run on, and the node is registered later.
    pub async fn start(config: Config, client: Client, runtime: Runtime) -> Result<Kubelet, Error> {
        for path in [config.data.join("pods"), config.logs.clone()].into_iter().chain(config.manifests.clone()) {
            std::fs::create_dir_all(&path).map_err(|source| Error::Folder { path, source })?;
        }
        let found = if config.addresses.is_empty() { addresses::find() } else { config.addresses.clone() };
        let (addresses, following) = watch::channel(found);
        let capacity = facts::capacity(&config.data, config.max_pods);
        let allocatable = facts::allocatable(&capacity, &config.reserved);
        let admission = Admission::default();
        admission.limit(allocatable.clone(), config.max_pods as usize);
        let context = Context::new(config, client, runtime, following, admission, facts::memory().total);
        let server = match context.config.server.clone() {
            Some(settings) => Some(server::start(&context.config, settings, context.lookup.clone()).await?),
            None => None,
        };
        let name = format!("metadata.name={}", context.config.node_name);
        let node = Informer::<Node>::start(Api::all(context.client.clone()), follow::config().fields(&name));
        let (given, cidr) = watch::channel(None);
        let range = node.on(move |change| {
            let range = change.new.as_ref().and_then(|node| node.spec.as_ref()?.pod_cidr.clone());
            given.send_if_modified(|old| range.is_some() && std::mem::replace(old, range.clone()) != range);
        });
        let happening = context.runtime.sandboxes.events();
        let workers = Workers { context: context.clone(), node: node.clone(), all: Arc::default() };
        let mine = format!("spec.nodeName={}", context.config.node_name);
        let pods = Informer::<Pod>::start(Api::all(context.client.clone()), follow::config().fields(&mine));
        let told = workers.clone();
        let subscription = pods.on(move |change| told.change(change));
        let changed = Arc::new(Notify::new());
        let port = server.as_ref().map(|server| server.address.port());
        let manifests = context.config.manifests.clone().map(|folder| StaticPods {
            client: context.client.clone(),
            folder,
            node: node.clone(),
            pods: pods.clone(),
        });
        let keeper =
            Keeper { context: context.clone(), node, addresses, capacity, allocatable, port, changed: changed.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        tasks.spawn(network(context.clone(), cidr));
        tasks.spawn(events(workers.clone(), happening));
        tasks.spawn(sources(workers.clone(), context.sources.listen()));
        tasks.spawn(sweep(workers.clone(), pods));
        if let Some(manifests) = manifests {
            tasks.spawn(manifests.run());
        }
        let slots = workers.clone();
        let slot = Arc::new(move |uid: &str| slots.slot(uid));
        tasks.spawn(Watch { context: context.clone(), slot, changed }.run());
        Ok(Kubelet { tasks, server, lookup: context.lookup.clone(), workers, _following: [subscription, range] })
    }

    /// The pods of this node, for others in the process.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Ends it; containers run on.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        for (_, worker) in self.workers.lock().values() {
            worker.abort();
        }
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
    }
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Slot, tokio::task::AbortHandle)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, uid: &str) -> Option<Slot> {
        self.lock().get(uid).map(|(slot, _)| slot.clone())
    }

    fn wake_all(&self) {
        for (slot, _) in self.lock().values() {
            slot.wake.notify_one();
        }
    }

    fn change(&self, change: &Change<Pod>) {
        let old = change.old.as_ref().and_then(|pod| pod.uid());
        let new = change.new.as_ref().and_then(|pod| pod.uid());
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref())
            && let Some(slot) = self.slot(&old)
        {
            slot.gone();
        }
        if let (Some(pod), Some(uid)) = (&change.new, new) {
            self.give(pod, uid);
        }
    }

    fn give(&self, pod: &Arc<Pod>, uid: String) {
        let mut all = self.lock();
        if let Some((slot, _)) = all.get(&uid) {
            return slot.changed(pod.clone());
        }
        // What was let in before holds what it has, whoever comes first now.
        let view = View::new(pod.clone());
        if view.started().is_some() && !view.finished() {
            self.context.admission.hold(&view);
        }
        let slot = Slot::new();
        let worker = Worker::new(self.context.clone(), slot.clone(), self.node.clone(), pod.clone());
        let (workers, key) = (self.clone(), uid.clone());
        let task = tokio::spawn(async move {
            worker.run().await;
            workers.lock().remove(&key);
        });
        all.insert(uid, (slot, task.abort_handle()));
    }
}

/// What happens to containers wakes their pods.
async fn events(workers: Workers, mut events: tokio::sync::broadcast::Receiver<pods::runtime::Changed>) {
    loop {
        match events.recv().await {
            Ok(changed) => {
                if let Some(slot) = workers.slot(&changed.pod.uid) {
                    slot.wake.notify_one();
                }
            }
            Err(RecvError::Lagged(_)) => workers.wake_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells the runtime the node's part of the pods' addresses once the cluster has given it.
async fn network(context: Arc<Context>, mut cidr: watch::Receiver<Option<String>>) {
    loop {
        let given = cidr.borrow_and_update().clone();
        if let Some(given) = given {
            match context.runtime.sandboxes.configure(&given).await {
                Ok(()) => {
                    context.network.send_replace(true);
                }
                Err(error) => tracing::error!(range = %given, %error, "pods get no addresses of the node's range"),
            }
        }
        if cidr.changed().await.is_err() {
            return;
        }
    }
}

/// What changes of the objects that pods name wakes them: a container may be waiting for one.
async fn sources(workers: Workers, mut changed: tokio::sync::broadcast::Receiver<pods::runtime::PodName>) {
    loop {
        match changed.recv().await {
            Ok(pod) => {
                if let Some(slot) = workers.slot(&pod.uid) {
                    slot.wake.notify_one();
                }
            }
            Err(RecvError::Lagged(_)) => workers.wake_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// What is here of pods that are no longer there is cleared away.
async fn sweep(workers: Workers, pods: Informer<Pod>) {
    pods.synced().await;
    let mut beat = tokio::time::interval(SWEEP);
    loop {
        beat.tick().await;
        let known =
            |uid: &str| workers.slot(uid).is_some() || pods.list().iter().any(|pod| pod.uid().as_deref() == Some(uid));
        garbage::orphans(workers.context.clone(), known).await;
    }
}
