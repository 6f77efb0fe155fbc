//! What the runtime has of a pod at one moment.

use std::collections::BTreeMap;

use pods::runtime::{Container, Result, Runtime, Sandbox, State};

use crate::view::{Part, View};

/// Annotations of containers, so that they are known again by a later process.
pub const HASH: &str = "io.kubernetes.container.hash";
pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub const RESOURCES: &str = "sampan.dev/container.resources";
pub const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// A pod's sandboxes and containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Those of all its sandboxes; the newest of each name first.
    pub containers: Vec<Container>,
}

impl Observed {
    /// Looks.
    pub async fn look(runtime: &Runtime, uid: &str) -> Result<Observed> {
        let mut observed = Observed { sandboxes: runtime.sandboxes.of_pod(uid).await?, containers: Vec::new() };
        for sandbox in &observed.sandboxes {
            observed.containers.extend(runtime.containers.of_sandbox(&sandbox.id).await?);
        }
        observed.sort();
        Ok(observed)
    }

    pub fn sort(&mut self) {
        self.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created)));
        self.containers.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created)));
    }

    /// The sandbox that runs.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// The newest container of a name, in whichever sandbox.
    pub fn newest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The one that finished before the newest.
    pub fn before(&self, name: &str) -> Option<&Container> {
        self.containers
            .iter()
            .filter(|container| container.name == name)
            .skip(1)
            .find(|container| matches!(container.state, State::Exited { .. }))
    }

    /// The newest container of a name in the sandbox that runs.
    pub fn current(&self, name: &str) -> Option<&Container> {
        let sandbox = &self.sandbox()?.id;
        self.containers.iter().find(|container| container.name == name && container.sandbox == *sandbox)
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| matches!(container.state, State::Running { .. }))
    }

    /// The attempt that a next container of a name would be.
    pub fn next_attempt(&self, name: &str) -> u32 {
        match self.newest(name) {
            // It never ran.
            Some(container) if container.state == State::Created => container.attempt,
            Some(container) => container.attempt + 1,
            None => 0,
        }
    }

    /// Whether a container was made of what the pod says now.
    pub fn is_of(container: &Container, part: &Part) -> bool {
        container.annotations.get(HASH).is_none_or(|hash| *hash == part.hash)
    }
}

/// What probes say of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    pub startup: Option<bool>,
    pub readiness: Option<bool>,
    pub liveness: Option<bool>,
}

/// By id of the container.
pub type Healths = BTreeMap<String, Health>;

/// Whether a running container counts as started.
pub fn started(part: &Part, health: Option<&Health>) -> bool {
    part.container.startup_probe.is_none() || health.and_then(|health| health.startup) == Some(true)
}

/// Whether a running and started container takes requests.
pub fn ready(part: &Part, health: Option<&Health>) -> bool {
    part.container.readiness_probe.is_none() || health.and_then(|health| health.readiness) == Some(true)
}

/// Whether every init container has done its work and every sidecar has started, so that apps may run.
pub fn initialized(view: &View, observed: &Observed, healths: &Healths) -> bool {
    if view.app.iter().any(|part| observed.current(part.name()).is_some()) {
        return true;
    }
    view.init.iter().all(|part| {
        match observed.current(part.name()).map(|container| (&container.id, &container.state)) {
            Some((_, State::Exited { code, .. })) => *code == 0 && part.role == crate::view::Role::Init,
            Some((id, State::Running { .. })) => {
                part.role == crate::view::Role::Sidecar && started(part, healths.get(id))
            }
            _ => false,
        }
    })
}
