//! Requests and limits that changed while containers run: written to their control groups, or, where the container wants that, by a restart.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_client::Severity::Warning;
use k8s_openapi::api::core::v1::ResourceRequirements;
use pods::runtime::{Container, State};

use super::{Done, Worker};
use crate::observed::{Observed, RESOURCES};
use crate::plan::Why;
use crate::security::resources;
use crate::status::{self, Sizes};
use crate::view::{Part, Role};

/// Pause before a resize that cannot be had now is tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What the containers of a pod were given, and what keeps them from having what is wanted.
#[derive(Default)]
pub struct Resizing {
    pub sizes: Sizes,
    /// Not before then.
    after: Option<Timestamp>,
}

impl Worker {
    /// Lets limits of running containers follow the pod's. Returns when to look again.
    pub(super) fn resize(&mut self, observed: &Observed) -> Option<Timestamp> {
        let changed = self.changed(observed);
        if changed.is_empty() {
            self.resizing.sizes.pending = None;
            return None;
        }
        let now = Timestamp::now();
        if let Some(after) = self.resizing.after.filter(|after| *after > now) {
            return Some(after);
        }
        if let Err(pending) = self.context.admission.resize(&self.view) {
            self.resizing.sizes.pending = Some(pending);
            self.resizing.after = now.checked_add(AGAIN).ok();
            return self.resizing.after;
        }
        self.resizing.sizes.pending = None;
        for (part, container) in changed {
            let had = self.resizing.sizes.given.get(&container.id).cloned().flatten();
            if restarts(&part, had.as_ref()) {
                self.kill(part.name().to_owned(), &container.id, Why::Resized, observed);
            } else {
                self.write(&part, &container, observed);
            }
        }
        None
    }

    /// Running containers that have other limits than they should.
    fn changed(&mut self, observed: &Observed) -> Vec<(Part, Container)> {
        let mut changed = Vec::new();
        let mut given = BTreeMap::new();
        for part in self.view.init.iter().chain(&self.view.app).filter(|part| part.role != Role::Init) {
            let running = observed.current(part.name()).filter(|one| matches!(one.state, State::Running { .. }));
            let Some(container) = running else { continue };
            let has = self.resizing.sizes.given.remove(&container.id).unwrap_or_else(|| self.had(part, container));
            let wanted = part.container.resources.as_ref();
            if !self.busy.contains(part.name()) && !resources::same(has.as_ref(), wanted) {
                changed.push((part.clone(), container.clone()));
            }
            given.insert(container.id.clone(), has);
        }
        self.resizing.sizes.given = given;
        changed
    }

    /// What a container was made with, or was given by another process, which told the API.
    fn had(&self, part: &Part, container: &Container) -> Option<ResourceRequirements> {
        let status = self.view.pod.status.as_ref();
        let all = status.into_iter().flat_map(|one| one.init_container_statuses.iter().chain(&one.container_statuses));
        let id = status::id(&container.id);
        if let Some(known) = all.flatten().find(|one| one.container_id.as_deref() == Some(id.as_str())) {
            return known.resources.clone();
        }
        match container.annotations.get(RESOURCES).map(|text| serde_json::from_str(text)) {
            Some(Ok(made)) => made,
            _ => part.container.resources.clone(),
        }
    }

    /// The pod's control group first: it may be what holds the container back.
    fn write(&mut self, part: &Part, container: &Container, observed: &Observed) {
        let pod = &self.view.pod;
        let memory = self.context.memory.try_into().unwrap_or(i64::MAX);
        let (whole, own) = (resources::of_pod(pod), resources::of_container(pod, &part.container, memory));
        let sandbox = observed.sandbox().map(|sandbox| sandbox.id.clone()).unwrap_or_default();
        let (runtime, done) = (self.context.runtime.clone(), self.done.clone());
        let (name, id, given) = (part.name().to_owned(), container.id.clone(), part.container.resources.clone());
        self.busy.insert(name.clone());
        tokio::spawn(async move {
            let written = async {
                runtime.sandboxes.update(&sandbox, whole).await?;
                runtime.containers.update(&id, own).await
            };
            let result = written.await.map(|()| given).map_err(|error| error.message);
            let _ = done.send(Done::Resized { name, id, result });
        });
    }

    pub(super) fn resized(&mut self, name: &str, id: String, result: Result<Option<ResourceRequirements>, String>) {
        match result {
            Ok(given) => {
                if let Some(has) = self.resizing.sizes.given.get_mut(&id) {
                    *has = given;
                }
            }
            Err(message) => {
                if let Some(part) = self.view.part(name) {
                    self.context.event_of(&self.view, part, Warning, "ResizeFailed", message);
                }
                self.resizing.after = Timestamp::now().checked_add(AGAIN).ok();
            }
        }
    }
}

/// Whether any resource that differs is one for which the container wants to begin anew.
fn restarts(part: &Part, had: Option<&ResourceRequirements>) -> bool {
    let wanted = part.container.resources.as_ref();
    let mut policies = part.container.resize_policy.iter().flatten();
    policies.any(|policy| {
        policy.restart_policy == "RestartContainer" && resources::differs(had, wanted, &policy.resource_name)
    })
}
