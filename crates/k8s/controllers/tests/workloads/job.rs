//! Jobs and cron jobs.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, phase, template};

fn spec(more: Value) -> Value {
    let mut template = template(json!({"app": "j"}), "i");
    template["spec"]["restartPolicy"] = "Never".into();
    let mut spec = json!({"template": template});
    more.as_object().unwrap().iter().for_each(|(key, part)| spec[key] = part.clone());
    spec
}

fn job(more: Value) -> Value {
    json!({"metadata": {"name": "j"}, "spec": spec(more)})
}

fn has(value: &Value, kind: &str, reason: &str) -> bool {
    let conditions = value["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|one| one["type"] == kind && one["status"] == "True" && one["reason"] == reason)
}

/// The pods that have not ended.
async fn running(cluster: &Cluster) -> Vec<Pod> {
    let mut pods = cluster.pods("app=j").await;
    pods.retain(|pod| phase(pod) == "Pending" || phase(pod) == "Running");
    pods
}

#[tokio::test]
async fn every_pod_is_counted_once_through_restarts() {
    let mut cluster = Cluster::idle().await;
    cluster.create::<Job>(job(json!({"completions": 4, "parallelism": 2}))).await;
    for done in 0..4 {
        let wanted = if done < 3 { 2 } else { 1 };
        eventually("pods", async || running(&cluster).await.len() == wanted).await;
        let pod = running(&cluster).await[0].name_any();
        cluster.run(&pod).await;
        cluster.end(&pod, 0).await;
        if done % 2 == 0 {
            cluster.restart().await;
        }
    }
    let job = cluster.until::<Job>("j", "complete", |job| has(job, "Complete", "CompletionsReached")).await;
    assert_eq!((&job["status"]["succeeded"], &job["status"]["failed"]), (&json!(4), &Value::Null));
    assert!(job["status"]["completionTime"].is_string());
    let pods = cluster.list::<Pod>("app=j").await;
    assert_eq!(pods.len(), 4, "no more were made than had to be");
    assert!(pods.iter().all(|pod| pod.finalizers().is_empty()));
    cluster.event("j", "Completed").await;
    // Nothing is kept of a job that is deleted.
    cluster.api::<Job>().delete("j", &kube::api::DeleteParams::background()).await.unwrap();
    eventually("gone", async || cluster.list::<Pod>("app=j").await.is_empty()).await;
}

#[tokio::test]
async fn a_job_that_fails_too_often_has_failed() {
    let cluster = Cluster::idle().await;
    cluster.create::<Job>(job(json!({"backoffLimit": 0, "parallelism": 2, "completions": 2}))).await;
    eventually("pods", async || running(&cluster).await.len() == 2).await;
    let failed = running(&cluster).await[0].name_any();
    cluster.end(&failed, 1).await;
    let job = cluster.until::<Job>("j", "failed", |job| has(job, "Failed", "BackoffLimitExceeded")).await;
    assert!(has(&job, "FailureTarget", "BackoffLimitExceeded"));
    assert_eq!(job["status"]["failed"], 2, "the other was ended");
    assert!(running(&cluster).await.is_empty());
    cluster.event("j", "BackoffLimitExceeded").await;
}

#[tokio::test]
async fn indexes_and_the_policy_of_failures() {
    let cluster = Cluster::idle().await;
    let rules = json!([{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}]);
    let more = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "backoffLimitPerIndex": 1, "podFailurePolicy": {"rules": rules}});
    cluster.create::<Job>(job(more)).await;
    eventually("pods", async || running(&cluster).await.len() == 3).await;
    for pod in running(&cluster).await {
        let index = pod.annotations()["batch.kubernetes.io/job-completion-index"].clone();
        let spec = pod.spec.clone().unwrap();
        assert_eq!(spec.hostname, Some(format!("j-{index}")));
        assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "JOB_COMPLETION_INDEX");
        cluster.end(&pod.name_any(), if index == "1" { 42 } else { 0 }).await;
    }
    let job = cluster.until::<Job>("j", "failed", |job| has(job, "Failed", "FailedIndexes")).await;
    assert_eq!((&job["status"]["completedIndexes"], &job["status"]["failedIndexes"]), (&json!("0,2"), &json!("1")));
    assert_eq!((&job["status"]["succeeded"], &job["status"]["failed"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_job_waits_while_it_is_suspended_and_goes_when_its_time_is_over() {
    let cluster = Cluster::idle().await;
    cluster.create::<Job>(job(json!({"suspend": true, "ttlSecondsAfterFinished": 0}))).await;
    cluster.until::<Job>("j", "suspended", |job| has(job, "Suspended", "JobSuspended")).await;
    assert!(running(&cluster).await.is_empty());
    cluster.patch::<Job>("j", json!({"spec": {"suspend": false}})).await;
    eventually("pod", async || running(&cluster).await.len() == 1).await;
    cluster.patch::<Job>("j", json!({"spec": {"suspend": true}})).await;
    eventually("none", async || cluster.list::<Pod>("app=j").await.is_empty()).await;
    cluster.patch::<Job>("j", json!({"spec": {"suspend": false}})).await;
    eventually("pod", async || running(&cluster).await.len() == 1).await;
    let pod = running(&cluster).await[0].name_any();
    cluster.end(&pod, 0).await;
    eventually("gone", async || cluster.json::<Job>("j").await.is_null()).await;
    eventually("its pods", async || cluster.list::<Pod>("app=j").await.is_empty()).await;
}

#[tokio::test]
async fn a_cron_job_makes_the_job_that_is_due_and_keeps_a_history() {
    let cluster = Cluster::idle().await;
    let template = json!({"metadata": {"labels": {"cron": "tick"}}, "spec": spec(json!({}))});
    let spec = json!({"schedule": "0 0 1 1 *", "timeZone": "Europe/Berlin", "jobTemplate": template,
        "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 1});
    let cron = cluster.create::<CronJob>(json!({"metadata": {"name": "tick"}, "spec": spec})).await;
    cluster.status::<CronJob>("tick", json!({"lastScheduleTime": "2020-01-01T00:00:00Z"})).await;
    eventually("pod", async || running(&cluster).await.len() == 1).await;
    let active = |cron: &Value| cron["status"]["active"].as_array().map(Vec::len) == Some(1);
    let told = cluster.until::<CronJob>("tick", "active", active).await;
    let scheduled = told["status"]["lastScheduleTime"].as_str().unwrap();
    assert!(scheduled.ends_with("-12-31T23:00:00Z"), "the first of January begins earlier in Berlin: {scheduled}");
    let first = told["status"]["active"][0]["name"].as_str().unwrap();
    let stamp =
        &cluster.json::<Job>(first).await["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert!(stamp.as_str().unwrap().contains("-01-01T00:00:00+01:00"), "{stamp}");
    cluster.end(&running(&cluster).await[0].name_any(), 0).await;
    cluster.event("tick", "SuccessfulCreate").await;
    cluster.event("tick", "SawCompletedJob").await;

    // One that was made by hand from it belongs to its history too.
    let owner =
        json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": cron.uid(), "controller": true}]);
    let mut manual = job(json!({}));
    manual["metadata"] = json!({"name": "manual", "ownerReferences": owner,
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual"}});
    cluster.create::<Job>(manual).await;
    eventually("pod", async || running(&cluster).await.len() == 1).await;
    cluster.end(&running(&cluster).await[0].name_any(), 0).await;
    // Both may have begun in the same second.
    eventually("one is kept", async || {
        let (first, manual) = (cluster.json::<Job>(first).await, cluster.json::<Job>("manual").await);
        first.is_null() != manual.is_null()
    })
    .await;
    let done = |cron: &Value| cron["status"]["active"].is_null() && cron["status"]["lastSuccessfulTime"].is_string();
    cluster.until::<CronJob>("tick", "done", done).await;
}
