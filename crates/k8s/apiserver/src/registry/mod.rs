//! The verbs over a row of the catalog: one implementation for every kind.

mod admit;
mod call;
mod create;
mod delete;
mod errors;
mod filter;
mod list;
mod metadata;
mod mirror;
mod owned;
mod pods;
mod rewrite;
mod update;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_store::{At, Store, Write};
use k8s_types::status::ApiError;
use serde_json::Value;

use crate::admission::pod_security;
use crate::admission::quota::Turns;
use crate::allocate::Allocator;
use crate::auth::Access;
use crate::catalog::{Catalog, Row};
use crate::stored::{self, Stored};

pub use call::Call;
pub use delete::{DeleteOptions, Deleted};
pub use errors::decode as decode_error;
pub use errors::read as read_error;
pub use errors::watch as watch_error;
pub use filter::Filter;
pub use list::{CONTINUE, ListQuery, Page, VersionMatch};
pub use metadata::{generate_name, now, uid};
pub use mirror::Mirror;
pub use owned::Owner;
pub use update::{Change, Missing};

/// How long events live.
const EVENTS: Duration = Duration::from_secs(3600);

/// Every object of the cluster, a cheap handle.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    catalog: Catalog,
    allocator: Allocator,
    turns: Turns,
    access: OnceLock<Access>,
    event_ttl: OnceLock<Duration>,
    pod_security: OnceLock<pod_security::Config>,
}

impl Registry {
    /// The registry over a store.
    pub fn new(store: Store, catalog: Catalog, allocator: Allocator) -> Registry {
        Registry {
            inner: Arc::new(Inner {
                store,
                catalog,
                allocator,
                turns: Turns::default(),
                access: OnceLock::new(),
                event_ttl: OnceLock::new(),
                pod_security: OnceLock::new(),
            }),
        }
    }

    /// The rows that are served.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Addresses and ports of services.
    pub fn allocator(&self) -> &Allocator {
        &self.inner.allocator
    }

    /// Whose turn it is to be counted against quotas.
    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    /// Access control, once it is there.
    pub fn access(&self) -> Option<&Access> {
        self.inner.access.get()
    }

    /// Tells the registry its access control, once.
    pub fn set_access(&self, access: Access) {
        let _ = self.inner.access.set(access);
    }

    /// Says how long events live, once; an hour otherwise.
    pub fn set_event_ttl(&self, ttl: Duration) {
        let _ = self.inner.event_ttl.set(ttl);
    }

    /// Says what the pod security standards begin with, once; no restriction otherwise.
    pub fn set_pod_security(&self, config: pod_security::Config) {
        let _ = self.inner.pod_security.set(config);
    }

    /// What the pod security standards begin with.
    pub(crate) fn pod_security(&self) -> &pod_security::Config {
        self.inner.pod_security.get_or_init(pod_security::Config::default)
    }

    /// A write of an object, gone by itself after a while if it is an event.
    fn lasting(&self, row: &Row, write: Write) -> Write {
        if row.is("", "events") || row.is("events.k8s.io", "events") {
            return write.expiring(self.inner.event_ttl.get().copied().unwrap_or(EVENTS));
        }
        write
    }

    /// The row of a group's resource in the version it is stored in. The core group is the empty string.
    pub fn row(&self, group: &str, plural: &str) -> Result<Arc<Row>, ApiError> {
        let row = self.inner.catalog.stored(group, plural);
        row.ok_or_else(|| ApiError::internal(format_args!("no resource {plural} in group {group:?}")))
    }

    /// An object as it is stored.
    pub async fn get_stored(
        &self,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        at: At,
    ) -> Result<Option<Stored>, ApiError> {
        let got = self.inner.store.get(&row.key(namespace, name), at).await.map_err(errors::read)?;
        Ok(got.entry.map(|entry| Stored { row: row.clone(), bytes: entry.value, revision: entry.revision }))
    }

    /// An object in the version it is stored in, with its resourceVersion. `namespace` is empty for objects of the cluster.
    pub async fn get(&self, row: &Arc<Row>, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.get_stored(row, namespace, name, At::Latest).await?.map(|found| found.value()).transpose()
    }

    /// All objects of a namespace, or of all where it is empty, in the version they are stored in.
    pub async fn list(&self, row: &Row, namespace: &str) -> Result<Vec<Value>, ApiError> {
        let listing = self.inner.store.list(&row.prefix(namespace), k8s_store::ListOptions::default()).await;
        let entries = listing.map_err(errors::read)?.entries;
        entries.iter().map(|entry| stored::parse(&entry.value, entry.revision)).collect()
    }

    /// Creates an object as a client would: defaults, admission, validation. The object is of the row's version.
    pub async fn create(&self, call: &Call, row: &Arc<Row>, namespace: &str, object: Value) -> Result<Value, ApiError> {
        self.create_object(call, row, namespace, object).await?.in_version()
    }

    /// Replaces an object or, with a subresource, that part of it. Without a resourceVersion in `object` it replaces whatever is there.
    pub async fn update(
        &self,
        call: &Call,
        row: &Arc<Row>,
        subresource: &str,
        object: Value,
    ) -> Result<Value, ApiError> {
        let (namespace, name) = (k8s_types::object::namespace(&object), k8s_types::object::name(&object));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let change = Change::of(call, row, &namespace, &name, subresource);
        let (stored, _) = self.modify(&change, |_| Ok(object.clone())).await?;
        stored.in_version()
    }

    /// Deletes an object; `options` is a DeleteOptions or null. Answers the object as it was, or as it waits for its end.
    pub async fn delete(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        options: Value,
    ) -> Result<Value, ApiError> {
        let options = DeleteOptions::read(&options)?;
        Ok(self.delete_object(call, row, namespace, name, &options).await?.object)
    }
}
