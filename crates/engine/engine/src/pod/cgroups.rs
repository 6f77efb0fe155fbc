//! Control groups of pods: made with the first sandbox of a pod, removed with the last, collected when a daemon starts.

use std::collections::HashSet;
use std::fs;

use cgroup::{Cgroup, Hierarchy};
use supervisor::ProcessKey;

use super::table::lock;
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::model::host::Resources;
use crate::model::pod::SandboxSpec;

impl Inner {
    /// Makes a pod's group with the limits of the pod as a whole.
    pub(super) fn make_sandbox_cgroup(&self, id: &str, spec: &SandboxSpec) -> Result<()> {
        let path = self.sandbox_cgroup(id, spec);
        let _groups = lock(&self.sandboxes.groups);
        let group = Cgroup::create(&self.facts.hierarchy, &path).map_err(failed)?;
        apply(&group, &path, &spec.resources)
    }

    /// Changes the limits of a pod's group.
    pub(super) fn limit_sandbox_cgroup(&self, id: &str, spec: &SandboxSpec, resources: &Resources) -> Result<()> {
        let path = self.sandbox_cgroup(id, spec);
        let _groups = lock(&self.sandboxes.groups);
        let group = Cgroup::open(&self.facts.hierarchy, &path).map_err(failed)?;
        apply(&group, &path, resources)
    }

    /// Removes a pod's group unless another sandbox of the pod has it; then its parents, as far as they are empty.
    pub(super) fn remove_sandbox_cgroup(&self, id: &str, spec: &SandboxSpec) {
        let path = self.sandbox_cgroup(id, spec);
        let _groups = lock(&self.sandboxes.groups);
        let shared = |it: &std::sync::Arc<super::Sandbox>| it.id != id && self.sandbox_cgroup(&it.id, &it.spec) == path;
        if self.sandboxes.all().iter().any(shared) {
            return;
        }
        match Cgroup::open(&self.facts.hierarchy, &path).and_then(|group| group.delete()) {
            Ok(()) | Err(cgroup::Error::NotFound(_)) => {}
            Err(error) => tracing::warn!(group = path, %error, "the control group of a pod could not be removed"),
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.facts.hierarchy.prune(parent);
        }
    }
}

fn failed(error: cgroup::Error) -> Error {
    Error::because(Kind::Internal, "control group of the pod", error)
}

fn apply(group: &Cgroup, path: &str, resources: &Resources) -> Result<()> {
    let limits = crate::compose::resources::limits(resources)?;
    let limits = runtime::limits(&limits).map_err(|error| Error::because(Kind::Invalid, "limits", error))?;
    for warning in group.apply(&limits).map_err(failed)? {
        tracing::warn!(group = path, %warning, "limits of a pod");
    }
    Ok(())
}

/// Removes the groups beneath the engine's own that are of no container that runs and of no sandbox.
pub fn collect(inner: &Inner) {
    let mut kept = HashSet::new();
    for handle in inner.containers.all() {
        let record = handle.record();
        // A member that nobody holds was lost with its sandbox: it must not run on beside its successor.
        let lost = || record.pod.is_some() && inner.supervisor.state(&ProcessKey::container(&*record.id)).is_none();
        if record.state.is_live() && !lost() {
            kept.insert(inner.cgroup(&record));
        }
    }
    for sandbox in inner.sandboxes.all() {
        kept.insert(inner.sandbox_cgroup(&sandbox.id, &sandbox.spec));
    }
    let live: HashSet<String> = kept.iter().cloned().collect();
    for path in &live {
        // Groups above those that stay are no leftovers.
        let mut above = path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            kept.insert(parent.to_owned());
            above = parent;
        }
    }
    let sandboxes: HashSet<String> =
        inner.sandboxes.all().iter().map(|it| inner.sandbox_cgroup(&it.id, &it.spec)).collect();
    let walk = Walk { hierarchy: &inner.facts.hierarchy, kept: &kept, live: &live, sandboxes: &sandboxes };
    walk.beneath(&format!("/sampan/{}", inner.instance));
}

struct Walk<'a> {
    hierarchy: &'a Hierarchy,
    /// What stays, with everything above it.
    kept: &'a HashSet<String>,
    live: &'a HashSet<String>,
    sandboxes: &'a HashSet<String>,
}

impl Walk<'_> {
    fn beneath(&self, parent: &str) {
        let Ok(group) = Cgroup::open(self.hierarchy, parent) else {
            return;
        };
        let mut names = HashSet::new();
        for folder in group.dirs() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|it| it.is_dir()) {
                    names.insert(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        for name in names {
            let path = format!("{parent}/{name}");
            if self.kept.contains(&path) {
                // What a container has made in its own group is its own business.
                if !self.live.contains(&path) || self.sandboxes.contains(&path) {
                    self.beneath(&path);
                }
                continue;
            }
            let deleted = Cgroup::open(self.hierarchy, &path).and_then(|group| group.delete());
            if let Err(error) = deleted {
                tracing::debug!(path, %error, "a control group could not be removed");
            }
        }
    }
}
