//! Caches of objects that follow the server, shared by everyone who looks at the kind.
//!
//! One task follows; what it learns is put into the cache first and then told to the handlers, one change at a time and in order, so a handler that
//! looks into the cache sees at least what it is told. Handlers only note what has to be done (they add keys to a queue): they run in that task.
//!
//! ```ignore
//! let pods = informers.get::<Pod>();
//! let by_node = pods.index(|pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect());
//! let _watching = pods.on(move |change| queue.add(change.key()));
//! pods.synced().await;
//! for pod in by_node.get("node-1") { /* … */ }
//! ```

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::follow::{self, Config, Event};

/// Namespace (empty for objects of the cluster) and name.
pub type Key = (String, String);

/// What can be cached.
pub trait Object: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static {}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static> Object for K {}

/// A change as the cache took it: there is at least one of both.
#[derive(Debug)]
pub struct Change<K> {
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Self {
        Change { old: self.old.clone(), new: self.new.clone() }
    }
}

impl<K: Object> Change<K> {
    /// The object after the change, or before it was deleted.
    pub fn object(&self) -> &Arc<K> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an object")
    }

    pub fn key(&self) -> Key {
        key(self.object().meta())
    }
}

/// Namespace and name of an object.
pub fn key(meta: &ObjectMeta) -> Key {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// An object as it is cached: without `metadata.managedFields`, which take more room than all the rest. Who writes the object back changes nothing about
/// them: the server keeps what it has where nothing is said.
fn kept<K: Object>(mut object: K) -> Arc<K> {
    object.meta_mut().managed_fields = None;
    Arc::new(object)
}

/// A cache that follows one kind; a cheap handle. Following ends with the last handle.
pub struct Informer<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Informer { inner: self.inner.clone() }
    }
}

struct Inner<K> {
    objects: RwLock<Objects<K>>,
    /// Held while a change is applied and told; nothing else waits for it but new handlers.
    handlers: Mutex<Handlers<K>>,
    synced: watch::Sender<bool>,
    task: Mutex<Option<tokio::task::AbortHandle>>,
}

struct Objects<K> {
    by_key: BTreeMap<Key, Arc<K>>,
    indexes: Vec<Weak<dyn Indexed<K>>>,
}

type Handler<K> = Box<dyn FnMut(&Change<K>) + Send>;

struct Handlers<K> {
    next: u64,
    all: BTreeMap<u64, Handler<K>>,
}

impl<K> Drop for Inner<K> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Object> Informer<K> {
    /// Begins to follow what a configuration selects; must be called on a tokio runtime.
    pub fn start(api: Api<K>, config: Config) -> Informer<K> {
        let inner = Arc::new(Inner {
            objects: RwLock::new(Objects { by_key: BTreeMap::new(), indexes: Vec::new() }),
            handlers: Mutex::new(Handlers { next: 0, all: BTreeMap::new() }),
            synced: watch::Sender::new(false),
            task: Mutex::new(None),
        });
        let weak = Arc::downgrade(&inner);
        let mut listed: Option<BTreeMap<Key, Arc<K>>> = None;
        let task = tokio::spawn(follow::objects(api, config, move |event| {
            let Some(inner) = weak.upgrade() else { return };
            match event {
                Event::Init => listed = Some(BTreeMap::new()),
                Event::InitApply(object) => {
                    listed.get_or_insert_default().insert(key(object.meta()), kept(object));
                }
                Event::InitDone => {
                    inner.replace(listed.take().unwrap_or_default());
                    inner.synced.send_replace(true);
                }
                Event::Apply(object) => inner.apply(kept(object)),
                Event::Delete(object) => inner.delete(&key(object.meta()), Some(kept(object))),
            }
        }));
        *lock(&inner.task) = Some(task.abort_handle());
        Informer { inner }
    }

    /// Waits until the cache has been filled once.
    pub async fn synced(&self) {
        // The sender lives as long as this handle does.
        let _ = self.inner.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.inner.read().by_key.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects, in the order of their keys.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner.read().by_key.values().cloned().collect()
    }

