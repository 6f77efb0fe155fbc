//! Looks at one object and does what is due.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};

use super::Shared;
use super::graph::{FOREGROUND, Node, ORPHAN, Owner, Uid, Work};
use k8s_client::follow::Meta;

/// Why an object could not be looked at; it is looked at again later.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API refused.
    #[error("{0}")]
    Api(#[from] kube::Error),
    /// An owner is of a kind that nobody knows.
    #[error("no matches for kind {kind:?} in version {version:?}")]
    UnknownKind { version: String, kind: String },
    /// An object of the cluster refers to an owner in a namespace, which says not which.
    #[error("cluster-scoped object refers to the namespaced owner {kind} {name:?}")]
    NamespacedOwner { kind: String, name: String },
    /// An owner waits and its dependents cannot be told apart from it.
    #[error("{0} changed meanwhile")]
    Changed(String),
}

/// What is known about an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Solid,
    /// It waits until its dependents are gone.
    Waiting,
    Absent,
}

type Object = Meta<DynamicObject>;

/// Whether the object should go.
pub(super) async fn delete(shared: &Shared, uid: Uid) -> Result<(), Failure> {
    let Some((node, api)) = look(shared, uid) else { return Ok(()) };
    let Some(object) = live(shared, &api, &node, uid).await? else { return Ok(()) };
    let now = Node::of(node.kind, &object.metadata);
    if now.foreground {
        return foreground(shared, uid, &api, &object).await;
    }
    let references = object.metadata.owner_references.clone().unwrap_or_default();
    if now.deleted || references.is_empty() {
        return Ok(());
    }
    let (mut solid, mut waiting) = (Vec::new(), Vec::new());
    let mut absent = 0;
    for reference in references {
        match standing(shared, &node, &reference).await? {
            Standing::Solid => solid.push(reference),
            Standing::Waiting => waiting.push(reference),
            Standing::Absent => absent += 1,
        }
    }
    if !solid.is_empty() {
        if waiting.is_empty() && absent == 0 {
            return Ok(());
        }
        return patch(&api, &object, json!({ "ownerReferences": solid })).await;
    }
    let has_dependents = shared.graph().dependents(uid).next().is_some();
    if !waiting.is_empty() && has_dependents {
        let circle = shared.graph().dependents(uid).any(|(_, dependent)| dependent.foreground);
        if circle {
            let free: Vec<OwnerReference> = object.metadata.owner_references.clone().unwrap_or_default();
            let free = free.into_iter().map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner });
            patch(&api, &object, json!({ "ownerReferences": free.collect::<Vec<_>>() })).await?;
            return remove(&api, &object, PropagationPolicy::Foreground, false).await;
        }
        return remove(&api, &object, PropagationPolicy::Foreground, true).await;
    }
    let has = |name: &str| object.finalizers().iter().any(|finalizer| finalizer == name);
    let policy = match () {
        () if has(ORPHAN) => PropagationPolicy::Orphan,
        () if has(FOREGROUND) => PropagationPolicy::Foreground,
        () => PropagationPolicy::Background,
    };
    remove(&api, &object, policy, true).await
}

/// The dependents of the object are to forget it.
pub(super) async fn orphan(shared: &Shared, uid: Uid) -> Result<(), Failure> {
    let Some((node, api)) = look(shared, uid) else { return Ok(()) };
    let Some(object) = live(shared, &api, &node, uid).await? else { return Ok(()) };
    if !Node::of(node.kind, &object.metadata).orphaning {
        return Ok(());
    }
    let dependents: Vec<Uid> = shared.graph().dependents(uid).map(|(dependent, _)| dependent).collect();
    for dependent in dependents {
        let Some((node, api)) = look(shared, dependent) else { continue };
        let Some(object) = live(shared, &api, &node, dependent).await? else { continue };
        let all = object.metadata.owner_references.clone().unwrap_or_default();
        let others: Vec<OwnerReference> = all.iter().filter(|owner| Uid::of(&owner.uid) != uid).cloned().collect();
        if others.len() < all.len() {
            patch(&api, &object, json!({ "ownerReferences": others })).await?;
        }
    }
    without_finalizer(&api, &object, ORPHAN).await
}

