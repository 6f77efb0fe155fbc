//! Keeps payloads as their sources are: told of changes, and awake when a token has to be replaced.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::Inner;

/// Runs until it is aborted.
pub async fn run(inner: Arc<Inner>) {
    let mut changes = inner.sources.listen();
    loop {
        let next = inner.due().values().min().copied();
        let due = async {
            match next {
                Some(time) => inner.clock.until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            change = changes.recv() => match change {
                Ok(pod) => refresh(&inner, &pod.uid).await,
                Err(RecvError::Lagged(_)) => all(&inner).await,
                Err(RecvError::Closed) => return,
            },
            () = due => renew(&inner).await,
            () = inner.due_changed.notified() => {}
        }
    }
}

async fn all(inner: &Inner) {
    let pods: Vec<String> = inner.lock().keys().cloned().collect();
    for uid in pods {
        refresh(inner, &uid).await;
    }
}

/// Each is noted again with the time of its new token.
fn take_due(inner: &Inner) -> Vec<String> {
    let now = inner.clock.now();
    let mut due = inner.due();
    let pods: Vec<String> = due.iter().filter(|(_, time)| **time <= now).map(|(uid, _)| uid.clone()).collect();
    due.retain(|uid, _| !pods.contains(uid));
    pods
}

async fn renew(inner: &Inner) {
    let pods = take_due(inner);
    for uid in pods {
        refresh(inner, &uid).await;
    }
}

async fn refresh(inner: &Inner, uid: &str) {
    let known = inner.lock().get(uid).cloned();
    if let Some(followed) = known {
        let followed = followed.lock().await;
        inner.refresh(&followed).await;
    }
}
