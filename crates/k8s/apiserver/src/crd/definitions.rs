//! Follows the definitions: names are accepted or not, rows come and go, deleted definitions are cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_types::crd::{self, FINALIZER, condition, names_of, set_condition};
use k8s_types::object;
use k8s_types::schema::Verb;
use k8s_types::status::{ApiError, Reason};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{Custom, cleanup};
use crate::catalog::{Behaviour, Row};
use crate::registry::{Call, Mirror, Registry};

pub(super) const GROUP: &str = "apiextensions.k8s.io";
pub(super) const PLURAL: &str = "customresourcedefinitions";

/// Serves what is defined already and follows changes from there.
pub(super) async fn start(registry: &Registry) -> Result<(), ApiError> {
    let row = registry.row(GROUP, PLURAL)?;
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    let mirror = Mirror::start(registry, &row, move || notify.notify_one()).await?;
    let (done, cleaned) = mpsc::unbounded_channel();
    let mut definitions = Definitions {
        registry: registry.clone(),
        row,
        mirror,
        seen: BTreeMap::new(),
        served: BTreeMap::new(),
        cleaning: BTreeSet::new(),
        done,
    };
    definitions.settle_all().await;
    tokio::spawn(definitions.follow(changed, cleaned));
    Ok(())
}

struct Definitions {
    registry: Registry,
    row: Arc<Row>,
    mirror: Mirror,
    /// Definitions as they were when they were last looked at.
    seen: BTreeMap<String, Arc<Value>>,
    served: BTreeMap<String, Served>,
    /// Definitions whose objects are being deleted.
    cleaning: BTreeSet<String>,
    done: mpsc::UnboundedSender<String>,
}

/// The rows of one definition.
struct Served {
    /// What they were made from.
    from: Value,
    customs: Vec<Arc<Custom>>,
}

impl Served {
    /// Whether the row is one of these.
    fn has(&self, row: &Row) -> bool {
        match &row.behaviour {
            Behaviour::Custom(custom) => self.customs.iter().any(|own| Arc::ptr_eq(own, custom)),
            Behaviour::Builtin(_) => false,
        }
    }
}

impl Definitions {
    async fn follow(mut self, changed: Arc<Notify>, mut cleaned: mpsc::UnboundedReceiver<String>) {
        loop {
            tokio::select! {
                () = changed.notified() => {}
                Some(name) = cleaned.recv() => {
                    self.cleaning.remove(&name);
                    self.seen.remove(&name);
                }
            }
            self.settle_all().await;
        }
    }

    /// Looks at every definition that changed, and at those whose names may depend on it.
    async fn settle_all(&mut self) {
        loop {
            let now: BTreeMap<String, Arc<Value>> =
                self.mirror.all().into_iter().map(|object| (object::name(&object).to_owned(), object)).collect();
            let mut groups = BTreeSet::new();
            let mut dirty = BTreeSet::new();
            for (name, object) in &now {
                let known = self.seen.get(name);
                if known.is_none_or(|known| object::resource_version(known) != object::resource_version(object)) {
                    dirty.insert(name.clone());
                    let accepted = |object: &Value| object["status"]["acceptedNames"].clone();
                    if known.is_some_and(|known| accepted(known) != accepted(object)) {
                        groups.insert(group_of(object));
                    }
                }
            }
            // One that was just cleaned up is served, but not among the seen.
            let known = self.seen.keys().chain(self.served.keys());
            let gone: BTreeSet<String> = known.filter(|name| !now.contains_key(*name)).cloned().collect();
            for name in gone {
                groups.extend(self.seen.remove(&name).map(|object| group_of(&object)));
                groups.extend(self.served.get(&name).map(|served| text(&served.from[0]["group"])));
                self.unserve(&name);
            }
            dirty.extend(
                now.iter().filter(|(_, object)| groups.contains(&group_of(object))).map(|(name, _)| name.clone()),
            );
            if dirty.is_empty() {
                return;
            }
            for name in dirty {
                let object = now[&name].clone();
                self.seen.insert(name.clone(), object.clone());
                self.settle(&name, &object, &now).await;
            }
        }
    }

