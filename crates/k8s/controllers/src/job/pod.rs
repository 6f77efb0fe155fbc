//! What a job's pods look like.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::owned::{self, name, namespace};
use crate::pods;

/// Keeps a pod until it is counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// For what a pod is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub index: Option<i32>,
    /// How often its index has failed, where that is counted.
    pub failures: Option<i32>,
    pub ignored: Option<i32>,
}

pub fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

pub fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// The index of a pod, if it is one of the job's.
pub fn index(spec: &JobSpec, pod: &Pod) -> Option<i32> {
    let index = annotation(pod, INDEX)?;
    (is_indexed(spec) && (0..spec.completions.unwrap_or(0)).contains(&index)).then_some(index)
}

/// How often the pod's index had failed before it.
pub fn failures(pod: &Pod) -> i32 {
    annotation(pod, FAILURES).unwrap_or(0)
}

pub fn ignored_failures(pod: &Pod) -> i32 {
    annotation(pod, IGNORED).unwrap_or(0)
}

fn annotation(pod: &Pod, key: &str) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(key)?.parse().ok()
}

/// The pod that a job makes for a place.
pub fn compose(job: &Job, place: &Place) -> Option<Pod> {
    let spec = job.spec.as_ref()?;
    let mut pod = pods::from_template(&spec.template, &owned::reference(job));
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    let Some(index) = place.index else { return Some(pod) };
    let base = format!("{}-{index}", name(&job.metadata));
    pod.metadata.generate_name = Some(format!("{base}-"));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if spec.backoff_limit_per_index.is_some() {
        annotations.insert(FAILURES.to_owned(), place.failures.unwrap_or(0).to_string());
    }
    if let Some(ignored) = place.ignored {
        annotations.insert(IGNORED.to_owned(), ignored.to_string());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(base);
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(add_variable);
    Some(pod)
}

fn add_variable(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), api_version: None };
    variables.push(EnvVar {
        name: VARIABLE.to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    });
}

/// Takes the finalizer away.
pub async fn release(client: &Client, pod: &Pod) -> kube::Result<()> {
    let api = Api::<Pod>::namespaced(client.clone(), namespace(&pod.metadata));
    let patch = json!({"metadata": {"uid": pod.metadata.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
    match api.patch(name(&pod.metadata), &PatchParams::default(), &Patch::<Value>::Strategic(patch)).await {
        // Another pod has its name; this one is gone.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 422 => {
            let there = api.get_opt(name(&pod.metadata)).await?;
            match there {
                Some(there) if there.metadata.uid == pod.metadata.uid => Err(kube::Error::Api(status)),
                _ => Ok(()),
            }
        }
        other => owned::absent(other).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_knows_its_index() {
        let job: Job = serde_json::from_value(json!({"metadata": {"name": "j", "uid": "u"}, "spec": {
            "completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1,
            "template": {"spec": {"containers": [{"name": "c"}]}}}}))
        .unwrap();
        let place = Place { index: Some(2), failures: Some(1), ignored: None };
        let pod = compose(&job, &place).unwrap();
        let spec = job.spec.unwrap();
        assert_eq!((index(&spec, &pod), failures(&pod), ignored_failures(&pod)), (Some(2), 1, 0));
        assert!(is_tracked(&pod));
        let value = serde_json::to_value(&pod).unwrap();
        assert_eq!((&value["spec"]["hostname"], &value["metadata"]["generateName"]), (&json!("j-2"), &json!("j-2-")));
        assert_eq!(value["spec"]["containers"][0]["env"][0]["name"], VARIABLE);
        assert_eq!(index(&JobSpec { completions: Some(2), ..spec }, &pod), None, "beyond the last");
    }
}
