//! Objects and who controls them: what a controller has, adopts and releases, and which controllers a change concerns.

use std::sync::Arc;

use k8s_client::informer::{Change, Key, Object, key};
use k8s_client::{Expectations, Index, Informer, Queue, Subscription};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_types::selector::LabelSelector;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::{Value, json};

/// Objects of namespaces.
pub trait Namespaced: Object + Resource<Scope = NamespaceResourceScope> {}
impl<K: Object + Resource<Scope = NamespaceResourceScope>> Namespaced for K {}

/// A cache of objects, with who controls each; a cheap handle.
pub struct Owned<K> {
    pub all: Informer<K>,
    controlled: Index<K>,
    /// What nobody controls, by namespace.
    orphans: Index<K>,
}

impl<K> Clone for Owned<K> {
    fn clone(&self) -> Self {
        Owned { all: self.all.clone(), controlled: self.controlled.clone(), orphans: self.orphans.clone() }
    }
}

impl<K: Namespaced> Owned<K> {
    pub fn new(all: Informer<K>) -> Owned<K> {
        let orphans = all.index(|object| match controller(object.meta()) {
            Some(_) => Vec::new(),
            None => vec![object.meta().namespace.clone().unwrap_or_default()],
        });
        Owned { controlled: all.by_controller(), orphans, all }
    }

    /// What an owner controls, by its uid.
    pub fn of(&self, uid: &str) -> Vec<Arc<K>> {
        self.controlled.get(uid)
    }
}

/// The owner that controls an object.
pub fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

pub fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

