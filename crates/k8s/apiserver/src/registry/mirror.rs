//! All objects of one resource, parsed and kept up to date: for what must be asked in every request (roles, namespaces, quotas).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_store::{Event, ListOptions, WatchError, Watcher};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Registry, errors};
use crate::catalog::Row;
use crate::stored;

/// How long until the next attempt when the objects cannot be listed again.
const PAUSE: Duration = Duration::from_secs(1);

type Objects = BTreeMap<(String, String), Arc<Value>>;

/// A cache that follows the store, a cheap handle.
#[derive(Clone)]
pub struct Mirror {
    objects: Arc<RwLock<Objects>>,
}

impl Mirror {
    /// Lists once and follows from there until the registry closes. `changed` is called after the first list and after each change.
    pub async fn start(
        registry: &Registry,
        row: &Arc<Row>,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Mirror, ApiError> {
        let mirror = Mirror { objects: Arc::default() };
        let watcher = mirror.fill(registry, row).await?;
        changed();
        tokio::spawn(mirror.clone().follow(registry.clone(), row.clone(), watcher, changed));
        Ok(mirror)
    }

    /// One object; `namespace` is empty for objects of the cluster.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.read().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Value>> {
        let objects = self.read();
        let first = (namespace.to_owned(), String::new());
        objects.range(first..).take_while(|((ns, _), _)| ns == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<Value>> {
        self.read().values().cloned().collect()
    }

    async fn fill(&self, registry: &Registry, row: &Row) -> Result<Watcher, ApiError> {
        let prefix = row.prefix("");
        let listing = registry.store().list(&prefix, ListOptions::default()).await.map_err(errors::read)?;
        let mut objects = Objects::new();
        for entry in &listing.entries {
            objects.insert(key(row, &entry.key), Arc::new(stored::parse(&entry.value, entry.revision)?));
        }
        *self.objects.write().unwrap_or_else(PoisonError::into_inner) = objects;
        registry.store().watch(&prefix, listing.revision).map_err(errors::read)
    }

    async fn follow(self, registry: Registry, row: Arc<Row>, mut watcher: Watcher, changed: impl Fn()) {
        loop {
            match watcher.next().await {
                Ok(event) => self.apply(&row, &event),
                Err(WatchError::Closed) => return,
                // Too far behind, or the store lost its place: from the beginning.
                Err(_) => match self.fill(&registry, &row).await {
                    Ok(again) => watcher = again,
                    Err(error) => {
                        tracing::warn!(resource = %row.resource.plural, %error, "objects cannot be followed");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            }
            while let Ok(Some(event)) = watcher.try_next() {
                self.apply(&row, &event);
            }
            changed();
        }
    }

    fn apply(&self, row: &Row, event: &Event) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let key = key(row, &event.key);
        match event.value.as_ref().map(|bytes| stored::parse(bytes, event.revision)) {
            Some(Ok(object)) => {
                objects.insert(key, Arc::new(object));
            }
            Some(Err(error)) => tracing::error!(key = %&*event.key, %error, "a stored object is not readable"),
            None => {
                objects.remove(&key);
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(row: &Row, key: &str) -> (String, String) {
    let (namespace, name) = row.split_key(key);
    (namespace.to_owned(), name.to_owned())
}
