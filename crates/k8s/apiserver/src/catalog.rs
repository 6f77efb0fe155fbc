//! The rows that are served now: built-in resources from the table, custom ones added and taken away while running.

mod behaviour;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use k8s_types::codec;
use k8s_types::object::{GroupKind, GroupResource};
use k8s_types::policy;
use k8s_types::schema::{self, Resource};
use tokio::sync::watch;

pub use behaviour::{Behaviour, Part};

/// A resource that is served in one version.
pub struct Row {
    /// Names, scope, verbs, schema.
    pub resource: Arc<Resource>,
    /// What its kind does by itself.
    pub behaviour: Behaviour,
    /// What its objects are stored as.
    pub stored: StoredAs,
}

/// The one form in which the objects of a kind are stored, whatever the version in which they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAs {
    /// Group of the stored objects; differs from the row's for kinds that are in two groups (events).
    pub group: String,
    /// Version of the stored objects.
    pub version: String,
    /// `group/version`, or the version alone for core.
    pub api_version: String,
    /// What all keys begin with: `core/configmaps/`.
    pub prefix: String,
    /// Where the metadata begins in stored bytes.
    pub metadata_at: usize,
    /// The row's objects are not what is stored: of another version, or of a schema that changed since.
    pub converted: bool,
}

/// The rows, a cheap handle.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    rows: RwLock<Arc<Rows>>,
    generation: watch::Sender<u64>,
}

/// All rows at one moment.
#[derive(Clone, Default)]
pub struct Rows {
    rows: BTreeMap<(String, String, String), Arc<Row>>,
}

impl Default for Catalog {
    fn default() -> Self {
        let rows = schema::builtin().resources().iter().map(|r| Row::builtin(Arc::new(r.clone())));
        let mut all = Rows::default();
        rows.for_each(|row| all.insert(row));
        Catalog { inner: Arc::new(Inner { rows: RwLock::new(Arc::new(all)), generation: watch::Sender::new(1) }) }
    }
}

impl Catalog {
    /// All rows at this moment.
    pub fn rows(&self) -> Arc<Rows> {
        self.inner.rows.read().expect("no panic while it is held").clone()
    }

    /// A number that changes with the rows.
    pub fn generation(&self) -> u64 {
        *self.inner.generation.borrow()
    }

    /// Tells when the rows have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// Changes the rows: `change` gets a copy that replaces them.
    pub fn change(&self, change: impl FnOnce(&mut Rows)) {
        let mut rows = self.inner.rows.write().expect("no panic while it is held");
        let mut next = (**rows).clone();
        change(&mut next);
        *rows = Arc::new(next);
        self.inner.generation.send_modify(|generation| *generation += 1);
    }

    /// The row of a group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Row>> {
        self.rows().find(group, version, plural)
    }

    /// The row of a group's resource in the version it is stored in.
    pub fn stored(&self, group: &str, plural: &str) -> Option<Arc<Row>> {
        let rows = self.rows();
        let mut of_name = rows.iter().filter(|row| row.is(group, plural));
        let first = of_name.next()?;
        if first.is_hub() { Some(first) } else { of_name.find(|row| row.is_hub()).or(Some(first)) }.cloned()
    }
}

impl Rows {
    /// Adds a row, or replaces the one of the same group, version and plural name.
    pub fn insert(&mut self, row: Row) {
        let r = &row.resource;
        self.rows.insert((r.group.to_string(), r.version.to_string(), r.plural.to_string()), Arc::new(row));
    }

    /// Takes away the rows that `keep` does not hold.
    pub fn retain(&mut self, mut keep: impl FnMut(&Row) -> bool) {
        self.rows.retain(|_, row| keep(row));
    }

    /// The row of a group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Row>> {
        self.rows.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// All of them, by group, version and plural name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.values()
    }

    /// Whether a group has a row in this version.
    pub fn serves(&self, group: &str, version: &str) -> bool {
        let first = (group.to_owned(), version.to_owned(), String::new());
        self.rows.range(first..).next().is_some_and(|((g, v, _), _)| g == group && v == version)
    }
}

impl Row {
    /// A row of the table.
    pub fn builtin(resource: Arc<Resource>) -> Row {
        let policy = policy::of(&resource.group, &resource.kind);
        // one kind is served in two groups
        let group = if resource.group == "events.k8s.io" { "" } else { &*resource.group };
        let stored = StoredAs::new(&resource, group);
        Row { behaviour: Behaviour::Builtin(policy), stored, resource }
    }

    /// A row of a custom resource.
    pub fn custom(resource: Arc<Resource>, custom: Arc<crate::crd::Custom>) -> Row {
        let mut stored = StoredAs::new(&resource, &resource.group);
        stored.converted |= custom.settles();
        Row { behaviour: Behaviour::Custom(custom), stored, resource }
    }

    /// Whether its version is the one that is stored.
    pub fn is_hub(&self) -> bool {
        self.stored.group == *self.resource.group && self.stored.version == *self.resource.version
    }

    /// Whether only a webhook could turn what is stored into its version.
    pub fn converts_by_webhook(&self) -> bool {
        matches!(&self.behaviour, Behaviour::Custom(custom) if custom.converts_by_webhook())
    }

    /// Whether it is this resource of this group, in any version.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }

    /// As messages name it: `deployments.apps`.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.resource.group.as_str(), self.resource.plural.as_str())
    }

    /// As messages about invalid objects name it: `Deployment.apps`.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.resource.group.as_str(), self.resource.kind.as_str())
    }

    /// The key of an object; `namespace` is empty for objects of the cluster.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let mut key = self.prefix(namespace);
        key.push_str(name);
        key
    }

    /// What the keys of a namespace begin with, or all where it is empty.
    pub fn prefix(&self, namespace: &str) -> String {
        let prefix = &self.stored.prefix;
        if namespace.is_empty() { prefix.clone() } else { format!("{prefix}{namespace}/") }
    }

    /// Namespace and name of a key.
    pub fn split_key<'a>(&self, key: &'a str) -> (&'a str, &'a str) {
        let rest = key.strip_prefix(self.stored.prefix.as_str()).unwrap_or(key);
        rest.split_once('/').unwrap_or(("", rest))
    }
}

impl StoredAs {
    fn new(resource: &Resource, group: &str) -> StoredAs {
        let version = resource.storage_version.to_string();
        let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        let folder = if group.is_empty() { "core" } else { group };
        StoredAs {
            group: group.to_owned(),
            prefix: format!("{folder}/{}/", resource.plural),
            metadata_at: codec::prefix_len(&resource.kind, &api_version),
            converted: api_version != resource.api_version(),
            version,
            api_version,
        }
    }
}
