//! Role-based access control: who is bound to which rules, kept in memory and up to date with the store.

mod aggregate;
mod escalate;
mod index;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use k8s_types::status::ApiError;
use tokio::sync::Notify;

use crate::Identity;
use crate::authorize::{Attributes, Decision};
use crate::registry::{Mirror, Registry};

pub use escalate::Write;
pub use index::{ACCOUNT_PREFIX, Index, Memory, Objects};
pub use rule::{Rule, quoted};

/// API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The roles and bindings of a cluster, a cheap handle.
#[derive(Clone)]
pub struct Rbac {
    inner: Arc<Inner>,
}

struct Inner {
    mirrors: Mirrors,
    /// Counts changes of the mirrors; an index that is older is made again by whoever needs it next.
    changes: Arc<AtomicU64>,
    index: RwLock<(u64, Arc<Index>)>,
    /// Held by the one who makes an index; the others wait, since what they ask about may just have changed.
    memory: Mutex<Memory>,
}

struct Mirrors {
    roles: Mirror,
    cluster_roles: Mirror,
    bindings: Mirror,
    cluster_bindings: Mirror,
}

impl Rbac {
    /// Reads all roles and bindings and follows them; roles that aggregate others are kept up to date from here on.
    pub async fn start(registry: &Registry) -> Result<Rbac, ApiError> {
        let changes = Arc::new(AtomicU64::new(1));
        let notify = Arc::new(Notify::new());
        let mirror = async |plural: &str| {
            let (changes, notify, wake) = (changes.clone(), notify.clone(), plural == "clusterroles");
            let changed = move || {
                changes.fetch_add(1, Ordering::AcqRel);
                if wake {
                    notify.notify_one();
                }
            };
            Mirror::start(registry, &registry.row(GROUP, plural)?, changed).await
        };
        let mirrors = Mirrors {
            roles: mirror("roles").await?,
            cluster_roles: mirror("clusterroles").await?,
            bindings: mirror("rolebindings").await?,
            cluster_bindings: mirror("clusterrolebindings").await?,
        };
        tokio::spawn(aggregate::run(registry.clone(), mirrors.cluster_roles.clone(), notify));
        let inner = Inner { mirrors, changes, index: RwLock::default(), memory: Mutex::default() };
        Ok(Rbac { inner: Arc::new(inner) })
    }

    /// May they?
    pub fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        self.index().decide(attributes)
    }

    /// All rules that apply to somebody in a namespace, and which roles there are not.
    pub fn rules_for(&self, identity: &Identity, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        self.index().rules_for(identity, namespace)
    }

    /// Refuses a write of a role or binding that grants what its author does not have.
    pub fn check_escalation(&self, write: &Write<'_>) -> Result<(), ApiError> {
        self.index().check_escalation(write)
    }

    /// The state of this moment.
    pub fn index(&self) -> Arc<Index> {
        let Inner { mirrors, changes, index, memory } = &*self.inner;
        let present = |wanted: u64| {
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            (index.0 == wanted).then(|| index.1.clone())
        };
        if let Some(index) = present(changes.load(Ordering::Acquire)) {
            return index;
        }
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the objects: what changes meanwhile is seen by the next question.
        let wanted = changes.load(Ordering::Acquire);
        if let Some(index) = present(wanted) {
            return index;
        }
        let objects = Objects {
            roles: mirrors.roles.all(),
            cluster_roles: mirrors.cluster_roles.all(),
            bindings: mirrors.bindings.all(),
            cluster_bindings: mirrors.cluster_bindings.all(),
        };
        let made = Arc::new(Index::new(&objects, &mut memory));
        *index.write().unwrap_or_else(PoisonError::into_inner) = (wanted, made.clone());
        made
    }
}
