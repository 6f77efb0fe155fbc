//! Logs of containers: `kubectl logs`.
//!
//! Lines are in the CRI's form, `2016-10-06T00:17:09.669794202Z stdout F text`; a line too long for one entry comes in several, of which the last is `F` and the others `P`.
//! What was moved aside (`0.log.20261124-120000`) is read before what is written now, and a reader that follows goes on in the next file.

mod entry;
mod read;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use pods::runtime::{Container, State as Running};
use tokio::sync::{broadcast, mpsc};

use super::State;
use super::answer::{self, Body};
use super::route::{self, Query};
use crate::lookup::Seen;
use read::{Options, Reading};
pub use watch::Watcher;

/// How many pieces wait for a client.
const PIECES: usize = 8;

/// Answers a request for a log.
pub async fn serve(state: Arc<State>, query: &Query, namespace: &str, pod: &str, container: &str) -> Response<Body> {
    let mut seen = match route::pod(&state, namespace, pod) {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    if !declares(&seen, container) {
        let text = format!("container \"{container}\" not found in pod \"{pod}\"");
        return answer::text(StatusCode::NOT_FOUND, text);
    }
    refresh(&state, &mut seen).await;
    let options = match options(query) {
        Ok(options) => options,
        Err(why) => return answer::text(StatusCode::BAD_REQUEST, why),
    };
    let found = match choose(&seen, container, query.is_set(&["previous"])) {
        Ok(found) => found,
        Err(why) => return answer::text(StatusCode::BAD_REQUEST, why),
    };
    let (out, pieces) = mpsc::channel(PIECES);
    tokio::spawn(send(state, found, options, out));
    answer::pieces(pieces)
}

/// What runs may be newer than what the kubelet has looked at.
async fn refresh(state: &State, seen: &mut Seen) {
    let Ok(mut all) = state.lookup.runtime().containers.list().await else { return };
    let uid = seen.pod.metadata.uid.clone().unwrap_or_default();
    all.retain(|container| container.labels.get("io.kubernetes.pod.uid") == Some(&uid));
    all.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created)));
    if !all.is_empty() {
        seen.containers = all;
    }
}

async fn send(state: Arc<State>, container: Container, options: Options, out: mpsc::Sender<Bytes>) {
    let changes = state.lookup.runtime().sandboxes.events();
    let watching = options.follow.then(|| state.logs.watch(&container.log_path)).flatten();
    let (ended, ending) = tokio::sync::watch::channel(!options.follow || !runs(&state, &container.id).await);
    let reading = Reading { path: PathBuf::from(&container.log_path), options, watching, ended: ending, out };
    let server_ended = state.ended();
    tokio::select! {
        () = reading.run() => {}
        () = end(&state, &container, changes, ended) => {}
        () = server_ended => {}
    }
}

/// Tells when the container ends; never returns.
async fn end(
    state: &State,
    container: &Container,
    mut changes: broadcast::Receiver<pods::runtime::Changed>,
    ended: tokio::sync::watch::Sender<bool>,
) {
    while !*ended.borrow() {
        match changes.recv().await {
            Ok(changed) if Some(&changed.pod.uid) != container.labels.get("io.kubernetes.pod.uid") => continue,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => break,
        }
        if !runs(state, &container.id).await {
            ended.send_replace(true);
        }
    }
    std::future::pending::<()>().await;
}

async fn runs(state: &State, id: &str) -> bool {
    let Ok(all) = state.lookup.runtime().containers.list().await else { return false };
    all.iter().any(|container| container.id == id && matches!(container.state, Running::Running { .. }))
}

fn declares(seen: &Seen, name: &str) -> bool {
    let Some(spec) = &seen.pod.spec else { return false };
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(|container| container.name == name)
        || spec.ephemeral_containers.iter().flatten().any(|container| container.name == name)
}

/// The container whose log is meant, or why there is none.
fn choose(seen: &Seen, name: &str, previous: bool) -> Result<Container, String> {
    let pod = seen.pod.metadata.name.as_deref().unwrap_or_default();
    let status = status(seen, name);
    let ran = |container: &&Container| container.state != Running::Created;
    let latest = seen.containers.iter().filter(|c| c.name == name).find(ran);
    if previous {
        let last = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref()?.container_id.clone());
        let told = last.and_then(|id| seen.containers.iter().find(|c| id.ends_with(&c.id)));
        let before = || seen.containers.iter().filter(|c| c.name == name).filter(ran).nth(1);
        return told
            .or_else(before)
            .cloned()
            .ok_or_else(|| format!("previous terminated container \"{name}\" in pod \"{pod}\" not found"));
    }
    latest.cloned().ok_or_else(|| {
        let reason = status.and_then(|status| waiting(status.state.as_ref()?)).unwrap_or("ContainerCreating");
        let why = match reason {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            other => other,
        };
        format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {why}")
    })
}

fn status<'a>(seen: &'a Seen, name: &str) -> Option<&'a ContainerStatus> {
    let status = seen.pod.status.as_ref()?;
    let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == name)
}

fn waiting(state: &ContainerState) -> Option<&str> {
    state.waiting.as_ref()?.reason.as_deref()
}

fn options(query: &Query) -> Result<Options, String> {
    let number = |name: &str| match query.get(name) {
        "" => Ok(None),
        text => text.parse::<u64>().map(Some).map_err(|_| format!("{name}: invalid number \"{text}\"")),
    };
    let since = match (number("sinceSeconds")?, query.get("sinceTime")) {
        (Some(seconds), _) => {
            let seconds = SignedDuration::from_secs(seconds.min(i64::MAX as u64) as i64);
            Timestamp::now().checked_sub(seconds).ok()
        }
        (None, "") => None,
        (None, text) => Some(text.parse().map_err(|_| format!("sinceTime: invalid time \"{text}\""))?),
    };
    let stream = match query.get("stream") {
        "" | "All" => None,
        "Stdout" => Some("stdout"),
        "Stderr" => Some("stderr"),
        other => return Err(format!("stream: unsupported value \"{other}\"")),
    };
    Ok(Options {
        follow: query.is_set(&["follow"]),
        timestamps: query.is_set(&["timestamps"]),
        tail: number("tailLines")?,
        limit: number("limitBytes")?,
        since,
        stream,
    })
}
