//! Keeps what quotas count right: the API server counts what is made, this counts again when something goes or a quota changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_types::amounts::{Amounts, Sum, amounts, to_value};
use k8s_types::quota::{Subject, recount};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::resources::{self, Kind};
use k8s_client::follow::{self, Event};
use k8s_client::queue::Queue;

/// Changes of a moment are counted together.
const SETTLE: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(2);

/// What quotas there are: by namespace and name, what they count.
#[derive(Default)]
struct Quotas {
    hard: Mutex<HashMap<(String, String), Value>>,
    changed: Notify,
}

/// Runs until dropped.
pub async fn run(client: Client) {
    let queue: Queue<String> = Queue::default();
    let quotas = Arc::new(Quotas::default());
    tokio::join!(
        follow::objects(Api::<ResourceQuota>::all(client.clone()), follow::config(), |event| {
            quotas.take(&event, &queue);
        }),
        watch_counted(client.clone(), quotas.clone(), queue.clone()),
        queue.clone().work("quota", 2, |namespace| sync(client.clone(), namespace)),
    );
}

impl Quotas {
    fn hard(&self) -> MutexGuard<'_, HashMap<(String, String), Value>> {
        self.hard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &Event<ResourceQuota>, queue: &Queue<String>) {
        let key = |quota: &ResourceQuota| (quota.namespace().unwrap_or_default(), quota.name_any());
        match event {
            Event::Apply(quota) | Event::InitApply(quota) => {
                let wanted = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
                let told = quota.status.as_ref();
                let old = self.hard().insert(key(quota), json!(wanted));
                if old.is_none_or(|old| old != json!(wanted)) {
                    self.changed.notify_one();
                }
                let settled = told.is_some_and(|status| status.hard.as_ref() == wanted && status.used.is_some());
                if !settled || matches!(event, Event::InitApply(_)) {
                    queue.add(key(quota).0);
                }
            }
            Event::Delete(quota) => {
                self.hard().remove(&key(quota));
                self.changed.notify_one();
            }
            Event::Init => self.hard().clear(),
            Event::InitDone => self.changed.notify_one(),
        }
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.hard().keys().any(|(other, _)| other == namespace)
    }

    /// Whether any quota counts objects of this kind.
    fn count(&self, kind: &Kind) -> bool {
        self.hard().values().any(|hard| counts(kind, &json!({ "spec": { "hard": hard } })))
    }
}

fn subject(kind: &Kind) -> Subject<'_> {
    Subject { group: &kind.resource.group, plural: &kind.resource.plural }
}

fn counts(kind: &Kind, quota: &Value) -> bool {
    !recount(subject(kind), quota, std::iter::empty()).is_empty()
}

/// Follows the kinds that quotas count, as long as there are such quotas.
async fn watch_counted(client: Client, quotas: Arc<Quotas>, queue: Queue<String>) {
    let mut watches: HashMap<(String, String), Watch> = HashMap::new();
    loop {
        quotas.changed.notified().await;
        if quotas.hard().is_empty() {
            watches.clear();
            continue;
        }
        let kinds = match resources::deletable(&client).await {
            Ok(kinds) => kinds,
            Err(error) => {
                tracing::debug!(%error, "kinds cannot be listed");
                tokio::time::sleep(RETRY).await;
                quotas.changed.notify_one();
                continue;
            }
        };
        let counted: Vec<Kind> = kinds.into_iter().filter(|kind| kind.namespaced && quotas.count(kind)).collect();
        let keys: HashSet<_> = counted.iter().map(Kind::key).collect();
        watches.retain(|key, _| keys.contains(key));
        for kind in counted {
            let start =
                |kind: &Kind| Watch(tokio::spawn(watch(client.clone(), kind.clone(), quotas.clone(), queue.clone())));
            watches.entry(kind.key()).or_insert_with(|| start(&kind));
        }
    }
}

/// A watch that ends when it is dropped.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(client: Client, kind: Kind, quotas: Arc<Quotas>, queue: Queue<String>) {
    let pods = kind.resource.plural == "pods";
    follow::objects(kind.api(&client, ""), follow::config(), |event| {
        // A pod that has ended counts no more.
        let object = match event {
            Event::Delete(object) => object,
            Event::Apply(object) if pods => object,
            _ => return,
        };
        let namespace = object.namespace().unwrap_or_default();
        if quotas.is_in(&namespace) {
            queue.add(namespace);
        }
    })
    .await;
}

async fn sync(client: Client, namespace: String) -> kube::Result<()> {
    tokio::time::sleep(SETTLE).await;
    let resource = ApiResource::erase::<ResourceQuota>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
    let kinds = resources::deletable(&client).await?;
    let mut objects: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    // Quotas first: one that is changed while objects are listed is counted again.
    for quota in api.list(&ListParams::default()).await?.items {
        let mut value = serde_json::to_value(&quota).map_err(kube::Error::SerdeError)?;
        let mut used = Amounts::new();
        for kind in kinds.iter().filter(|kind| kind.namespaced && counts(kind, &value)) {
            let found = match objects.entry(kind.key()) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(list(&client, &namespace, kind).await?)
                }
            };
            used.add(&recount(subject(kind), &value, found.iter()));
        }
        let status = json!({ "hard": value["spec"]["hard"], "used": to_value(&used) });
        let same = amounts(&value["status"]["used"]) == used && value["status"]["hard"] == status["hard"];
        if same {
            continue;
        }
        value["status"] = status;
        let next: DynamicObject = serde_json::from_value(value).map_err(kube::Error::SerdeError)?;
        crate::ignore_absent(api.replace_status(&quota.name_any(), &PostParams::default(), &next).await)?;
    }
    Ok(())
}

async fn list(client: &Client, namespace: &str, kind: &Kind) -> kube::Result<Vec<Value>> {
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource);
    let found = api.list(&ListParams::default()).await?;
    found.items.iter().map(|object| serde_json::to_value(object).map_err(kube::Error::SerdeError)).collect()
}
