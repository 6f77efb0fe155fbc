//! Tells the API a pod's status: only what changed, one request at a time, always the newest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::status::{OWN_CONDITIONS, PENDING};

/// How long a status that says no more than that work goes on is held back: mostly a better one follows.
const HELD: Duration = Duration::from_millis(100);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Fields of a status that a node answers for.
const FIELDS: &[&str] = &[
    "phase",
    "reason",
    "message",
    "podIP",
    "hostIP",
    "hostIPs",
    "startTime",
    "qosClass",
    "observedGeneration",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];

/// Tells one pod's status; ends when dropped.
pub struct Reporter {
    wanted: watch::Sender<Wanted>,
    told: watch::Receiver<u64>,
    known: Arc<Mutex<Known>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Wanted {
    number: u64,
    status: Option<PodStatus>,
    urgent: bool,
}

/// What the API has, as far as is known.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    status: Value,
}

fn version(pod: &Pod) -> u64 {
    pod.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reporter {
    pub fn new(client: &Client, pod: &Pod) -> Reporter {
        let (wanted, mut wants) = watch::channel(Wanted::default());
        let (done, told) = watch::channel(0u64);
        let known = Arc::new(Mutex::new(Known::default()));
        let api = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let (name, uid, at) = (pod.name_any(), pod.uid().unwrap_or_default(), known.clone());
        let task = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            while wants.changed().await.is_ok() {
                loop {
                    let Wanted { number, status, urgent } = wants.borrow_and_update().clone();
                    let Some(status) = status else { break };
                    if !urgent && tokio::time::timeout(HELD, wants.changed()).await.is_ok_and(|changed| changed.is_ok())
                    {
                        continue;
                    }
                    match tell(&api, &name, &uid, &at, &status).await {
                        Ok(()) => {
                            pause = FIRST_PAUSE;
                            let _ = done.send(number);
                            break;
                        }
                        Err(error) => {
                            tracing::debug!(pod = %name, %error, "a status is not told yet");
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                    }
                }
            }
        });
        let reporter = Reporter { wanted, told, known, task };
        reporter.seen(pod);
        reporter
    }

    /// The API showed the pod: what it has is known again.
    pub fn seen(&self, pod: &Pod) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if version(pod) >= known.version {
            known.version = version(pod);
            known.status = serde_json::to_value(&pod.status).unwrap_or_default();
        }
    }

    /// This is how it is now.
    pub fn tell(&self, status: PodStatus) {
        let urgent = urgent(&status);
        self.wanted.send_modify(|wanted| {
            *wanted = Wanted { number: wanted.number + 1, status: Some(status), urgent };
        });
    }

    /// Waits until what was told last has arrived.
    pub async fn arrived(&self) {
        let number = self.wanted.borrow().number;
        let _ = self.told.clone().wait_for(|told| *told >= number).await;
    }
}

/// Whether somebody may wait for it.
fn urgent(status: &PodStatus) -> bool {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    status.phase.as_deref() != Some("Pending")
        || all
            .filter_map(|one| one.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
            .any(|reason| reason != "ContainerCreating" && reason != "PodInitializing")
}

async fn tell(api: &Api<Pod>, name: &str, uid: &str, at: &Mutex<Known>, status: &PodStatus) -> kube::Result<()> {
    let Some(mut changes) = changes(&at.lock().unwrap_or_else(PoisonError::into_inner).status, status) else {
        return Ok(());
    };
    changes["metadata"] = json!({ "uid": uid });
    match api.patch_status(name, &PatchParams::default(), &Patch::Strategic(changes)).await {
        Ok(pod) => {
            let mut known = at.lock().unwrap_or_else(PoisonError::into_inner);
            if version(&pod) >= known.version {
                *known =
                    Known { version: version(&pod), status: serde_json::to_value(&pod.status).unwrap_or_default() };
            }
            Ok(())
        }
        // It is gone, or another one has its name: nobody is left to be told.
        Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 && answer.message.contains("UID") => {
            Ok(())
        }
        Err(kube::Error::Api(answer)) if answer.code == 422 || answer.code == 400 => {
            tracing::warn!(pod = %name, message = %answer.message, "a status is refused");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The strategic merge patch from what the API has to what is; none where nothing is to be told.
fn changes(known: &Value, status: &PodStatus) -> Option<Value> {
    let new = serde_json::to_value(status).unwrap_or_default();
    let mut patch = Map::new();
    for field in FIELDS {
        if known.get(field).unwrap_or(&Value::Null) != new.get(field).unwrap_or(&Value::Null) {
            patch.insert((*field).to_owned(), new.get(field).cloned().unwrap_or(Value::Null));
        }
    }
    let empty = Vec::new();
    let list = |from: &Value, field: &str| from.get(field).and_then(Value::as_array).unwrap_or(&empty).clone();
    let (had, has) = (list(known, "podIPs"), list(&new, "podIPs"));
    if had != has {
        let mut all = vec![json!({ "$patch": "replace" })];
        all.extend(has);
        patch.insert("podIPs".into(), all.into());
    }
    let before = list(known, "conditions");
    let now = list(&new, "conditions");
    let pending = |all: &[Value]| all.iter().any(|one| one["type"] == PENDING);
    let over = (pending(&before) && !pending(&now)).then(|| json!({ "type": PENDING, "$patch": "delete" }));
    let mut conditions: Vec<Value> = now
        .into_iter()
        .filter(|condition| mine(condition, &before))
        .filter(|condition| !before.contains(condition))
        .map(|condition| cleared(condition, &before))
        .collect();
    conditions.extend(over);
    if !conditions.is_empty() {
        patch.insert("conditions".into(), conditions.into());
    }
    (!patch.is_empty()).then(|| json!({ "status": patch }))
}

/// Whether the node answers for a condition as it stands.
fn mine(condition: &Value, before: &[Value]) -> bool {
    match condition["type"].as_str().unwrap_or("") {
        "PodScheduled" => !before.iter().any(|one| one["type"] == "PodScheduled"),
        "DisruptionTarget" => condition["reason"] == "TerminationByKubelet",
        kind => OWN_CONDITIONS.contains(&kind),
    }
}

/// A merge leaves what is not named: what is gone is named.
fn cleared(mut condition: Value, before: &[Value]) -> Value {
    let old = before.iter().find(|one| one["type"] == condition["type"]).and_then(Value::as_object);
    for (field, _) in old.into_iter().flatten() {
        if condition.get(field).is_none() {
            condition[field] = Value::Null;
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_changes_are_told() {
        let known = json!({
            "phase": "Running", "reason": "old",
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "ContainersNotReady" },
                { "type": "mine", "status": "True" },
            ],
        });
        let new = status(json!({
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "mine", "status": "False" }],
        }));
        assert_eq!(
            changes(&known, &new).unwrap(),
            json!({ "status": {
                "reason": null,
                "conditions": [{ "type": "Ready", "status": "True", "reason": null }],
            } })
        );
        assert_eq!(changes(&serde_json::to_value(&new).unwrap(), &new), None);
    }
}
