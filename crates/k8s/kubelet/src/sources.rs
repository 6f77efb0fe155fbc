//! Config maps and secrets that the pods of this node use: a watch for each of them, shared by its users.
//!
//! A pod holds what it names from when it is first seen until it is gone. A change of something it holds wakes who waits for the pod, and is told to
//! everyone who listens. An object that says it is immutable is not watched any more once it was read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use k8s_client::informer::Object;
use k8s_client::{Informer, Subscription};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Volume};
use kube::{Api, Client};
use pods::runtime::PodName;
use tokio::sync::{broadcast, watch};

/// How long the first list of an object may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Changes that a slow listener may be behind before it is told that it lost some.
const TOLD: usize = 1024;

/// Counts the changes of what each pod holds.
type Changes = Arc<Mutex<HashMap<PodName, Counted>>>;

#[derive(Default)]
struct Counted {
    changes: watch::Sender<u64>,
    /// The count when the pod's objects were last looked at.
    seen: u64,
}

/// What there is of what a pod names, by name.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<Secret>>,
}

/// The server did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to sync {kind} cache: timed out waiting for the condition")]
pub struct NotSynced {
    pub kind: &'static str,
}

/// What a pod names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// The objects that are held; a cheap handle.
#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    config_maps: Watched<ConfigMap>,
    secrets: Watched<Secret>,
    held: Mutex<HashMap<PodName, Names>>,
    changes: Changes,
    told: broadcast::Sender<PodName>,
}

impl Sources {
    pub fn new(client: Client) -> Sources {
        let changes = Changes::default();
        let told = broadcast::Sender::new(TOLD);
        let (counters, teller) = (changes.clone(), told.clone());
        let changed: Changed = Arc::new(move |pod| {
            if let Some(counted) = lock(&counters).get(pod) {
                counted.changes.send_modify(|count| *count += 1);
            }
            // Nobody may listen.
            let _ = teller.send(pod.clone());
        });
        let config_maps = Watched::new(client.clone(), changed.clone());
        let secrets = Watched::new(client, changed);
        Sources { inner: Arc::new(Inner { config_maps, secrets, held: Mutex::default(), changes, told }) }
    }

    /// Pods for which something has changed, from now on.
    pub fn listen(&self) -> broadcast::Receiver<PodName> {
        self.inner.told.subscribe()
    }

    /// Returns when something has changed since [`Sources::found`] was last asked for a pod; never for a pod that holds nothing.
    pub async fn changed(&self, pod: &PodName) {
        let waiting = lock(&self.inner.changes).get(pod).map(|counted| (counted.changes.subscribe(), counted.seen));
        let Some((mut changes, seen)) = waiting else { return std::future::pending().await };
        if changes.wait_for(|count| *count > seen).await.is_err() {
            // It was released.
            std::future::pending().await
        }
    }

    /// Holds what a pod names; again when the pod has changed (containers can be added to it).
    pub fn hold(&self, pod: &Pod) {
        let (name, names) = (pod_name(pod), names(pod));
        let namespace = name.namespace.clone();
        lock(&self.inner.changes).entry(name.clone()).or_default();
        let mut held = lock(&self.inner.held);
        let before = held.insert(name.clone(), names.clone()).unwrap_or_default();
        self.inner.config_maps.change(&namespace, &name, &before.config_maps, &names.config_maps);
        self.inner.secrets.change(&namespace, &name, &before.secrets, &names.secrets);
    }

    /// Lets go of what the pod of a uid held.
    pub fn release(&self, uid: &str) {
        let mut held = lock(&self.inner.held);
        let Some(pod) = held.keys().find(|pod| pod.uid == uid).cloned() else { return };
        let before = held.remove(&pod).unwrap_or_default();
        self.inner.config_maps.change(&pod.namespace, &pod, &before.config_maps, &BTreeSet::new());
        self.inner.secrets.change(&pod.namespace, &pod, &before.secrets, &BTreeSet::new());
        lock(&self.inner.changes).remove(&pod);
    }

    /// What there is now of what a pod names; holds it, where that was not done.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn found(&self, pod: &Pod) -> Result<Found, NotSynced> {
        self.hold(pod);
        if let Some(counted) = lock(&self.inner.changes).get_mut(&pod_name(pod)) {
            counted.seen = *counted.changes.borrow();
        }
        let (names, namespace) = (names(pod), pod.metadata.namespace.clone().unwrap_or_default());
        let mut found = Found::default();
        for name in names.config_maps {
            if let Some(object) = self.inner.config_maps.get(&namespace, &name).await? {
                found.config_maps.insert(name, object);
            }
        }
        for name in names.secrets {
            if let Some(object) = self.inner.secrets.get(&namespace, &name).await? {
                found.secrets.insert(name, object);
            }
        }
        Ok(found)
    }

    /// How many objects are watched, and how many are kept because they cannot change.
    pub fn counts(&self) -> (usize, usize) {
        let (one, other) = (self.inner.config_maps.counts(), self.inner.secrets.counts());
        (one.0 + other.0, one.1 + other.1)
    }
}

/// A kind that says when its objects cannot change.
trait Held: Object + kube::Resource<Scope = NamespaceResourceScope> {
    const KIND: &'static str;
    fn fixed(&self) -> bool;
}

impl Held for ConfigMap {
    const KIND: &'static str = "configmap";
    fn fixed(&self) -> bool {
        self.immutable == Some(true)
    }
}

impl Held for Secret {
    const KIND: &'static str = "secret";
    fn fixed(&self) -> bool {
        self.immutable == Some(true)
    }
}

