//! What a template was: one `ControllerRevision` for each, so that stateful sets and daemon sets can go back.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use k8s_types::selector::LabelSelector;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::hash;
use crate::owned::{self, Namespaced, Owned, name, namespace};

/// On pods: of which revision they are.
pub const POD_LABEL: &str = "controller-revision-hash";
/// More collisions than could happen by chance.
const MOST_COLLISIONS: i32 = 100;

/// The revisions of one object.
pub struct Revisions {
    /// The oldest first; with the newest.
    pub all: Vec<Arc<ControllerRevision>>,
    /// That of the template as it is now.
    pub newest: Arc<ControllerRevision>,
    /// How often a name was taken.
    pub collisions: i32,
}

impl Revisions {
    pub fn named(&self, wanted: &str) -> Option<&Arc<ControllerRevision>> {
        self.all.iter().find(|revision| name(&revision.metadata) == wanted)
    }
}

/// Whose revisions are looked for, and how they are labelled.
pub struct Subject<'a, C> {
    pub owner: &'a C,
    pub selector: &'a LabelSelector,
    pub template: &'a PodTemplateSpec,
    pub collisions: i32,
    /// The label of the revision that says its hash.
    pub label: &'static str,
}

/// Finds the revision of the template, or makes it; one that is used again becomes the newest.
pub async fn sync<C: Namespaced>(
    client: &Client,
    subject: Subject<'_, C>,
    owned: &Owned<ControllerRevision>,
) -> kube::Result<Revisions> {
    let mut all = owned::claim(client, subject.owner, subject.selector, owned, |_| true).await?;
    all.sort_by_key(|revision| (revision.revision, revision.metadata.creation_timestamp.clone().map(|time| time.0)));
    let data = data(subject.template);
    let newest = all.last().and_then(|revision| revision.revision).unwrap_or(0);
    let api = Api::<ControllerRevision>::namespaced(client.clone(), namespace(subject.owner.meta()));
    let mut collisions = subject.collisions;
    let found = match all.iter().rposition(|revision| revision.data.0 == data) {
        Some(at) if at + 1 == all.len() => all[at].clone(),
        Some(at) => {
            let again = all.remove(at);
            let patch = json!({"metadata": {"uid": again.metadata.uid}, "revision": newest + 1});
            let again =
                api.patch(name(&again.metadata), &PatchParams::default(), &Patch::Merge(patch)).await.map(Arc::new)?;
            all.push(again.clone());
            again
        }
        None => {
            let made = make(&api, &subject, &data, newest + 1, &mut collisions).await.map(Arc::new)?;
            all.push(made.clone());
            made
        }
    };
    Ok(Revisions { all, newest: found, collisions })
}

async fn make<C: Namespaced>(
    api: &Api<ControllerRevision>,
    subject: &Subject<'_, C>,
    data: &Value,
    number: i64,
    collisions: &mut i32,
) -> kube::Result<ControllerRevision> {
    loop {
        let hash = hash::of(subject.template, *collisions);
        let labels = subject.template.metadata.as_ref().and_then(|meta| meta.labels.clone());
        let mut labels: BTreeMap<String, String> = labels.unwrap_or_default();
        labels.insert(subject.label.to_owned(), hash.clone());
        let meta = subject.owner.meta();
        let revision = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", name(meta))),
                namespace: meta.namespace.clone(),
                labels: Some(labels),
                annotations: meta.annotations.clone(),
                owner_references: Some(vec![owned::reference(subject.owner)]),
                ..ObjectMeta::default()
            },
            data: RawExtension(data.clone()),
            revision: Some(number),
        };
        match api.create(&PostParams::default(), &revision).await {
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" && *collisions < MOST_COLLISIONS => {
                // It may be ours, made a moment ago.
                let there = api.get_opt(name(&revision.metadata)).await?;
                if let Some(there) = there.filter(|there| there.data.0 == *data) {
                    return Ok(there);
                }
                *collisions += 1;
            }
            other => return other,
        }
    }
}

/// A patch that makes an object's template what it was: clients apply it to go back.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// Deletes the oldest beyond the limit, but none that is in use.
pub async fn truncate(
    client: &Client,
    space: &str,
    all: &[Arc<ControllerRevision>],
    limit: i32,
    live: &HashSet<&str>,
) -> kube::Result<()> {
    let idle: Vec<_> = all.iter().filter(|revision| !live.contains(name(&revision.metadata))).collect();
    let many = idle.len().saturating_sub(limit.max(0) as usize);
    let api = Api::<ControllerRevision>::namespaced(client.clone(), space);
    for revision in idle.into_iter().take(many) {
        owned::absent(api.delete(name(&revision.metadata), &DeleteParams::default()).await)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_gives_its_template_back() {
        let template: PodTemplateSpec = serde_json::from_value(json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }))
        .unwrap();
        let revision = ControllerRevision { data: RawExtension(data(&template)), ..ControllerRevision::default() };
        assert_eq!(revision.data.0["spec"]["template"]["$patch"], "replace");
        assert_eq!(super::template(&revision), Some(template));
    }
}
