//! Quotas: what an object uses is counted in the same transaction that stores the object, so use never exceeds a quota and nothing is
//! counted that is not there.
//!
//! Writers of one namespace take turns from reading its quotas to the end of the transaction. Servers that share a datastore meet in the
//! transaction: who finds a quota changed reads it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use k8s_store::{At, Entry, Expect, ListOptions, Write};
use k8s_types::amounts::{Amounts, to_value};
use k8s_types::policy::read::put;
use k8s_types::quota::{self, Subject};
use k8s_types::status::ApiError;
use serde_json::Value;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::lookup;
use crate::catalog::Row;
use crate::registry::{self, Registry};
use crate::stored;

/// The turns of namespaces that have quotas.
#[derive(Debug, Default)]
pub struct Turns {
    namespaces: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

/// What is written together with the object; the namespace's turn lasts as long as it lives.
#[derive(Default)]
pub struct Charge {
    /// New states of quotas, each expecting the one that was read.
    pub writes: Vec<Write>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// What is about to be stored.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub row: &'a Row,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub new: &'a Value,
    /// Absent for a create.
    pub old: Option<&'a Value>,
}

/// Counts a change; it is refused where it does not fit.
pub async fn charge(registry: &Registry, change: Change<'_>) -> Result<Charge, ApiError> {
    if change.namespace.is_empty() || !counted(&change) {
        return Ok(Charge::default());
    }
    let prefix = lookup::key("", "resourcequotas", change.namespace, "");
    if registry.store().count(&prefix) == 0 {
        return Ok(Charge::default());
    }
    let turn = registry.turns().of(change.namespace).lock_owned().await;
    let options = ListOptions { at: At::Latest, ..ListOptions::default() };
    let entries = registry.store().list(&prefix, options).await.map_err(registry::read_error)?.entries;
    let quotas: Vec<Value> = entries.iter().map(|e| stored::parse(&e.value, e.revision)).collect::<Result<_, _>>()?;
    let subject = Subject { group: &change.row.resource.group, plural: &change.row.resource.plural };
    let charges = quota::decide(&quotas, subject, change.new, change.old)
        .map_err(|why| ApiError::forbidden(&change.row.group_resource(), change.name, why))?;
    let writes: Vec<Write> = charges.iter().map(|c| write(&entries[c.index], &quotas[c.index], &c.used)).collect();
    let turn = (!writes.is_empty()).then_some(turn);
    Ok(Charge { writes, _turn: turn })
}

fn write(entry: &Entry, quota: &Value, used: &Amounts) -> Write {
    let mut quota = quota.clone();
    put(&mut quota, &["status", "used"], to_value(used));
    Write::put(&*entry.key, Expect::Revision(entry.revision), stored::encode(&quota))
}

/// Creates of anything but events, and the updates that can use more than before.
fn counted(change: &Change<'_>) -> bool {
    let row = change.row;
    if row.is("", "events") || row.is("events.k8s.io", "events") {
        return false;
    }
    match (change.old, change.subresource) {
        (None, subresource) => subresource.is_empty(),
        (Some(_), "") => row.is("", "services") || row.is("", "persistentvolumeclaims"),
        (Some(_), "resize") => row.is("", "pods"),
        (Some(_), _) => false,
    }
}

impl Turns {
    fn of(&self, namespace: &str) -> Arc<Turn<()>> {
        let mut namespaces = self.namespaces.lock().expect("no panic while it is held");
        if namespaces.len() > 1000 {
            namespaces.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        namespaces.entry(namespace.to_owned()).or_default().clone()
    }
}
