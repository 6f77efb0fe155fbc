//! What is kept with a sandbox and a container so that the border's terms can be told again, and their names and labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::runtime::{ContainerSpec, PodName, SandboxSpec};

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// Of a sandbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfSandbox {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub attempt: u32,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfContainer {
    pub name: String,
    pub attempt: u32,
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl OfSandbox {
    pub fn of(spec: &SandboxSpec) -> OfSandbox {
        OfSandbox {
            namespace: spec.pod.namespace.clone(),
            name: spec.pod.name.clone(),
            uid: spec.pod.uid.clone(),
            attempt: spec.attempt,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
        }
    }

    pub fn read(text: &str) -> OfSandbox {
        // Written by this code; one of another time tells what it can.
        serde_json::from_str(text).unwrap_or_default()
    }

    pub fn pod(&self) -> PodName {
        PodName { namespace: self.namespace.clone(), name: self.name.clone(), uid: self.uid.clone() }
    }
}

impl OfContainer {
    pub fn of(spec: &ContainerSpec) -> OfContainer {
        OfContainer {
            name: spec.name.clone(),
            attempt: spec.attempt,
            image: spec.image.clone(),
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
        }
    }

    pub fn read(text: &str) -> OfContainer {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// As text; a structure of texts always serialises.
pub fn text(owner: &impl Serialize) -> String {
    serde_json::to_string(owner).unwrap_or_default()
}

/// Name of a container among all of the engine's.
pub fn container_name(sandbox: &OfSandbox, container: &OfContainer) -> String {
    format!("k8s_{}_{}_{}_{}_{}", container.name, sandbox.name, sandbox.namespace, sandbox.uid, container.attempt)
}

/// Labels of a container as the engine's other users see them: the pod's, its own, and where it belongs.
pub fn container_labels(sandbox: &OfSandbox, container: &OfContainer) -> BTreeMap<String, String> {
    let mut labels = sandbox.labels.clone();
    labels.extend(container.labels.clone());
    for (name, value) in [
        (CONTAINER_NAME, &container.name),
        (POD_NAME, &sandbox.name),
        (POD_NAMESPACE, &sandbox.namespace),
        (POD_UID, &sandbox.uid),
    ] {
        labels.insert(name.to_owned(), value.clone());
    }
    labels
}

/// The pod that labels name.
pub fn pod_of_labels(labels: &BTreeMap<String, String>) -> Option<PodName> {
    let label = |name: &str| labels.get(name).cloned();
    Some(PodName { namespace: label(POD_NAMESPACE)?, name: label(POD_NAME)?, uid: label(POD_UID)? })
}
