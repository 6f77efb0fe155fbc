//! Whether a job is done, and why.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::tally::Tally;
use super::{policy, status};
use crate::pods;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Going,
    /// It has succeeded; its pods that still run are ended.
    Succeeds {
        reason: String,
        message: String,
    },
    Fails {
        reason: String,
        message: String,
    },
}

impl Outcome {
    fn succeeds(reason: &str, message: impl Into<String>) -> Outcome {
        Outcome::Succeeds { reason: reason.to_owned(), message: message.into() }
    }

    fn fails(reason: &str, message: impl Into<String>) -> Outcome {
        Outcome::Fails { reason: reason.to_owned(), message: message.into() }
    }
}

/// What was decided once stays so.
pub fn of(job: &Job, tally: &Tally, now: Timestamp) -> Outcome {
    let spec = job.spec.clone().unwrap_or_default();
    if let Some((reason, message)) = status::said(job, status::SUCCEEDS) {
        return Outcome::succeeds(reason, message);
    }
    if let Some((reason, message)) = status::said(job, status::FAILS) {
        return Outcome::fails(reason, message);
    }
    if let Some(why) = &tally.fails {
        return Outcome::fails("PodFailurePolicy", why);
    }
    if too_many_failures(&spec, tally) {
        return Outcome::fails("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if deadline_in(job, now) == Some(Duration::ZERO) {
        return Outcome::fails("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    let failed = tally.failed_indexes.as_ref().map_or(0, |failed| failed.len());
    if spec.max_failed_indexes.is_some_and(|most| failed > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Outcome::fails("MaxFailedIndexesExceeded", message);
    }
    if let Some(rule) = tally.succeeded_indexes.as_ref().and_then(|done| policy::succeeded_early(&spec, done)) {
        return Outcome::succeeds("SuccessPolicy", rule);
    }
    let done = match spec.completions {
        None => tally.succeeded() > 0,
        Some(all) => tally.succeeded() + failed >= all,
    };
    match done && tally.active.is_empty() && !is_suspended(&spec) {
        true if failed > 0 => Outcome::fails("FailedIndexes", "Job has failed indexes"),
        true => Outcome::succeeds("CompletionsReached", "Reached expected number of succeeded pods"),
        false => Outcome::Going,
    }
}

pub fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

fn too_many_failures(spec: &JobSpec, tally: &Tally) -> bool {
    let limit = spec.backoff_limit.unwrap_or(6);
    if tally.failed() > limit {
        return true;
    }
    // Where containers are started again in the same pod, these are the failures.
    let again = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("OnFailure");
    let restarts = tally.active.iter().filter(|pod| pods::phase(pod) != "Unknown").flat_map(|pod| {
        let status = pod.status.as_ref();
        let all = |status: &k8s_openapi::api::core::v1::PodStatus| {
            let init = status.init_container_statuses.clone().into_iter().flatten();
            init.chain(status.container_statuses.clone().into_iter().flatten())
                .map(|one| one.restart_count)
                .sum::<i32>()
        };
        status.map(all)
    });
    let restarts: i32 = restarts.sum();
    again && restarts > 0 && restarts >= limit
}

/// How long the job may still run.
pub fn deadline_in(job: &Job, now: Timestamp) -> Option<Duration> {
    let spec = job.spec.as_ref().filter(|spec| !is_suspended(spec))?;
    let started = job.status.as_ref()?.start_time.as_ref()?.0;
    let left = SignedDuration::from_secs(spec.active_deadline_seconds?) - now.duration_since(started);
    Some(left.try_into().unwrap_or(Duration::ZERO))
}
