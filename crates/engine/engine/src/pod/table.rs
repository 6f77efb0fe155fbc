//! The sandboxes of this engine: what is stored of each, and who may change it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use network::Endpoint;
use serde::{Deserialize, Serialize};

use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::model::pod::{SandboxSpec, SandboxView};

/// One sandbox as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: String,
    pub created: Timestamp,
    pub spec: SandboxSpec,
    /// Its place on the network of pods.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Its namespaces are given up.
    #[serde(default)]
    pub stopped: bool,
}

impl Sandbox {
    pub fn view(&self) -> SandboxView {
        let endpoint = self.endpoint.iter().filter(|_| !self.stopped);
        SandboxView {
            id: self.id.clone(),
            created: self.created,
            ready: !self.stopped,
            addresses: endpoint.filter_map(|it| Some(it.ipv4?.0.into())).collect(),
            spec: self.spec.clone(),
        }
    }
}

/// One sandbox in memory.
#[derive(Debug)]
pub struct Entry {
    record: Mutex<Arc<Sandbox>>,
    /// Held while it is stopped or removed.
    pub busy: tokio::sync::Mutex<()>,
}

impl Entry {
    pub fn new(record: Sandbox) -> Entry {
        Entry { record: Mutex::new(Arc::new(record)), busy: tokio::sync::Mutex::default() }
    }

    pub fn record(&self) -> Arc<Sandbox> {
        lock(&self.record).clone()
    }

    pub fn set(&self, record: Sandbox) {
        *lock(&self.record) = Arc::new(record);
    }
}

/// The table. Its lock is held only for look-ups.
#[derive(Debug, Default)]
pub struct Sandboxes {
    by_id: Mutex<BTreeMap<String, Arc<Entry>>>,
    /// Held while control groups of pods are made or removed: two sandboxes of one pod share theirs.
    pub groups: Mutex<()>,
}

impl Sandboxes {
    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        lock(&self.by_id).get(id).cloned()
    }

    /// Fails where there is none of that id.
    pub fn find(&self, id: &str) -> Result<Arc<Entry>> {
        self.get(id).ok_or_else(|| Error::not_found(format!("No such sandbox: {id}")))
    }

    pub fn insert(&self, record: Sandbox) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(record));
        lock(&self.by_id).insert(entry.record().id.clone(), entry.clone());
        entry
    }

    pub fn remove(&self, id: &str) {
        lock(&self.by_id).remove(id);
    }

    pub fn all(&self) -> Vec<Arc<Sandbox>> {
        lock(&self.by_id).values().map(|entry| entry.record()).collect()
    }
}

impl Inner {
    /// Where a sandbox's own files are.
    pub fn sandbox_folder(&self, id: &str) -> PathBuf {
        self.config.data_root.join("sandboxes").join(id)
    }

    /// Path of a sandbox's control group beneath the mounts.
    pub fn sandbox_cgroup(&self, id: &str, spec: &SandboxSpec) -> String {
        match spec.cgroup_parent.trim_matches('/') {
            "" => format!("/sampan/{}/kubepods/{id}", self.instance),
            parent => format!("/sampan/{}/{parent}", self.instance),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
