//! The rows that are served now: built-in resources from the table, custom ones added and taken away while running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use k8s_types::schema::Resource;

/// A resource that is served in one version.
pub struct Row {
    /// Names, scope, verbs, schema.
    pub resource: Arc<Resource>,
    /// What its kind does by itself.
    pub behaviour: Behaviour,
}

/// Where the rules of a kind are.
#[derive(Clone)]
pub enum Behaviour {
    /// Written here.
    Builtin,
    /// Written in a custom resource definition.
    Custom(Arc<crate::crd::Custom>),
}

/// The rows, a cheap handle.
#[derive(Clone, Default)]
pub struct Catalog {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    rows: RwLock<Arc<Rows>>,
    generation: AtomicU64,
}

/// All rows at one moment, by (group, version, plural).
pub type Rows = BTreeMap<(String, String, String), Arc<Row>>;

impl Catalog {
    /// All rows at this moment.
    pub fn rows(&self) -> Arc<Rows> {
        self.inner.rows.read().expect("no panic while it is held").clone()
    }

    /// A number that changes with the rows.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// Changes the rows: `change` gets a copy that replaces them.
    pub fn change(&self, change: impl FnOnce(&mut Rows)) {
        let mut rows = self.inner.rows.write().expect("no panic while it is held");
        let mut next = (**rows).clone();
        change(&mut next);
        *rows = Arc::new(next);
        self.inner.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The row of a group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Row>> {
        self.rows().get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }
}

impl Row {
    /// Whether it is this resource of this group, in any version.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }
}
