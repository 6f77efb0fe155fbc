//! What controllers ask about pods, and how they make and delete them.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_client::{Expectations, Recorder, Severity};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, Resource};

use crate::owned::{name, namespace, uid};

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether all its containers have ended for good.
pub fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it does or will do its work.
pub fn is_active(pod: &Pod) -> bool {
    !has_ended(pod) && !is_terminating(pod)
}

pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when it is ready.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// In how long a pod that is ready has been so for long enough: zero if it is available, nothing if it is not ready.
pub fn available_in(pod: &Pod, min_ready: i32, now: Timestamp) -> Option<Duration> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready <= 0 {
        return Some(Duration::ZERO);
    }
    let age = now.duration_since(ready_since(pod)?);
    let left = jiff::SignedDuration::from_secs(min_ready.into()) - age;
    Some(left.try_into().unwrap_or(Duration::ZERO))
}

pub fn is_available(pod: &Pod, min_ready: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready, now) == Some(Duration::ZERO)
}

/// When the first pod becomes available that is ready but not yet so.
pub fn next_available<'a>(pods: impl Iterator<Item = &'a Pod>, min_ready: i32, now: Timestamp) -> Option<Duration> {
    pods.filter_map(|pod| available_in(pod, min_ready, now)).filter(|left| !left.is_zero()).min()
}

/// A pod as a template says, controlled by its owner; its name begins with the owner's.
pub fn from_template(template: &PodTemplateSpec, owner: &OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.name)),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Makes and deletes the pods of one kind of controllers, and tells and expects what it does.
#[derive(Clone)]
pub struct Hands {
    pub client: Client,
    pub recorder: Recorder,
    pub expectations: Expectations,
}

impl Hands {
    pub fn new(client: Client, component: &str) -> Hands {
        let recorder = Recorder::new(client.clone(), component, "");
        Hands { client, recorder, expectations: Expectations::default() }
    }

    /// Makes pods, few at first and twice as many each time, so that a quota that is used up is not asked a thousand times. Ends with the first batch in which
    /// one failed; everything that was not made is not expected either.
    pub async fn create<C: Resource<DynamicType = ()>>(&self, owner: &C, pods: Vec<Pod>) -> kube::Result<()> {
        let key = uid(owner.meta());
        self.expectations.create(key, pods.len());
        let (mut batch, mut rest) = (1, pods.as_slice());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            let made = join_all(now.iter().map(|pod| self.create_one(owner, pod))).await;
            if let Some(error) = made.into_iter().find_map(Result::err) {
                later.iter().for_each(|_| self.expectations.created(key));
                return if namespace_ends(&error) { Ok(()) } else { Err(error) };
            }
            (batch, rest) = (batch * 2, later);
        }
        Ok(())
    }

    async fn create_one<C: Resource<DynamicType = ()>>(&self, owner: &C, pod: &Pod) -> kube::Result<()> {
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace(owner.meta()));
        match api.create(&PostParams::default(), pod).await {
            Ok(pod) => {
                let message = format!("Created pod: {}", name(&pod.metadata));
                self.recorder.tell(owner, Severity::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) => {
                self.expectations.created(uid(owner.meta()));
                if !namespace_ends(&error) {
                    let message = format!("Error creating: {}", reason(&error));
                    self.recorder.tell(owner, Severity::Warning, "FailedCreate", message);
                }
                Err(error)
            }
        }
    }

    /// Deletes pods, all at once.
    pub async fn delete<C: Resource<DynamicType = ()>>(
        &self,
        owner: &C,
        pods: impl IntoIterator<Item = &Pod>,
    ) -> kube::Result<()> {
        let pods: Vec<&Pod> = pods.into_iter().collect();
        pods.iter().for_each(|pod| self.expectations.delete(uid(owner.meta()), uid(&pod.metadata)));
        let deleted = join_all(pods.iter().map(|pod| self.delete_one(owner, pod))).await;
        deleted.into_iter().collect()
    }

    async fn delete_one<C: Resource<DynamicType = ()>>(&self, owner: &C, pod: &Pod) -> kube::Result<()> {
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace(owner.meta()));
        let only = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let pod_name = name(&pod.metadata);
        match api.delete(pod_name, &DeleteParams::default().preconditions(only)).await {
            Ok(_) => {
                let message = format!("Deleted pod: {pod_name}");
                self.recorder.tell(owner, Severity::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            // It, or at least this one of its name, is gone.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
                self.expectations.deleted(uid(owner.meta()), uid(&pod.metadata));
                Ok(())
            }
            Err(error) => {
                self.expectations.deleted(uid(owner.meta()), uid(&pod.metadata));
                let message = format!("Error deleting: {}", reason(&error));
                self.recorder.tell(owner, Severity::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }
}

/// What the server said.
pub fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether nothing can be made because the namespace is being deleted; nothing is to be told of that.
pub fn namespace_ends(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_available_once_it_was_ready_for_long_enough() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let pod = |status: &str, since: &str| -> Pod {
            let ready = json!({"type": "Ready", "status": status, "lastTransitionTime": since});
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [ready]}})).unwrap()
        };
        assert_eq!(available_in(&pod("False", "2026-01-01T00:00:00Z"), 0, now), None);
        assert_eq!(available_in(&pod("True", "2026-01-01T00:01:00Z"), 0, now), Some(Duration::ZERO));
        assert_eq!(available_in(&pod("True", "2026-01-01T00:00:40Z"), 30, now), Some(Duration::from_secs(10)));
        assert_eq!(available_in(&pod("True", "2026-01-01T00:00:30Z"), 30, now), Some(Duration::ZERO));
        assert_eq!(available_in(&Pod::default(), 0, now), None);
    }
}
