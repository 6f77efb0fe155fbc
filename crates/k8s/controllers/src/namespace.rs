//! What is in a deleted namespace goes first; then the namespace.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::resources::{self, Kind};
use k8s_client::follow::{self, Event, Meta};
use k8s_client::queue::Queue;

const FINALIZER: &str = "kubernetes";
/// After so long without news what is left is looked at again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Kinds that are emptied at the same time.
const TOGETHER: usize = 8;

/// Runs until dropped.
pub async fn run(client: Client) {
    let queue: Queue<String> = Queue::default();
    tokio::join!(
        follow::objects(Api::<Meta<Namespace>>::all(client.clone()), follow::config(), |event| {
            if let Event::Apply(namespace) | Event::InitApply(namespace) = event
                && namespace.metadata.deletion_timestamp.is_some()
            {
                queue.add(namespace.name_any());
            }
        }),
        queue.clone().work("namespace", 8, |name| sync(client.clone(), name)),
    );
}

async fn sync(client: Client, name: String) -> kube::Result<()> {
    let (client, name) = (&client, name.as_str());
    let api = Api::<Namespace>::all(client.clone());
    loop {
        let Some(namespace) = api.get_opt(name).await? else { return Ok(()) };
        let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
        let ours = held.is_some_and(|held| held.iter().any(|finalizer| finalizer == FINALIZER));
        if namespace.metadata.deletion_timestamp.is_none() || !ours {
            return Ok(());
        }
        let left = empty(client, name).await;
        tell(&api, &namespace, &left).await?;
        if let Some(error) = left.failures.into_iter().next() {
            return Err(error);
        }
        if left.kinds.is_empty() {
            return crate::ignore_absent(finalize(client, name).await);
        }
        wait(client, name, left.kinds.into_iter().map(|(kind, _)| kind).collect()).await;
    }
}

/// What is still in a namespace.
#[derive(Default)]
struct Left {
    /// Kinds, and how many objects of each.
    kinds: Vec<(Kind, usize)>,
    /// Finalizers, and how many objects have them.
    finalizers: BTreeMap<String, usize>,
    failures: Vec<kube::Error>,
    /// Whether it is not even known what there is.
    unknown: bool,
}

/// Deletes everything in a namespace, pods first.
async fn empty(client: &Client, namespace: &str) -> Left {
    let kinds = match resources::deletable(client).await {
        Ok(kinds) => kinds,
        Err(error) => return Left { failures: vec![error], unknown: true, ..Left::default() },
    };
    let (pods, others): (Vec<Kind>, Vec<Kind>) =
        kinds.into_iter().filter(|kind| kind.namespaced).partition(|kind| kind.key() == (String::new(), "pods".into()));
    let mut left = Left::default();
    for kinds in [pods, others] {
        let results = stream::iter(kinds.into_iter().map(|kind| empty_of(client.clone(), namespace.to_owned(), kind)));
        let results: Vec<_> = results.buffer_unordered(TOGETHER).collect().await;
        for (result, kind) in results {
            match result {
                Ok(remaining) if remaining.is_empty() => {}
                Ok(remaining) => {
                    for finalizer in remaining.iter().flatten() {
                        *left.finalizers.entry(finalizer.clone()).or_default() += 1;
                    }
                    left.kinds.push((kind, remaining.len()));
                }
                Err(error) => left.failures.push(error),
            }
        }
        if !left.kinds.is_empty() {
            break;
        }
    }
    left
}

/// Deletes the objects of a kind; returns the finalizers of each that remains.
async fn empty_of(client: Client, namespace: String, kind: Kind) -> (kube::Result<Vec<Vec<String>>>, Kind) {
    (empty_through(kind.api(&client, &namespace), kind.collection).await, kind)
}

async fn empty_through(api: Api<Meta<DynamicObject>>, collection: bool) -> kube::Result<Vec<Vec<String>>> {
    let found = api.list(&ListParams::default()).await?;
    if found.items.is_empty() {
        return Ok(Vec::new());
    }
    let params = DeleteParams::background();
    if collection {
        api.delete_collection(&params, &ListParams::default()).await?;
    } else {
        for object in &found.items {
            crate::ignore_absent(api.delete(&object.name_any(), &params).await)?;
        }
    }
    let left = api.list(&ListParams::default()).await?;
    Ok(left.items.iter().map(|object| object.finalizers().to_vec()).collect())
}