/// An object that is deleted in the foreground goes when nothing blocks it.
async fn foreground(shared: &Shared, uid: Uid, api: &Api<Object>, object: &Object) -> Result<(), Failure> {
    let blocks = |node: &Node| node.owners.iter().any(|owner: &Owner| owner.uid == uid && owner.blocks);
    let blocking: Vec<(Uid, bool)> = {
        let graph = shared.graph();
        graph.dependents(uid).filter(|(_, node)| blocks(node)).map(|(uid, node)| (uid, node.foreground)).collect()
    };
    if blocking.is_empty() {
        return without_finalizer(api, object, FOREGROUND).await;
    }
    for (dependent, _) in blocking.iter().filter(|(_, foreground)| !foreground) {
        shared.queue.add(Work::Delete(*dependent));
    }
    Ok(())
}

/// The object as it was seen, and the API of its kind.
fn look(shared: &Shared, uid: Uid) -> Option<(Node, Api<Object>)> {
    let node = shared.graph().node(uid)?.clone();
    let kind = shared.kinds.get(node.kind)?;
    let api = kind.api(&shared.client, &node.namespace);
    Some((node, api))
}

/// The object as it is now; nothing if it is another by now.
async fn live(shared: &Shared, api: &Api<Object>, node: &Node, uid: Uid) -> Result<Option<Object>, Failure> {
    let found = api.get_opt(&node.name).await?;
    let found = found.filter(|object| object.metadata.uid.as_deref().map(Uid::of) == Some(uid));
    if found.is_none() {
        shared.change(|graph| graph.gone(uid));
    }
    Ok(found)
}

async fn standing(shared: &Shared, node: &Node, reference: &OwnerReference) -> Result<Standing, Failure> {
    let uid = Uid::of(&reference.uid);
    let named = shared.kinds.named(&reference.api_version, &reference.kind);
    let seen = shared.graph().find(uid, &node.namespace);
    if let (Some((kind, true)), Some((id, _))) = (seen, &named)
        && kind == *id
    {
        let waiting = shared.graph().node(uid).is_some_and(|owner| owner.foreground);
        return Ok(if waiting { Standing::Waiting } else { Standing::Solid });
    }
    let Some((_, kind)) = named else {
        return Err(Failure::UnknownKind { version: reference.api_version.clone(), kind: reference.kind.clone() });
    };
    if kind.namespaced && node.namespace.is_empty() {
        return Err(Failure::NamespacedOwner { kind: reference.kind.clone(), name: reference.name.clone() });
    }
    let owner = kind.api(&shared.client, &node.namespace).get_opt(&reference.name).await?;
    let same = owner.filter(|owner| owner.metadata.uid.as_deref() == Some(&reference.uid));
    Ok(match same.map(|owner| Node::of(0, &owner.metadata)) {
        None => Standing::Absent,
        Some(owner) if owner.foreground => Standing::Waiting,
        Some(_) => Standing::Solid,
    })
}

/// Changes metadata, if the object is still the one that was read.
async fn patch(api: &Api<Object>, object: &Object, metadata: Value) -> Result<(), Failure> {
    let mut metadata = metadata;
    metadata["uid"] = json!(object.metadata.uid);
    metadata["resourceVersion"] = json!(object.metadata.resource_version);
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    settle(object, api.patch(&object.name_any(), &PatchParams::default(), &patch).await)
}

async fn without_finalizer(api: &Api<Object>, object: &Object, name: &str) -> Result<(), Failure> {
    let left: Vec<&String> = object.finalizers().iter().filter(|finalizer| *finalizer != name).collect();
    if left.len() == object.finalizers().len() {
        return Ok(());
    }
    patch(api, object, json!({ "finalizers": left })).await
}

/// Deletes the object, if it is still the one that was read.
async fn remove(api: &Api<Object>, object: &Object, policy: PropagationPolicy, unchanged: bool) -> Result<(), Failure> {
    let ObjectMeta { uid, resource_version, .. } = object.metadata.clone();
    let resource_version = resource_version.filter(|_| unchanged);
    let params = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    settle(object, api.delete(&object.name_any(), &params).await)
}

/// What is gone needs no more; what changed is looked at again.
fn settle<T>(object: &Object, result: kube::Result<T>) -> Result<(), Failure> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.reason == "NotFound" => Ok(()),
        Err(kube::Error::Api(status)) if status.reason == "Conflict" => Err(Failure::Changed(object.name_any())),
        Err(error) => Err(error.into()),
    }
}
