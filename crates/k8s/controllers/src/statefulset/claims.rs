//! The volume claims of a stateful set's pods: made with them, and kept or not when they go.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{Controller, Look, identity};
use crate::owned::{self, name, namespace, uid};
use crate::pods;
use k8s_client::Severity;

/// What a claim goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bond {
    /// It stays.
    None,
    Set,
    Pod,
}

/// `condemned`: its pod is beyond those wanted.
fn bond(set: &StatefulSet, condemned: bool) -> Bond {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let deletes = |word: Option<&String>| word.is_some_and(|word| word == "Delete");
    let scaled = deletes(policy.and_then(|policy| policy.when_scaled.as_ref()));
    let deleted = deletes(policy.and_then(|policy| policy.when_deleted.as_ref()));
    match (scaled && condemned, deleted) {
        (true, _) => Bond::Pod,
        // Without its pod's being condemned a claim stays bound to the set only.
        (false, true) => Bond::Set,
        (false, false) => Bond::None,
    }
}

/// A claim goes when its owner does, but is controlled by nobody.
fn reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference { controller: None, block_owner_deletion: None, ..owned::reference(owner) }
}

/// The owners that a claim should have, where it has others now.
fn rebound(claim: &ObjectMeta, set: &StatefulSet, pod: &Pod, bond: Bond) -> Option<Vec<OwnerReference>> {
    let owners = claim.owner_references.clone().unwrap_or_default();
    let ours = |owner: &OwnerReference| owner.uid == uid(&set.metadata) || owner.uid == uid(&pod.metadata);
    let mut next: Vec<OwnerReference> = owners.iter().filter(|owner| !ours(owner)).cloned().collect();
    match bond {
        Bond::None => {}
        Bond::Set => next.push(reference(set)),
        Bond::Pod => next.push(reference(pod)),
    }
    let same = owners.len() == next.len() && next.iter().all(|one| owners.iter().any(|owner| owner.uid == one.uid));
    (!same).then_some(next)
}

impl Controller {
    /// Makes the claims of a pod that are not there.
    pub(super) async fn make_claims(&self, look: &Look, ordinal: i32) -> kube::Result<()> {
        let (set, space) = (&look.set, namespace(&look.set.metadata));
        for template in identity::claim_templates(set) {
            let claim_name = identity::claim_name(set, template, ordinal);
            if self.claims.get(space, &claim_name).is_some() {
                continue;
            }
            let claim = self.claim(set, template, &claim_name);
            let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), space);
            let pod_name = identity::pod_name(set, ordinal);
            let what = format!("create Claim {claim_name} Pod {pod_name} in StatefulSet {}", name(&set.metadata));
            match api.create(&PostParams::default(), &claim).await {
                Ok(_) => self.recorder.tell(&**set, Severity::Normal, "SuccessfulCreate", format!("{what} success")),
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
                Err(error) => {
                    let message = format!("{what} failed error: {}", pods::reason(&error));
                    self.recorder.tell(&**set, Severity::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn claim(&self, set: &StatefulSet, template: &PersistentVolumeClaim, name: &str) -> PersistentVolumeClaim {
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(set.spec.selector.match_labels.clone().unwrap_or_default());
        let owners = (bond(set, false) == Bond::Set).then(|| vec![reference(set)]);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                annotations: template.metadata.annotations.clone(),
                owner_references: owners,
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        }
    }

    /// Binds the claims of all pods to what they go with now, before anything is deleted.
    pub(super) async fn keep_claims(&self, look: &Look) -> kube::Result<()> {
        let (set, space) = (&look.set, namespace(&look.set.metadata));
        for pod in &look.pods {
            let Some(ordinal) = identity::ordinal(set, pod) else { continue };
            if !pods::is_terminating(pod) {
                self.label(look, pod, ordinal).await?;
            }
            for template in identity::claim_templates(set) {
                let Some(claim) = self.claims.get(space, &identity::claim_name(set, template, ordinal)) else {
                    continue;
                };
                let bond = bond(set, !look.wish.wants(ordinal));
                if let Some(owners) = rebound(&claim.metadata, set, pod, bond) {
                    let meta = json!({"resourceVersion": claim.metadata.resource_version, "ownerReferences": owners});
                    let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), space);
                    let patch = Patch::Merge(json!({"metadata": meta}));
                    owned::absent(api.patch(name(&claim.metadata), &PatchParams::default(), &patch).await)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_go_with_what_the_policy_says() {
        let set = |deleted: &str, scaled: &str| -> StatefulSet {
            let policy = json!({"whenDeleted": deleted, "whenScaled": scaled});
            let spec = json!({"selector": {}, "template": {}, "persistentVolumeClaimRetentionPolicy": policy});
            serde_json::from_value(json!({"metadata": {"name": "s", "uid": "s"}, "spec": spec})).unwrap()
        };
        for (deleted, scaled, wanted, condemned) in [
            ("Retain", "Retain", Bond::None, Bond::None),
            ("Delete", "Retain", Bond::Set, Bond::Set),
            ("Retain", "Delete", Bond::None, Bond::Pod),
            ("Delete", "Delete", Bond::Set, Bond::Pod),
        ] {
            assert_eq!((bond(&set(deleted, scaled), false), bond(&set(deleted, scaled), true)), (wanted, condemned));
        }
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "s-0", "uid": "p"}})).unwrap();
        let set = set("Delete", "Delete");
        let mut claim = ObjectMeta { owner_references: Some(vec![reference(&set)]), ..ObjectMeta::default() };
        assert_eq!(rebound(&claim, &set, &pod, Bond::Set), None);
        let next = rebound(&claim, &set, &pod, Bond::Pod).unwrap();
        assert_eq!((next.len(), next[0].uid.as_str()), (1, "p"));
        claim.owner_references = Some(next);
        assert_eq!(rebound(&claim, &set, &pod, Bond::None), Some(Vec::new()));
    }
}
