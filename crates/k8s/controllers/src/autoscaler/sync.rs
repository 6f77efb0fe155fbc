//! One round of one autoscaler: read the scale, ask the metrics, keep within bounds and pace, write scale and status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Recorder, Severity};
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_types::quantity::Quantity;
use k8s_types::selector::label::LabelSelector;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::pace::Past;
use super::proposal::{self, Proposal, Unavailable};
use super::replicas::{self, Tolerance};
use super::usage;
use crate::scale::Target;

const TOLERANCE: f64 = 0.1;

/// What all rounds share; a cheap handle.
#[derive(Clone)]
pub struct Scaler {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    recorder: Recorder,
    autoscalers: Informer<HorizontalPodAutoscaler>,
    pods: Informer<Pod>,
    /// Which sequence of rounds is the current one, and what happened in it.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    next: u64,
    rounds: HashMap<Key, u64>,
    past: HashMap<Key, Past>,
}

impl Scaler {
    pub fn new(informers: &Informers, autoscalers: Informer<HorizontalPodAutoscaler>) -> Scaler {
        let inner = Inner {
            client: informers.client().clone(),
            recorder: Recorder::new(informers.client().clone(), "horizontal-pod-autoscaler", ""),
            pods: informers.get(),
            autoscalers,
            known: Mutex::default(),
        };
        Scaler { inner: Arc::new(inner) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a sequence of rounds; an earlier one ends.
    pub fn begin(&self, key: &Key) -> u64 {
        let mut known = self.known();
        known.next += 1;
        let round = known.next;
        known.rounds.insert(key.clone(), round);
        round
    }

    pub fn is_current(&self, key: &Key, round: u64) -> bool {
        self.known().rounds.get(key) == Some(&round)
    }

    pub fn forget(&self, key: &Key) {
        let mut known = self.known();
        known.rounds.remove(key);
        known.past.remove(key);
    }

    /// One round.
    pub async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(autoscaler) = self.inner.autoscalers.get(&key.0, &key.1) else { return Ok(()) };
        let mut round = Round::new(&autoscaler);
        self.scale(key, &autoscaler.spec, &mut round).await;
        for (severity, reason, message) in round.events.drain(..) {
            self.inner.recorder.tell(&*autoscaler, severity, reason, message);
        }
        if autoscaler.status.as_ref() == Some(&round.status) {
            return Ok(());
        }
        let api = Api::<HorizontalPodAutoscaler>::namespaced(self.inner.client.clone(), &key.0);
        let patch = Patch::Merge(json!({ "status": round.status }));
        crate::ignore_absent(api.patch_status(&key.1, &PatchParams::default(), &patch).await)
    }

    async fn scale(&self, key: &Key, spec: &HorizontalPodAutoscalerSpec, round: &mut Round) {
        let target = Target {
            namespace: key.0.clone(),
            api_version: spec.scale_target_ref.api_version.clone().unwrap_or_default(),
            kind: spec.scale_target_ref.kind.clone(),
            name: spec.scale_target_ref.name.clone(),
        };
        let scale = match target.read(&self.inner.client).await {
            Ok(scale) => scale,
            Err(error) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {error}");
                round.set("AbleToScale", "False", "FailedGetScale", &message);
                return round.tell(Severity::Warning, "FailedGetScale", error.to_string());
            }
        };
        round.set(
            "AbleToScale",
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let current = i64::from(scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0));
        let observed = scale.status.as_ref();
        round.status.current_replicas = Some(observed.map_or(0, |status| status.replicas));
        let selector = observed.and_then(|status| status.selector.clone()).unwrap_or_default();
        let bounds = (i64::from(spec.min_replicas.unwrap_or(1)), i64::from(spec.max_replicas));
        let Some((wanted, why)) = self.wanted(key, spec, &selector, current, bounds, round).await else { return };
        round.status.desired_replicas = i32::try_from(wanted).unwrap_or(i32::MAX);
        if wanted == current {
            return;
        }
        if let Err(error) = target.write(&self.inner.client, round.status.desired_replicas).await {
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            round.set("AbleToScale", "False", "FailedUpdateScale", &message);
            round.status.desired_replicas = i32::try_from(current).unwrap_or(i32::MAX);
            return round.tell(
                Severity::Warning,
                "FailedRescale",
                format!("New size: {wanted}; reason: {why}; error: {error}"),
            );
        }
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        round.set("AbleToScale", "True", "SucceededRescale", &message);
        round.tell(Severity::Normal, "SuccessfulRescale", format!("New size: {wanted}; reason: {why}"));
        round.status.last_scale_time = Some(Time(Timestamp::now()));
        self.known().past.entry(key.clone()).or_default().changed(wanted - current, Instant::now());
    }

