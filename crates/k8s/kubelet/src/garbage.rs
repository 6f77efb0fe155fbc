//! What is kept of finished containers and sandboxes, and what is removed: while a pod lives, and of pods that are no longer there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pods::runtime::{PodName, Runtime, State};

use crate::context::Context;
use crate::observed::Observed;

/// Finished containers of a name beside the newest one: the one before it, for `kubectl logs --previous` and the status.
const KEPT: usize = 2;

/// What goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surplus {
    /// Ids, each with its log.
    pub containers: Vec<(String, std::path::PathBuf)>,
    pub sandboxes: Vec<String>,
}

impl Surplus {
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.sandboxes.is_empty()
    }
}

/// What of a living pod is needed no more.
pub fn surplus(observed: &Observed, busy: &BTreeSet<String>) -> Surplus {
    let mut surplus = Surplus::default();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for container in &observed.containers {
        let count = seen.entry(&container.name).or_default();
        *count += 1;
        let dead = matches!(container.state, State::Exited { .. });
        if *count > KEPT && dead && !busy.contains(&container.name) {
            surplus.containers.push((container.id.clone(), container.log_path.clone()));
        } else {
            needed.insert(&container.sandbox);
        }
    }
    let old =
        observed.sandboxes.iter().skip(1).filter(|sandbox| !sandbox.ready && !needed.contains(sandbox.id.as_str()));
    if !busy.contains("") {
        surplus.sandboxes = old.map(|sandbox| sandbox.id.clone()).collect();
    }
    surplus
}

/// Removes it; what cannot be removed now is surplus at the next look, too.
pub async fn remove(runtime: &Runtime, surplus: Surplus) {
    for (id, log) in surplus.containers {
        match runtime.containers.remove(&id).await {
            Ok(()) => crate::logs::remove(&log),
            Err(error) => tracing::debug!(container = %id, %error, "a finished container stays"),
        }
    }
    for id in surplus.sandboxes {
        let stopped = runtime.sandboxes.stop(&id).await;
        if let Err(error) = stopped.and(runtime.sandboxes.remove(&id).await) {
            tracing::debug!(sandbox = %id, %error, "an old sandbox stays");
        }
    }
}

/// Ends and removes what is here of pods that the API does not have. `known` says which it has.
pub async fn orphans(context: Arc<Context>, known: impl Fn(&str) -> bool) {
    let mut found: BTreeMap<String, PodName> = BTreeMap::new();
    match context.runtime.sandboxes.list().await {
        Ok(all) => found.extend(all.into_iter().map(|sandbox| (sandbox.pod.uid.clone(), sandbox.pod))),
        Err(error) => tracing::warn!(%error, "the runtime does not tell what it runs"),
    }
    let folders = std::fs::read_dir(context.config.data.join("pods")).into_iter().flatten().flatten();
    for uid in folders.filter_map(|entry| entry.file_name().into_string().ok()) {
        found.entry(uid.clone()).or_insert(PodName { uid, ..PodName::default() });
    }
    let logs = std::fs::read_dir(&context.config.logs).into_iter().flatten().flatten();
    for name in logs.filter_map(|entry| entry.file_name().into_string().ok()) {
        let mut parts = name.splitn(3, '_').map(str::to_owned);
        if let (Some(namespace), Some(name), Some(uid)) = (parts.next(), parts.next(), parts.next()) {
            let pod = PodName { namespace, name, uid: uid.clone() };
            found
                .entry(uid)
                .and_modify(|known| {
                    if known.name.is_empty() {
                        known.clone_from(&pod)
                    }
                })
                .or_insert(pod);
        }
    }
    for (uid, name) in found.into_iter().filter(|(uid, _)| !known(uid)) {
        tracing::info!(%uid, pod = %name.name, "a pod that is no longer there is cleared away");
        tokio::spawn(orphan(context.clone(), name));
    }
}

async fn orphan(context: Arc<Context>, name: PodName) {
    let observed = Observed::look(&context.runtime, &name.uid).await.unwrap_or_default();
    let stops = observed.running().map(|container| {
        let grace =
            container.annotations.get(crate::observed::GRACE).and_then(|grace| grace.parse().ok()).unwrap_or(30);
        context.runtime.containers.stop(&container.id, std::time::Duration::from_secs(grace))
    });
    futures_util::future::join_all(stops).await;
    for sandbox in &observed.sandboxes {
        if let Err(error) = context.runtime.sandboxes.stop(&sandbox.id).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "an orphaned sandbox is not stopped");
        }
    }
    if let Err(error) = context.volumes.unmount(&name.uid).await {
        tracing::warn!(uid = %name.uid, %error, "volumes of a pod that is gone stay");
        return;
    }
    crate::end::remove(&context, &name).await;
}