type Key = (String, String);
/// Told which pod should look again, in the task that follows an object.
type Changed = Arc<dyn Fn(&PodName) + Send + Sync>;

struct Watched<K> {
    client: Client,
    changed: Changed,
    entries: Arc<Mutex<HashMap<Key, Entry<K>>>>,
}

struct Entry<K> {
    users: BTreeSet<PodName>,
    state: State<K>,
}

enum State<K> {
    Followed { informer: Informer<K>, read: Arc<AtomicBool>, _subscription: Subscription },
    Fixed(Arc<K>),
}

impl<K: Held> Watched<K> {
    fn new(client: Client, changed: Changed) -> Watched<K> {
        Watched { client, changed, entries: Arc::default() }
    }

    fn change(&self, namespace: &str, pod: &PodName, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let key = |name: &String| (namespace.to_owned(), name.clone());
        for key in after.difference(before).map(key) {
            // Made outside of the lock, which its handler wants.
            let fresh = self.wanted(&key).then(|| self.follow(&key));
            let mut entries = lock(&self.entries);
            let replaced = match (entries.get_mut(&key), fresh) {
                (Some(entry), fresh) => {
                    entry.users.insert(pod.clone());
                    fresh.map(|fresh| std::mem::replace(&mut entry.state, fresh))
                }
                (None, Some(state)) => {
                    entries.insert(key, Entry { users: BTreeSet::from([pod.clone()]), state });
                    None
                }
                // Only one pod's names change at a time, so what was there still is.
                (None, None) => None,
            };
            drop(entries);
            drop(replaced);
        }
        for key in before.difference(after).map(key) {
            let mut entries = lock(&self.entries);
            let unused = entries.get_mut(&key).is_some_and(|entry| {
                entry.users.remove(pod);
                entry.users.is_empty()
            });
            let ended = if unused { entries.remove(&key) } else { None };
            drop(entries);
            drop(ended);
        }
    }

    /// Nobody follows it, or it was read as one that cannot change: it may have been replaced since.
    fn wanted(&self, key: &Key) -> bool {
        lock(&self.entries).get(key).is_none_or(|entry| matches!(entry.state, State::Fixed(_)))
    }

    fn follow(&self, key: &Key) -> State<K> {
        let api = Api::<K>::namespaced(self.client.clone(), &key.0);
        let config = k8s_client::follow::config().fields(&format!("metadata.name={}", key.1));
        let informer = Informer::start(api, config);
        let (entries, changed, key) = (Arc::downgrade(&self.entries), self.changed.clone(), key.clone());
        let read = Arc::new(AtomicBool::new(false));
        let was_read = read.clone();
        let subscription = informer.on(move |_| {
            // Who asks first waits for the first list.
            if was_read.load(Ordering::SeqCst) {
                users(&entries, &key).iter().for_each(|pod| changed(pod));
            }
        });
        State::Followed { informer, read, _subscription: subscription }
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, NotSynced> {
        let key = (namespace.to_owned(), name.to_owned());
        let (informer, read) = match lock(&self.entries).get(&key).map(|entry| &entry.state) {
            Some(State::Fixed(object)) => return Ok(Some(object.clone())),
            Some(State::Followed { informer, read, .. }) => (informer.clone(), read.clone()),
            // It was released meanwhile: the pod is going.
            None => return Ok(None),
        };
        let synced = tokio::time::timeout(PATIENCE, informer.synced()).await;
        read.store(true, Ordering::SeqCst);
        synced.map_err(|_| NotSynced { kind: K::KIND })?;
        let object = informer.get(namespace, name);
        if let Some(object) = object.as_ref().filter(|object| object.fixed()) {
            let followed = match lock(&self.entries).get_mut(&key) {
                Some(entry) => Some(std::mem::replace(&mut entry.state, State::Fixed(object.clone()))),
                None => None,
            };
            drop(followed);
        }
        Ok(object)
    }

    fn counts(&self) -> (usize, usize) {
        let entries = lock(&self.entries);
        let fixed = entries.values().filter(|entry| matches!(entry.state, State::Fixed(_))).count();
        (entries.len() - fixed, fixed)
    }
}

fn users<K>(entries: &Weak<Mutex<HashMap<Key, Entry<K>>>>, key: &Key) -> Vec<PodName> {
    let Some(entries) = entries.upgrade() else { return Vec::new() };
    let users = lock(&entries).get(key).map(|entry| entry.users.iter().cloned().collect());
    users.unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of a pod.
pub fn pod_name(pod: &Pod) -> PodName {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let meta = &pod.metadata;
    PodName { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) }
}

/// The config maps and secrets that a pod names: in variables, in volumes, to pull its images.
pub fn names(pod: &Pod) -> Names {
    let mut names = Names::default();
    let Some(spec) = &pod.spec else { return names };
    for secret in spec.image_pull_secrets.iter().flatten() {
        names.secrets.insert(secret.name.clone());
    }
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        of_container(container, &mut names);
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        let shape =
            Container { env: container.env.clone(), env_from: container.env_from.clone(), ..Container::default() };
        of_container(&shape, &mut names);
    }
    for volume in spec.volumes.iter().flatten() {
        of_volume(volume, &mut names);
    }
    names.config_maps.remove("");
    names.secrets.remove("");
    names
}

fn of_container(container: &Container, names: &mut Names) {
    for source in container.env_from.iter().flatten() {
        names.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
        names.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        names.config_maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
        names.secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
    }
}

fn of_volume(volume: &Volume, names: &mut Names) {
    names.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
    names.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        names.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
        names.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
    }
}
