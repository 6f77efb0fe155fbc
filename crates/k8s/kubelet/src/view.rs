//! A pod as the kubelet reads it: its containers in the order in which they start, and what its fields mean.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, PodSpec};
use kube::{Resource, ResourceExt};
use pods::runtime::PodName;

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that goes on running beside the others.
    Sidecar,
    App,
    Ephemeral,
}

/// When a finished container starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    Always,
    OnFailure,
    Never,
}

/// One container of a pod.
#[derive(Debug, Clone)]
pub struct Part {
    pub role: Role,
    pub container: Container,
    pub restart: Restart,
    /// Changes when the container has to be replaced.
    pub hash: String,
    /// The container whose processes an ephemeral one looks at.
    pub target: Option<String>,
}

impl Part {
    pub fn name(&self) -> &str {
        &self.container.name
    }

    pub fn image(&self) -> &str {
        self.container.image.as_deref().unwrap_or("")
    }

    /// Whether it starts again after it ended so.
    pub fn restarts_after(&self, code: i32) -> bool {
        if self.role == Role::Ephemeral {
            return false;
        }
        let said = self.container.restart_policy_rules.iter().flatten().any(|rule| {
            rule.action == "Restart"
                && rule.exit_codes.as_ref().is_some_and(|codes| {
                    let within = codes.values.iter().flatten().any(|value| *value == code);
                    if codes.operator == "NotIn" { !within } else { within }
                })
        });
        match self.restart {
            _ if said => true,
            // One that has done its work has done it, whatever the policy.
            Restart::Always => self.role != Role::Init || code != 0,
            Restart::OnFailure => code != 0,
            Restart::Never => false,
        }
    }
}

/// A pod, read.
#[derive(Debug, Clone)]
pub struct View {
    pub pod: Arc<Pod>,
    pub uid: String,
    /// Init containers and sidecars in their order.
    pub init: Vec<Part>,
    pub app: Vec<Part>,
    pub ephemeral: Vec<Part>,
}

impl View {
    pub fn new(pod: Arc<Pod>) -> View {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = restart(spec.restart_policy.as_deref());
        let init = spec.init_containers.into_iter().flatten().map(|container| {
            let (role, restart) = match container.restart_policy.as_deref() {
                Some("Always") => (Role::Sidecar, Restart::Always),
                Some(own) => (Role::Init, restart(Some(own))),
                // The pod's policy but for one thing: an init container that fails is tried again unless it is Never.
                None => (Role::Init, policy),
            };
            part(role, restart, container, None)
        });
        let app = spec.containers.into_iter().map(|container| {
            let own = container.restart_policy.as_deref().map_or(policy, |own| restart(Some(own)));
            part(Role::App, own, container, None)
        });
        let ephemeral = spec.ephemeral_containers.into_iter().flatten().filter_map(|container| {
            let target = container.target_container_name.clone();
            // An ephemeral container has the fields of a container and one more.
            let container = serde_json::from_value(serde_json::to_value(container).ok()?).ok()?;
            Some(part(Role::Ephemeral, Restart::Never, container, target))
        });
        View {
            uid: pod.uid().unwrap_or_default(),
            init: init.collect(),
            app: app.collect(),
            ephemeral: ephemeral.collect(),
            pod,
        }
    }

    pub fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    pub fn name(&self) -> PodName {
        PodName {
            namespace: self.pod.namespace().unwrap_or_default(),
            name: self.pod.name_any(),
            uid: self.uid.clone(),
        }
    }

    /// All containers.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.init.iter().chain(&self.app).chain(&self.ephemeral)
    }

    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts().find(|part| part.name() == name)
    }

    pub fn policy(&self) -> Restart {
        restart(self.spec().restart_policy.as_deref())
    }

    pub fn host_network(&self) -> bool {
        self.spec().host_network == Some(true)
    }

    pub fn deleted(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// What the API says of its end: nothing starts any more.
    pub fn finished(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// How long its containers get to end.
    pub fn grace(&self) -> Duration {
        let deletion = self.pod.metadata.deletion_grace_period_seconds.filter(|_| self.deleted());
        let seconds = deletion.or(self.spec().termination_grace_period_seconds).unwrap_or(30);
        Duration::from_secs(seconds.try_into().unwrap_or(0))
    }

    /// When the pod was taken up here, as the API knows it.
    pub fn started(&self) -> Option<Timestamp> {
        Some(self.pod.status.as_ref()?.start_time.as_ref()?.0)
    }

    /// A reference to one of its containers, for events.
    pub fn reference(&self, part: &Part) -> ObjectReference {
        let field = match part.role {
            Role::Init | Role::Sidecar => "initContainers",
            Role::App => "containers",
            Role::Ephemeral => "ephemeralContainers",
        };
        let mut reference = self.pod.object_ref(&());
        reference.field_path = Some(format!("spec.{field}{{{}}}", part.name()));
        reference
    }

    /// Labels that say whose a sandbox or container is, beside the pod's own.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pod.metadata.labels.clone().unwrap_or_default();
        labels.insert("io.kubernetes.pod.name".into(), self.pod.name_any());
        labels.insert("io.kubernetes.pod.namespace".into(), self.pod.namespace().unwrap_or_default());
        labels.insert("io.kubernetes.pod.uid".into(), self.uid.clone());
        labels
    }
}

fn restart(policy: Option<&str>) -> Restart {
    match policy {
        Some("Never") => Restart::Never,
        Some("OnFailure") => Restart::OnFailure,
        _ => Restart::Always,
    }
}

fn part(role: Role, restart: Restart, container: Container, target: Option<String>) -> Part {
    // The name and the image are what can change of a container that makes another one of it.
    let mut hasher = DefaultHasher::new();
    (&container.name, &container.image).hash(&mut hasher);
    Part { role, restart, hash: format!("{:x}", hasher.finish()), container, target }
}
