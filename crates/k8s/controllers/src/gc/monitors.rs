//! One watch for every kind of objects; kinds come and go with definitions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Shared;
use super::graph::{KindId, Uid};
use crate::resources::{self, Kind};
use k8s_client::follow::{self, Event, Meta};

/// Several definitions made at once are looked at together.
const SETTLE: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_secs(2);

/// The kinds that are followed.
#[derive(Default)]
pub struct Kinds {
    by_id: RwLock<HashMap<KindId, Arc<Kind>>>,
}

impl Kinds {
    /// The kind of that id.
    pub fn get(&self, id: KindId) -> Option<Arc<Kind>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The kind that a reference names.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<(KindId, Arc<Kind>)> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kinds = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = kinds.iter();
        let found = all.find(|(_, known)| known.resource.group == group && known.resource.kind == kind);
        found.map(|(id, known)| (*id, known.clone()))
    }

    fn put(&self, id: KindId, kind: Kind) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(kind));
    }

    fn remove(&self, id: KindId) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

struct Monitor {
    id: KindId,
    version: String,
    task: JoinHandle<()>,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows all kinds until dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    let changed = Notify::new();
    changed.notify_one();
    let definitions = Api::<Meta<CustomResourceDefinition>>::all(shared.client.clone());
    tokio::join!(
        follow::objects(definitions, follow::config(), |event| {
            if follow::object(event).is_some() {
                changed.notify_one();
            }
        }),
        keep(&shared, &changed),
    );
}

async fn keep(shared: &Arc<Shared>, changed: &Notify) {
    let mut monitors: BTreeMap<(String, String), Monitor> = BTreeMap::new();
    let mut next: KindId = 0;
    loop {
        changed.notified().await;
        if next > 0 {
            tokio::time::sleep(SETTLE).await;
        }
        let kinds = loop {
            match resources::deletable(&shared.client).await {
                Ok(kinds) => break kinds,
                Err(error) => {
                    tracing::debug!(%error, "kinds cannot be listed");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let first = next == 0;
        let pending = Arc::new(AtomicUsize::new(if first { kinds.len() } else { usize::MAX }));
        let keys: HashSet<_> = kinds.iter().map(Kind::key).collect();
        let gone: Vec<_> = monitors.keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for monitor in gone.iter().filter_map(|key| monitors.remove(key)) {
            shared.kinds.remove(monitor.id);
            shared.change(|graph| graph.listed(monitor.id, &HashSet::new()));
        }
        for kind in kinds {
            let known = monitors.get(&kind.key());
            if known.is_some_and(|known| known.version == kind.resource.version) {
                continue;
            }
            // Of another version: the same objects under the same id.
            let id = known.map_or(next, |known| known.id);
            next = next.max(id + 1);
            let (key, version) = (kind.key(), kind.resource.version.clone());
            shared.kinds.put(id, kind.clone());
            let task = tokio::spawn(monitor(shared.clone(), id, kind, pending.clone()));
            monitors.insert(key, Monitor { id, version, task });
        }
    }
}

/// Follows one kind. The last of the first kinds to be listed tells that everything is known.
async fn monitor(shared: Arc<Shared>, id: KindId, kind: Kind, pending: Arc<AtomicUsize>) {
    let mut seen: HashSet<Uid> = HashSet::new();
    let mut listed = false;
    let config = follow::config();
    follow::objects(kind.api(&shared.client, ""), config, |event| match event {
        Event::Init => seen.clear(),
        Event::InitApply(object) => {
            seen.insert(Uid::of(object.metadata.uid.as_deref().unwrap_or_default()));
            shared.change(|graph| graph.observe(id, &object.metadata));
        }
        Event::InitDone => {
            shared.change(|graph| graph.listed(id, &seen));
            seen = HashSet::new();
            if !std::mem::replace(&mut listed, true) && pending.fetch_sub(1, Ordering::AcqRel) == 1 {
                shared.change(|graph| graph.complete());
            }
        }
        Event::Apply(object) => shared.change(|graph| graph.observe(id, &object.metadata)),
        Event::Delete(object) => {
            shared.change(|graph| graph.gone(Uid::of(object.metadata.uid.as_deref().unwrap_or_default())));
        }
    })
    .await;
}
