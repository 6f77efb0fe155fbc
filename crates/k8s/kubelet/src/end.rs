//! Ends containers and pods: hooks, signals and grace in the right order; after it nothing of the pod runs or is mounted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use k8s_client::Severity::{Normal, Warning};
use pods::runtime::Container;
use tokio::sync::watch;

use crate::context::Context;
use crate::hooks;
use crate::observed::Observed;
use crate::view::{Part, Role, View};

/// However long a hook took, the process gets so long to end.
const LEAST: Duration = Duration::from_secs(2);
/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Ends one container: its hook, its signal, and a kill when the grace is over. The grace may be shortened on the way.
pub async fn container(
    context: &Context,
    view: &View,
    container: &Container,
    message: String,
    mut grace: watch::Receiver<Duration>,
) {
    let began = Instant::now();
    let part = view.part(&container.name);
    match part {
        Some(part) => context.event_of(view, part, Normal, "Killing", message),
        None => context.event(view, Normal, "Killing", message),
    }
    if let Some(part) = part {
        tokio::select! {
            () = pre_stop(context, view, part, container, *grace.borrow()) => {}
            () = expired(grace.clone(), began) => {}
        }
    }
    loop {
        let all = *grace.borrow_and_update();
        let hooked = part.is_some_and(|part| handler(part).is_some());
        let least = if hooked && !all.is_zero() { LEAST.min(all) } else { Duration::ZERO };
        let left = all.saturating_sub(began.elapsed()).max(least);
        let stop = context.runtime.containers.stop(&container.id, left);
        tokio::select! {
            stopped = stop => match stopped {
                Ok(()) => return,
                Err(error) if error.kind == pods::Kind::NotFound => return,
                Err(error) => {
                    tracing::debug!(container = %container.id, %error, "not ended yet");
                    tokio::time::sleep(AGAIN).await;
                }
            },
            Ok(()) = grace.changed() => {}
        }
    }
}

fn handler(part: &Part) -> Option<&k8s_openapi::api::core::v1::LifecycleHandler> {
    part.container.lifecycle.as_ref()?.pre_stop.as_ref()
}

/// Returns when the grace, as it is by then, is over.
async fn expired(mut grace: watch::Receiver<Duration>, began: Instant) {
    loop {
        let left = grace.borrow_and_update().saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            changed = grace.changed() => if changed.is_err() {
                tokio::time::sleep(left).await;
            },
        }
    }
}

async fn pre_stop(context: &Context, view: &View, part: &Part, container: &Container, grace: Duration) {
    let Some(handler) = handler(part).filter(|_| !grace.is_zero()) else { return };
    let address = if view.host_network() {
        context.host().first().copied()
    } else {
        let sandboxes = context.runtime.sandboxes.of_pod(&view.uid).await.unwrap_or_default();
        let own = sandboxes.into_iter().find(|sandbox| sandbox.id == container.sandbox);
        own.and_then(|sandbox| sandbox.addresses.first().copied())
    };
    let run = hooks::run(&context.runtime, &part.container, &container.id, address, handler, Some(grace));
    if let Err(said) = run.await {
        context.event_of(view, part, Warning, "FailedPreStopHook", format!("PreStopHook failed: {said}"));
    }
}

/// Ends everything of a pod: containers together, then sidecars from the last to the first, then sandboxes and volumes.
pub async fn pod(context: Arc<Context>, view: View, grace: watch::Receiver<Duration>) {
    let observed = look(&context, &view.uid).await;
    let is_sidecar = |container: &Container| view.part(&container.name).is_some_and(|part| part.role == Role::Sidecar);
    let began = Instant::now();
    let stop = |one: Container, grace: watch::Receiver<Duration>| {
        let (context, view) = (context.clone(), view.clone());
        async move {
            let message = format!("Stopping container {}", one.name);
            container(&context, &view, &one, message, grace).await;
        }
    };
    let mains: Vec<Container> = observed.running().filter(|one| !is_sidecar(one)).cloned().collect();
    join_all(mains.into_iter().map(|one| stop(one, grace.clone()))).await;
    for part in view.init.iter().rev().filter(|part| part.role == Role::Sidecar) {
        for one in observed.running().filter(|one| one.name == part.name()) {
            // The grace is the pod's: what the others used is used.
            let left = watch::Sender::new(grace.borrow().saturating_sub(began.elapsed()));
            let follow = async {
                let mut grace = grace.clone();
                while grace.changed().await.is_ok() {
                    left.send_replace(grace.borrow().saturating_sub(began.elapsed()));
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = stop(one.clone(), left.subscribe()) => {}
                () = follow => {}
            }
        }
    }
    clear(&context, &view.uid, &observed).await;
}

async fn look(context: &Context, uid: &str) -> Observed {
    loop {
        match Observed::look(&context.runtime, uid).await {
            Ok(observed) => return observed,
            Err(error) => tracing::warn!(%error, "the runtime does not tell what it runs"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Sandboxes and volumes, again and again until they are gone.
async fn clear(context: &Context, uid: &str, observed: &Observed) {
    for sandbox in &observed.sandboxes {
        while let Err(error) = context.runtime.sandboxes.stop(&sandbox.id).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "not stopped yet");
            tokio::time::sleep(AGAIN).await;
        }
    }
    while let Err(error) = context.volumes.unmount(uid).await {
        tracing::warn!(uid, %error, "volumes are not unmounted yet");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Removes what is left of a pod that ended: containers, sandboxes, its folder, its logs.
pub async fn remove(context: &Context, name: &pods::runtime::PodName) {
    let observed = look(context, &name.uid).await;
    for sandbox in &observed.sandboxes {
        while let Err(error) = context.runtime.sandboxes.remove(&sandbox.id).await {
            if error.kind == pods::Kind::NotFound {
                break;
            }
            tracing::warn!(sandbox = %sandbox.id, %error, "not removed yet");
            tokio::time::sleep(AGAIN).await;
        }
    }
    for folder in [context.config.pod_folder(&name.uid), context.config.log_folder(name)] {
        if mounted_beneath(&folder) {
            tracing::warn!(folder = %folder.display(), "something is still mounted in a pod's folder: it stays");
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "a pod's folder stays");
        }
    }
}

/// Whether deleting a folder could reach what is mounted in it.
fn mounted_beneath(folder: &std::path::Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let prefix = format!("{}/", folder.display());
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|at| at.starts_with(&prefix))
}
