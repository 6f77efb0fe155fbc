//! VolumeBinding: a pod goes where its volumes are, or where those it still needs can be found or made.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::{Plugin, Preemption, Reason, Rejection};
use crate::model::resources::whole;
use crate::model::terms::selector;
use crate::model::volumes::{ClaimKey, Volumes};
use crate::model::{Cluster, Template};
use k8s_client::placement::matches;

const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const BOUND: &str = "pv.kubernetes.io/bind-completed";

/// What a pod needs of volumes; the same for every node.
#[derive(Debug, Default)]
pub struct Needs {
    bound: Vec<Arc<PersistentVolume>>,
    unbound: Vec<(ClaimKey, Arc<PersistentVolumeClaim>, Arc<StorageClass>)>,
}

/// What has to be done when a node is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The volume is for the claim.
    Promise { volume: String, claim: ClaimKey },
    /// The claim's volume is to be made for the node.
    Provision { claim: ClaimKey },
}

/// Finds out what is needed, or why the pod can be nowhere.
pub fn needs(template: &Template, cluster: &Cluster) -> Result<Needs, Rejection> {
    let mut needs = Needs::default();
    let reject =
        |why: String| Err(Rejection::new(Plugin::VolumeBinding, Reason::Pod(why.as_str().into()), Preemption::NoHelp));
    for name in &template.claims {
        let key = (template.namespace.clone(), name.clone());
        let Some(claim) = cluster.volumes.claims.get(&key) else {
            return reject(format!("persistentvolumeclaim \"{name}\" not found"));
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return reject(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        let spec = claim.spec.as_ref();
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
            let volume = spec.and_then(|spec| spec.volume_name.as_deref()).unwrap_or("");
            return reject(format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
            ));
        }
        let volume = spec.and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
        let annotations = claim.metadata.annotations.as_ref();
        let complete = annotations.is_some_and(|annotations| annotations.contains_key(BOUND))
            || claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        if let Some(volume) = volume.filter(|_| complete) {
            match cluster.volumes.volumes.get(volume) {
                Some(volume) => needs.bound.push(volume.clone()),
                None => return reject(format!("persistentvolume \"{volume}\" not found")),
            }
            continue;
        }
        let class = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or("");
        let class = cluster.volumes.classes.get(class);
        let class = class.filter(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
        match class.filter(|_| volume.is_none()) {
            Some(class) => needs.unbound.push((key, claim.clone(), class.clone())),
            None => return reject("pod has unbound immediate PersistentVolumeClaims".to_owned()),
        }
    }
    Ok(needs)
}

impl Needs {
    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty() && self.unbound.is_empty()
    }

    pub fn filter(&self, node: &Node, volumes: &Volumes) -> Option<Rejection> {
        self.steps(node, volumes).err()
    }

    /// What has to be done if the pod goes to this node.
    pub fn steps(&self, node: &Node, volumes: &Volumes) -> Result<Vec<Step>, Rejection> {
        let reject = |reason| Rejection::new(Plugin::VolumeBinding, reason, Preemption::NoHelp);
        if !self.bound.iter().all(|volume| reachable(volume, node)) {
            return Err(reject(Reason::VolumeNodeAffinity));
        }
        let mut steps = Vec::new();
        let mut chosen: Vec<&str> = Vec::new();
        for (key, claim, class) in &self.unbound {
            let fitting = volumes.volumes.values().filter(|volume| {
                let name = volume.metadata.name.as_deref().unwrap_or("");
                !chosen.contains(&name)
                    && !volumes.is_promised(name, key)
                    && serves(volume, key, claim)
                    && reachable(volume, node)
            });
            match fitting.min_by_key(|volume| capacity(volume)) {
                Some(volume) => {
                    let name = volume.metadata.name.as_deref().unwrap_or("");
                    chosen.push(name);
                    steps.push(Step::Promise { volume: name.to_owned(), claim: key.clone() });
                }
                None if class.provisioner == NO_PROVISIONER => return Err(reject(Reason::NoVolume)),
                None if !provisions(class, node) => return Err(reject(Reason::NoVolume)),
                None => steps.push(Step::Provision { claim: key.clone() }),
            }
        }
        Ok(steps)
    }
}

fn reachable(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    affinity.and_then(|affinity| affinity.required.as_ref()).is_none_or(|required| matches(required, node))
}

fn provisions(class: &StorageClass, node: &Node) -> bool {
    let Some(topologies) = class.allowed_topologies.as_ref().filter(|topologies| !topologies.is_empty()) else {
        return true;
    };
    let labels = node.metadata.labels.clone().unwrap_or_default();
    topologies.iter().any(|term| {
        let mut expressions = term.match_label_expressions.iter().flatten();
        expressions.all(|expression| labels.get(&expression.key).is_some_and(|value| expression.values.contains(value)))
    })
}

fn capacity(volume: &PersistentVolume) -> i64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    capacity.and_then(|capacity| capacity.get("storage")).map_or(0, whole)
}

/// Whether an unbound volume is what the claim wants.
fn serves(volume: &PersistentVolume, key: &ClaimKey, claim: &PersistentVolumeClaim) -> bool {
    let (Some(spec), Some(wanted)) = (&volume.spec, &claim.spec) else { return false };
    if let Some(claimed) = &spec.claim_ref {
        // Kept for this claim by hand, perhaps.
        let this = claimed.namespace.as_ref() == Some(&key.0) && claimed.name.as_ref() == Some(&key.1);
        if !this || claimed.uid.as_ref().is_some_and(|uid| !uid.is_empty() && Some(uid) != claim.metadata.uid.as_ref())
        {
            return false;
        }
    }
    if volume.metadata.deletion_timestamp.is_some()
        || volume.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| phase != "Available")
    {
        return false;
    }
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let class = |class: &Option<String>| class.clone().unwrap_or_default();
    let has = spec.access_modes.clone().unwrap_or_default();
    let asked = wanted.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let asked = asked.and_then(|requests| requests.get("storage")).map_or(0, whole);
    mode(&spec.volume_mode) == mode(&wanted.volume_mode)
        && class(&spec.storage_class_name) == class(&wanted.storage_class_name)
        && wanted.access_modes.iter().flatten().all(|mode| has.contains(mode))
        && capacity(volume) >= asked
        && (wanted.selector.is_none()
            || selector(wanted.selector.as_ref()).matches(&volume.metadata.labels.clone().unwrap_or_default()))
}