/// Returns when all objects of these kinds are gone, or after a while.
async fn wait(client: &Client, namespace: &str, kinds: Vec<Kind>) {
    let gone = kinds.into_iter().map(|kind| gone(kind.api(client, namespace)));
    let _ = tokio::time::timeout(PATIENCE, futures_util::future::join_all(gone)).await;
}

/// Returns when no object is left.
async fn gone(api: Api<Meta<DynamicObject>>) {
    let done = tokio::sync::Notify::new();
    let (mut left, mut listed) = (HashSet::new(), false);
    let watch = follow::objects(api, follow::config(), |event| {
        match event {
            Event::Init => left.clear(),
            Event::InitDone => listed = true,
            Event::InitApply(object) | Event::Apply(object) => drop(left.insert(object.name_any())),
            Event::Delete(object) => drop(left.remove(&object.name_any())),
        }
        if listed && left.is_empty() {
            done.notify_one();
        }
    });
    tokio::select! {
        () = watch => {}
        () = done.notified() => {}
    }
}

/// Takes our finalizer away.
async fn finalize(client: &Client, name: &str) -> kube::Result<()> {
    let api = Api::<Namespace>::all(client.clone());
    let Some(mut namespace) = api.get_opt(name).await? else { return Ok(()) };
    if let Some(held) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        held.retain(|finalizer| finalizer != FINALIZER);
    }
    let body = serde_json::to_vec(&namespace).map_err(kube::Error::SerdeError)?;
    let uri = format!("/api/v1/namespaces/{name}/finalize");
    let request = http::Request::put(uri).header("content-type", "application/json").body(body);
    client.request_text(request.map_err(kube::Error::HttpError)?).await.map(drop)
}

/// Writes how far it is into the status.
async fn tell(api: &Api<Namespace>, namespace: &Namespace, left: &Left) -> kube::Result<()> {
    let old = namespace.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut conditions = old.clone();
    for wanted in conditions_of(left) {
        match conditions.iter_mut().find(|condition| condition.type_ == wanted.type_) {
            Some(same) if same.status == wanted.status && same.message == wanted.message => {}
            Some(same) => {
                let time = if same.status == wanted.status {
                    same.last_transition_time.clone()
                } else {
                    wanted.last_transition_time.clone()
                };
                *same = NamespaceCondition { last_transition_time: time, ..wanted };
            }
            None => conditions.push(wanted),
        }
    }
    if conditions == old {
        return Ok(());
    }
    let patch = Patch::Merge(json!({ "status": { "conditions": conditions } }));
    crate::ignore_absent(api.patch_status(&namespace.name_any(), &PatchParams::default(), &patch).await)
}

fn conditions_of(left: &Left) -> Vec<NamespaceCondition> {
    let now = Time(Timestamp::now());
    let condition = |type_: &str, status: bool, reason: &str, message: String| NamespaceCondition {
        type_: type_.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(now.clone()),
    };
    let failed = left.failures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut conditions = vec![
        if left.unknown {
            let message = format!("Discovery failed for some groups: {failed}");
            condition("NamespaceDeletionDiscoveryFailure", true, "DiscoveryFailed", message)
        } else {
            let message = "All resources successfully discovered".to_owned();
            condition("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", message)
        },
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        if left.failures.is_empty() || left.unknown {
            let message = "All content successfully deleted, may be waiting on finalization".to_owned();
            condition("NamespaceDeletionContentFailure", false, "ContentDeleted", message)
        } else {
            let message = format!("Failed to delete all resource types, {} remaining: {failed}", left.failures.len());
            condition("NamespaceDeletionContentFailure", true, "ContentDeletionFailed", message)
        },
    ];
    let list = |items: Vec<String>| items.join(", ");
    conditions.push(if left.kinds.is_empty() {
        let message = "All content successfully removed".to_owned();
        condition("NamespaceContentRemaining", false, "ContentRemoved", message)
    } else {
        let kinds = left.kinds.iter().map(|(kind, count)| {
            format!("{}.{} has {count} resource instances", kind.resource.plural, kind.resource.group)
        });
        let message = format!("Some resources are remaining: {}", list(kinds.collect()));
        condition("NamespaceContentRemaining", true, "SomeResourcesRemain", message)
    });
    conditions.push(if left.finalizers.is_empty() {
        let message = "All content-preserving finalizers finished".to_owned();
        condition("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", message)
    } else {
        let found = left.finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
        let message = format!("Some content in the namespace has finalizers remaining: {}", list(found.collect()));
        condition("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", message)
    });
    conditions
}