    /// The objects of one namespace.
    pub fn namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = (namespace.to_owned(), String::new());
        let objects = self.inner.read();
        objects
            .by_key
            .range(first..)
            .take_while(|(key, _)| key.0 == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Tells every object that is there as an addition, then every change, until the subscription is dropped.
    pub fn on(&self, mut handler: impl FnMut(&Change<K>) + Send + 'static) -> Subscription {
        let mut handlers = lock(&self.inner.handlers);
        for object in self.list() {
            handler(&Change { old: None, new: Some(object) });
        }
        let id = handlers.next;
        handlers.next += 1;
        handlers.all.insert(id, Box::new(handler));
        let weak = Arc::downgrade(&self.inner);
        Subscription(Some(Box::new(move || {
            if let Some(inner) = weak.upgrade() {
                lock(&inner.handlers).all.remove(&id);
            }
        })))
    }

    /// Objects by values that a function finds in them. Lives as long as the index that is returned.
    pub fn index(&self, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Index<K> {
        let index = Arc::new(Lookup { values: Box::new(values), found: RwLock::new(HashMap::new()) });
        let mut objects = self.inner.objects.write().unwrap_or_else(PoisonError::into_inner);
        for object in objects.by_key.values() {
            index.change(None, Some(object));
        }
        objects.indexes.retain(|index| index.strong_count() > 0);
        let as_dyn: Arc<dyn Indexed<K>> = index.clone();
        objects.indexes.push(Arc::downgrade(&as_dyn));
        Index(index)
    }

    /// Objects by the uid of the owner that controls them.
    pub fn by_controller(&self) -> Index<K> {
        self.index(|object| {
            let owners = object.meta().owner_references.iter().flatten();
            owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).collect()
        })
    }
}

impl<K: Object> Inner<K> {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Objects<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &Key, new: Option<Arc<K>>) -> Option<Arc<K>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let old = match &new {
            Some(new) => objects.by_key.insert(key.clone(), new.clone()),
            None => objects.by_key.remove(key),
        };
        for index in objects.indexes.iter().filter_map(Weak::upgrade) {
            index.change(old.as_ref(), new.as_ref());
        }
        old
    }

    fn apply(&self, new: Arc<K>) {
        let mut handlers = lock(&self.handlers);
        let old = self.put(&key(new.meta()), Some(new.clone()));
        handlers.tell(&Change { old, new: Some(new) });
    }

    fn delete(&self, key: &Key, last: Option<Arc<K>>) {
        let mut handlers = lock(&self.handlers);
        let known = self.put(key, None);
        if let Some(old) = last.or(known) {
            handlers.tell(&Change { old: Some(old), new: None });
        }
    }

    /// What a new list says: what is gone, what is other, what is new.
    fn replace(&self, listed: BTreeMap<Key, Arc<K>>) {
        let gone: Vec<Key> = self.read().by_key.keys().filter(|key| !listed.contains_key(*key)).cloned().collect();
        for key in gone {
            self.delete(&key, None);
        }
        for (key, object) in listed {
            let same = self.read().by_key.get(&key).is_some_and(|old| {
                old.meta().resource_version == object.meta().resource_version && old.meta().uid == object.meta().uid
            });
            if !same {
                self.apply(object);
            }
        }
    }
}

impl<K> Handlers<K> {
    fn tell(&mut self, change: &Change<K>) {
        for handler in self.all.values_mut() {
            handler(change);
        }
    }
}

/// A handler that is told changes for as long as this lives. Must not be dropped in a handler of the same informer.
#[must_use = "nothing is told once it is dropped"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

trait Indexed<K>: Send + Sync {
    fn change(&self, old: Option<&Arc<K>>, new: Option<&Arc<K>>);
}

type Values<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

struct Lookup<K> {
    values: Values<K>,
    found: RwLock<HashMap<String, BTreeMap<Key, Arc<K>>>>,
}

impl<K: Object> Indexed<K> for Lookup<K> {
    fn change(&self, old: Option<&Arc<K>>, new: Option<&Arc<K>>) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            for value in (self.values)(old) {
                if let Some(objects) = found.get_mut(&value) {
                    objects.remove(&key(old.meta()));
                    if objects.is_empty() {
                        found.remove(&value);
                    }
                }
            }
        }
        if let Some(new) = new {
            for value in (self.values)(new) {
                found.entry(value).or_default().insert(key(new.meta()), new.clone());
            }
        }
    }
}

/// Objects of an informer by some value of theirs.
pub struct Index<K>(Arc<Lookup<K>>);

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Index(self.0.clone())
    }
}

impl<K> Index<K> {
    pub fn get(&self, value: &str) -> Vec<Arc<K>> {
        let found = self.0.found.read().unwrap_or_else(PoisonError::into_inner);
        found.get(value).into_iter().flat_map(|objects| objects.values().cloned()).collect()
    }
}

/// One informer for each kind, for all who look at whole kinds; a cheap handle.
#[derive(Clone)]
pub struct Informers {
    client: Client,
    started: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
}

impl Informers {
    pub fn new(client: Client) -> Informers {
        Informers { client, started: Arc::default() }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The informer of a kind over all namespaces; started by the first who asks.
    pub fn get<K: Object>(&self) -> Informer<K> {
        let mut started = lock(&self.started);
        let informer = started
            .entry(TypeId::of::<K>())
            .or_insert_with(|| Box::new(Informer::<K>::start(Api::all(self.client.clone()), follow::config())));
        informer.downcast_ref::<Informer<K>>().expect("kept by its type").clone()
    }
}