    /// How many replicas there should be and why; nothing where that cannot be told.
    async fn wanted(
        &self,
        key: &Key,
        spec: &HorizontalPodAutoscalerSpec,
        selector: &str,
        current: i64,
        (least, most): (i64, i64),
        round: &mut Round,
    ) -> Option<(i64, String)> {
        if current == 0 && least != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            round.set("ScalingActive", "False", "ScalingDisabled", message);
            return Some((0, String::new()));
        }
        if current > most {
            return Some((most, "Current number of replicas above Spec.MaxReplicas".to_owned()));
        }
        if current < least {
            return Some((least, "Current number of replicas below Spec.MinReplicas".to_owned()));
        }
        let proposal = self.propose(key, spec, selector, current).await;
        round.status.current_metrics = Some(proposal.statuses.clone()).filter(|statuses| !statuses.is_empty());
        let (proposed, metric) = match proposal.settle(current) {
            Ok((proposed, metric)) => (proposed, metric.to_owned()),
            Err(failure) => {
                let message = format!("the HPA was unable to compute the replica count: {}", failure.message);
                round.set("ScalingActive", "False", failure.reason, &message);
                round.tell(Severity::Warning, failure.reason, failure.message.clone());
                let status = &mut round.status;
                status.desired_replicas = i32::try_from(current).unwrap_or(i32::MAX);
                return None;
            }
        };
        let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
        round.set("ScalingActive", "True", "ValidMetricFound", &message);
        let allowed = {
            let mut known = self.known();
            let past = known.past.entry(key.clone()).or_default();
            past.allow(spec.behavior.as_ref(), current, proposed, (least, most), Instant::now())
        };
        let ready = ("ReadyForNewScale", "recommended size matches current size");
        let (reason, message) = allowed.stabilized.unwrap_or(ready);
        round.set("AbleToScale", "True", reason, message);
        let within = ("DesiredWithinRange", "the desired count is within the acceptable range");
        let (reason, message) = allowed.limited.unwrap_or(within);
        round.set("ScalingLimited", if allowed.limited.is_some() { "True" } else { "False" }, reason, message);
        let why = if allowed.replicas > current {
            format!("{metric} above target")
        } else {
            "All metrics below target".to_owned()
        };
        Some((allowed.replicas, why))
    }

    async fn propose(&self, key: &Key, spec: &HorizontalPodAutoscalerSpec, selector: &str, current: i64) -> Proposal {
        let mut proposal = Proposal::default();
        let selected = LabelSelector::parse(selector).unwrap_or(LabelSelector::Nothing);
        let pods: Vec<Arc<Pod>> = self.inner.pods.namespace(&key.0);
        let labels = |pod: &Pod| pod.metadata.labels.clone().unwrap_or_default();
        let pods: Vec<&Pod> = pods.iter().map(|pod| &**pod).filter(|pod| selected.matches(&labels(pod))).collect();
        let tolerance = tolerance(spec);
        let mut usages = None;
        for metric in spec.metrics.iter().flatten() {
            let measured = match proposal::measure(metric) {
                Err(failure) => Err(failure),
                Ok(measure) => {
                    if usages.is_none() {
                        usages = Some(usage::read(&self.inner.client, &key.0, selector).await);
                    }
                    let failed = |message: String| Unavailable {
                        reason: if measure.container.is_some() {
                            "FailedGetContainerResourceMetric"
                        } else {
                            "FailedGetResourceMetric"
                        },
                        message: format!("failed to get {} utilization: {message}", measure.resource),
                    };
                    match usages.as_ref() {
                        Some(Ok(usages)) => {
                            replicas::answer(measure, &pods, usages, current, tolerance, Timestamp::now())
                                .map_err(failed)
                        }
                        Some(Err(error)) => Err(failed(format!(
                            "unable to get metrics for resource {}: unable to fetch metrics from resource metrics API: {error}",
                            measure.resource
                        ))),
                        None => continue,
                    }
                }
            };
            proposal.take(metric, measured);
        }
        proposal
    }
}

fn tolerance(spec: &HorizontalPodAutoscalerSpec) -> Tolerance {
    let of = |rules: Option<&HPAScalingRules>| {
        let given = rules.and_then(|rules| rules.tolerance.as_ref());
        given.and_then(|given| Quantity::parse(&given.0).ok()).map_or(TOLERANCE, |given| given.to_f64())
    };
    let behavior = spec.behavior.as_ref();
    Tolerance {
        up: of(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
        down: of(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
    }
}

/// What a round makes of the status.
struct Round {
    status: HorizontalPodAutoscalerStatus,
    generation: Option<i64>,
    events: Vec<(Severity, &'static str, String)>,
}

impl Round {
    fn new(autoscaler: &HorizontalPodAutoscaler) -> Round {
        let mut status = autoscaler.status.clone().unwrap_or_default();
        let generation = autoscaler.metadata.generation;
        status.observed_generation = generation;
        Round { status, generation, events: Vec::new() }
    }

    fn tell(&mut self, severity: Severity, reason: &'static str, message: String) {
        self.events.push((severity, reason, message));
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        let old = conditions.iter().position(|condition| condition.type_ == kind);
        let since = old.map(|at| &conditions[at]).filter(|old| old.status == status);
        let condition = HorizontalPodAutoscalerCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            observed_generation: self.generation,
            last_transition_time: since
                .and_then(|old| old.last_transition_time.clone())
                .or_else(|| Some(Time(Timestamp::now()))),
        };
        match old {
            Some(at) => conditions[at] = condition,
            None => conditions.push(condition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_their_time_until_their_status_changes() {
        let mut round = Round::new(&HorizontalPodAutoscaler::default());
        round.set("AbleToScale", "True", "A", "a");
        let first = round.status.conditions.as_ref().unwrap()[0].last_transition_time.clone();
        round.set("AbleToScale", "True", "B", "b");
        let conditions = round.status.conditions.as_ref().unwrap();
        assert_eq!((conditions.len(), &conditions[0].last_transition_time), (1, &first));
        assert_eq!(conditions[0].reason.as_deref(), Some("B"));
    }
}