pub fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// What an object says that this one controls.
pub fn reference<C: Resource<DynamicType = ()>>(owner: &C) -> OwnerReference {
    OwnerReference {
        api_version: C::api_version(&()).into_owned(),
        kind: C::kind(&()).into_owned(),
        name: name(owner.meta()).to_owned(),
        uid: uid(owner.meta()).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The selector that a `LabelSelector` object says; what is not valid selects nothing.
pub fn selector(object: &impl Serialize) -> LabelSelector {
    let value = serde_json::to_value(object).unwrap_or(Value::Null);
    LabelSelector::from_object(&value).unwrap_or(LabelSelector::Nothing)
}

pub fn selects(selector: &LabelSelector, meta: &ObjectMeta) -> bool {
    match &meta.labels {
        Some(labels) => selector.matches(labels),
        None => selector.matches(&serde_json::Map::new()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Keep,
    Adopt,
    Release,
    Leave,
}

fn decide(owner: &ObjectMeta, selector: &LabelSelector, object: &ObjectMeta) -> Claim {
    let ends = owner.deletion_timestamp.is_some();
    match (controller(object), selects(selector, object)) {
        (Some(by), true) if by.uid == uid(owner) => Claim::Keep,
        (Some(by), false) if by.uid == uid(owner) && !ends => Claim::Release,
        (None, true) if !ends && object.deletion_timestamp.is_none() => Claim::Adopt,
        _ => Claim::Leave,
    }
}

/// What an owner has of the objects that are wanted: those that it controls and selects, and orphans that it selects. What it does not select any more is released.
pub async fn claim<C: Namespaced, K: Namespaced>(
    client: &Client,
    owner: &C,
    selector: &LabelSelector,
    owned: &Owned<K>,
    wanted: impl Fn(&K) -> bool,
) -> kube::Result<Vec<Arc<K>>> {
    let space = namespace(owner.meta());
    let api = Api::<K>::namespaced(client.clone(), space);
    let mut found = Vec::new();
    // The cache may not know yet that the owner is gone, and another of its name be there.
    let mut lives = None;
    let candidates = owned.of(uid(owner.meta())).into_iter().chain(owned.orphans.get(space));
    for object in candidates.filter(|object| wanted(object)) {
        match decide(owner.meta(), selector, object.meta()) {
            Claim::Keep => found.push(object),
            Claim::Leave => {}
            Claim::Release => release(&api, owner.meta(), object.meta()).await?,
            Claim::Adopt => {
                if lives.is_none() {
                    lives = Some(still_there(client, owner).await?);
                }
                if lives == Some(true) {
                    found.extend(adopt(&api, owner, object.meta()).await?.map(Arc::new));
                }
            }
        }
    }
    Ok(found)
}

async fn still_there<C: Namespaced>(client: &Client, owner: &C) -> kube::Result<bool> {
    let api = Api::<C>::namespaced(client.clone(), namespace(owner.meta()));
    let now = api.get_opt(name(owner.meta())).await?;
    Ok(now.is_some_and(|now| now.meta().uid == owner.meta().uid && now.meta().deletion_timestamp.is_none()))
}

async fn adopt<C: Namespaced, K: Namespaced>(api: &Api<K>, owner: &C, object: &ObjectMeta) -> kube::Result<Option<K>> {
    let patch = json!({"metadata": {"uid": object.uid, "ownerReferences": [reference(owner)]}});
    absent(api.patch(name(object), &PatchParams::default(), &Patch::Strategic(patch)).await)
}

async fn release<K: Namespaced>(api: &Api<K>, owner: &ObjectMeta, object: &ObjectMeta) -> kube::Result<()> {
    let reference = json!({"$patch": "delete", "uid": owner.uid});
    let patch = json!({"metadata": {"uid": object.uid, "ownerReferences": [reference]}});
    match api.patch(name(object), &PatchParams::default(), &Patch::<Value>::Strategic(patch)).await {
        // It was another object of this name.
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(()),
        other => absent(other).map(drop),
    }
}

/// Nothing, where there is no such object.
pub fn absent<T>(result: kube::Result<T>) -> kube::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Queues the controllers whose objects change, and takes back what they expect; expectations go by the controller's uid.
pub fn watch<C: Namespaced, K: Namespaced>(
    owned: &Owned<K>,
    controllers: &Informer<C>,
    selector: fn(&C) -> LabelSelector,
    queue: &Queue<Key>,
    expectations: &Expectations,
) -> Subscription {
    let concerned = Concerned {
        controllers: controllers.clone(),
        selector,
        queue: queue.clone(),
        expectations: expectations.clone(),
    };
    owned.all.on(move |change| concerned.change(change))
}

struct Concerned<C> {
    controllers: Informer<C>,
    selector: fn(&C) -> LabelSelector,
    queue: Queue<Key>,
    expectations: Expectations,
}

impl<C: Namespaced> Concerned<C> {
    fn change<K: Namespaced>(&self, change: &Change<K>) {
        let (old, new) = (change.old.as_deref().map(K::meta), change.new.as_deref().map(K::meta));
        match (old, new) {
            (Some(old), Some(new)) if old.uid == new.uid => {
                if controller(old).map(|by| &by.uid) != controller(new).map(|by| &by.uid) {
                    self.queue_controller(old);
                }
                if new.deletion_timestamp.is_some() {
                    self.deleted(new);
                }
                self.queue_concerned(new);
            }
            (old, new) => {
                if let Some(old) = old {
                    self.deleted(old);
                    self.queue_controller(old);
                }
                if let Some(new) = new {
                    self.appeared(new);
                }
            }
        }
    }

    fn appeared(&self, new: &ObjectMeta) {
        if let Some(by) = self.ours(new) {
            self.expectations.created(&by.uid);
        }
        if new.deletion_timestamp.is_some() {
            self.deleted(new);
        }
        self.queue_concerned(new);
    }

    fn deleted(&self, object: &ObjectMeta) {
        if let Some(by) = self.ours(object) {
            self.expectations.deleted(&by.uid, uid(object));
        }
    }

    fn ours<'a>(&self, object: &'a ObjectMeta) -> Option<&'a OwnerReference> {
        controller(object).filter(|by| is::<C>(by))
    }

    fn queue_controller(&self, object: &ObjectMeta) {
        if let Some(by) = self.ours(object) {
            self.queue.add((namespace(object).to_owned(), by.name.clone()));
        }
    }

    fn queue_concerned(&self, object: &ObjectMeta) {
        if controller(object).is_some() {
            return self.queue_controller(object);
        }
        for controller in self.controllers.namespace(namespace(object)) {
            if selects(&(self.selector)(&controller), object) {
                self.queue.add(key(controller.meta()));
            }
        }
    }
}

/// Whether a reference is to an object of this kind, in whatever version.
pub fn is<C: Resource<DynamicType = ()>>(reference: &OwnerReference) -> bool {
    let group = reference.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    reference.kind == C::kind(&()) && group == C::group(&())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_kept_adopted_and_released_by_selector_and_owner() {
        let wanted = selector(&json!({"matchLabels": {"app": "web"}}));
        let meta = |value: Value| serde_json::from_value::<ObjectMeta>(value).unwrap();
        let owner = meta(json!({"uid": "me"}));
        let ending = meta(json!({"uid": "me", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let by = |uid: &str| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "n", "uid": uid, "controller": true}]);
        let web = json!({"app": "web"});
        let cases = [
            (&owner, json!({"labels": web, "ownerReferences": by("me")}), Claim::Keep),
            (&ending, json!({"labels": web, "ownerReferences": by("me")}), Claim::Keep),
            (&owner, json!({"labels": {"app": "db"}, "ownerReferences": by("me")}), Claim::Release),
            (&ending, json!({"labels": {"app": "db"}, "ownerReferences": by("me")}), Claim::Leave),
            (&owner, json!({"labels": web, "ownerReferences": by("other")}), Claim::Leave),
            (&owner, json!({"labels": web}), Claim::Adopt),
            (&ending, json!({"labels": web}), Claim::Leave),
            (&owner, json!({"labels": web, "deletionTimestamp": "2026-01-01T00:00:00Z"}), Claim::Leave),
            (&owner, json!({}), Claim::Leave),
        ];
        for (owner, object, claim) in cases {
            assert_eq!(decide(owner, &wanted, &meta(object.clone())), claim, "{object}");
        }
    }
}