    async fn settle(&mut self, name: &str, definition: &Arc<Value>, all: &BTreeMap<String, Arc<Value>>) {
        let group = group_of(definition);
        let others = all.iter().filter(|(other, object)| *other != name && group_of(object) == group);
        let naming = names_of(definition, others.map(|(_, object)| &**object));
        let mut next = (**definition).clone();
        let now = crate::registry::now();
        if next["status"]["acceptedNames"] != naming.accepted {
            next["status"]["acceptedNames"] = naming.accepted.clone();
        }
        set_condition(&mut next, "NamesAccepted", naming.fine, naming.reason, &naming.message, &now);
        if naming.fine || condition(definition, "Established") == "True" {
            let message = "the initial names have been accepted";
            set_condition(&mut next, "Established", true, "InitialNamesAccepted", message, &now);
        } else {
            set_condition(&mut next, "Established", false, "NotAccepted", "not all names are accepted", &now);
        }
        if definition["spec"]["conversion"]["strategy"] == "Webhook" {
            let message = "conversion webhooks are not called: only the version that objects are stored in is served";
            set_condition(&mut next, "ConversionSupported", false, "WebhookNotImplemented", message, &now);
        }
        if condition(&next, "Established") == "True" {
            self.serve(name, &next);
        }
        if next["status"] != definition["status"] {
            let update = self.registry.update(&Call::internal(), &self.row, "status", next).await;
            if let Err(error) = update
                && !matches!(error.reason, Reason::NotFound | Reason::Conflict)
            {
                tracing::warn!(definition = name, %error, "the status of a definition cannot be written");
            }
        }
        let deleted = object::deletion(definition).is_some();
        if deleted && object::finalizers(definition).any(|f| f == FINALIZER) && self.cleaning.insert(name.to_owned()) {
            let (registry, row, name) = (self.registry.clone(), self.row.clone(), name.to_owned());
            let done = self.done.clone();
            tokio::spawn(async move {
                cleanup::run(&registry, &row, &name).await;
                let _ = done.send(name);
            });
        }
    }

    /// Adds or replaces the rows of a definition, if anything about them changed.
    fn serve(&mut self, name: &str, definition: &Value) {
        let terminating = object::deletion(definition).is_some();
        let from = json!([definition["spec"], definition["status"]["acceptedNames"], terminating]);
        if self.served.get(name).is_some_and(|served| served.from == from) {
            return;
        }
        let settles = object::generation(definition) > 1;
        let webhook = definition["spec"]["conversion"]["strategy"] == "Webhook";
        let customs = crd::versions(definition).into_iter().map(|mut version| {
            if terminating {
                let mut resource = (*version.resource).clone();
                resource.verbs = resource.verbs.iter().filter(|verb| *verb != Verb::Create).collect();
                version.resource = Arc::new(resource);
            }
            Arc::new(Custom::new(version, settles, webhook))
        });
        let customs: Vec<Arc<Custom>> = customs.collect();
        let old = self.served.remove(name);
        self.registry.catalog().change(|rows| {
            rows.retain(|row| !old.as_ref().is_some_and(|old| old.has(row)));
            for custom in &customs {
                let resource = custom.resource();
                let builtin = rows.find(&resource.group, &resource.version, &resource.plural);
                if builtin.is_none_or(|row| matches!(row.behaviour, Behaviour::Custom(_))) {
                    rows.insert(Row::custom(custom.resource(), custom.clone()));
                }
            }
        });
        let mut customs = customs;
        match old {
            // Only deleted: who watches sees the objects go.
            Some(old) if old.from[0] == from[0] && old.from[1] == from[1] => customs.extend(old.customs),
            Some(old) => old.customs.iter().for_each(|custom| custom.retire()),
            None => {}
        }
        self.served.insert(name.to_owned(), Served { from, customs });
    }

    /// Takes the rows of a definition away.
    fn unserve(&mut self, name: &str) {
        let Some(old) = self.served.remove(name) else { return };
        self.registry.catalog().change(|rows| {
            rows.retain(|row| !old.has(row));
        });
        old.customs.iter().for_each(|custom| custom.retire());
    }
}

fn group_of(definition: &Value) -> String {
    text(&definition["spec"]["group"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
