//! Telling a pod why it has no node, and for which node room is made; and making the room.

use std::sync::Arc;

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_client::{Recorder, Severity};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// So many are written at a time.
const AT_ONCE: usize = 16;
/// How often a status is tried to be written that others write, too.
const TRIES: usize = 4;

/// What has to be written.
pub enum Report {
    /// The pod is unschedulable; the node is the one that room is made on.
    Unschedulable { pod: Arc<Pod>, message: String, nominated: Option<Arc<str>> },
    /// No room is kept for the pod any more.
    NotNominated { pod: Arc<Pod> },
    /// The pod goes for the sake of another one.
    Evict { victim: Arc<Pod>, for_pod: Arc<Pod>, node: Arc<str> },
}

/// Writes reports until the sender is gone.
pub async fn run(client: Client, recorder: Recorder, reports: mpsc::UnboundedReceiver<Report>) {
    let reports = futures_util::stream::unfold(reports, |mut reports| async { Some((reports.recv().await?, reports)) });
    reports
        .for_each_concurrent(AT_ONCE, |report| {
            let (client, recorder) = (client.clone(), recorder.clone());
            async move {
                if let Err(error) = write(client, &recorder, report).await {
                    tracing::debug!(%error, "a pod's status is not written");
                }
            }
        })
        .await;
}

async fn write(client: Client, recorder: &Recorder, report: Report) -> kube::Result<()> {
    match report {
        Report::Unschedulable { pod, message, nominated } => {
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": null, "lastTransitionTime": Timestamp::now(),
            });
            let status = json!({ "conditions": [condition], "nominatedNodeName": nominated.as_deref() });
            patch(client, &pod, status).await
        }
        Report::NotNominated { pod } => patch(client, &pod, json!({ "nominatedNodeName": null })).await,
        Report::Evict { victim, for_pod, node } => evict(client, recorder, &victim, &for_pod, &node).await,
    }
}

/// Writes the status of a pod, unless it has got a node meanwhile: an older truth must not cover that.
async fn patch(client: Client, pod: &Pod, status: Value) -> kube::Result<()> {
    let api = Api::<Pod>::namespaced(client, &pod.namespace().unwrap_or_default());
    let mut version = pod.resource_version();
    for _ in 0..TRIES {
        let patch = json!({ "metadata": { "uid": pod.uid(), "resourceVersion": version }, "status": status });
        match api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
            other => return other.map(drop),
        }
        let Some(now) = api.get_opt(&pod.name_any()).await? else { return Ok(()) };
        let placed = now.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if placed || now.uid() != pod.uid() {
            return Ok(());
        }
        version = now.resource_version();
    }
    Ok(())
}

async fn evict(client: Client, recorder: &Recorder, victim: &Pod, for_pod: &Pod, node: &str) -> kube::Result<()> {
    let api = Api::<Pod>::namespaced(client, &victim.namespace().unwrap_or_default());
    let name = victim.name_any();
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": "default-scheduler: preempting to accommodate a higher priority pod",
        "lastTransitionTime": Timestamp::now(),
    });
    let gone = |result: kube::Result<()>| match result {
        Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => Ok(()),
        other => other,
    };
    let patch = json!({ "metadata": { "uid": victim.uid() }, "status": { "conditions": [condition] } });
    gone(api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop))?;
    let same = Preconditions { uid: victim.uid(), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
    gone(api.delete(&name, &params).await.map(drop))?;
    let uid = for_pod.uid().unwrap_or_default();
    recorder.tell(victim, Severity::Normal, "Preempted", format!("Preempted by pod {uid} on node {node}"));
    Ok(())
}
