//! What a job tells.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Outcome, is_suspended};
use super::tally::Tally;
use crate::owned::uid;
use crate::pods;

/// It will be complete when its pods have ended.
pub const SUCCEEDS: &str = "SuccessCriteriaMet";
/// It will have failed when its pods have ended.
pub const FAILS: &str = "FailureTarget";
const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const SUSPENDED: &str = "Suspended";

fn find<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn holds(status: &JobStatus, kind: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition.status == "True")
}

pub fn is_finished(job: &Job) -> bool {
    job.status.as_ref().is_some_and(|status| holds(status, COMPLETE) || holds(status, FAILED))
}

/// When it was finished.
pub fn finished_at(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let mut ends = [COMPLETE, FAILED].into_iter().filter_map(|kind| find(status, kind));
    ends.find(|condition| condition.status == "True")?.last_transition_time.as_ref().map(|time| time.0)
}

/// Reason and message of a condition that holds.
pub fn said<'a>(job: &'a Job, kind: &str) -> Option<(&'a str, &'a str)> {
    let condition = find(job.status.as_ref()?, kind).filter(|condition| condition.status == "True")?;
    Some((condition.reason.as_deref().unwrap_or(""), condition.message.as_deref().unwrap_or("")))
}

pub fn of(job: &Job, tally: &Tally, outcome: &Outcome, now: Timestamp) -> JobStatus {
    let spec = job.spec.clone().unwrap_or_default();
    let mut next = job.status.clone().unwrap_or_default();
    let suspended = is_suspended(&spec);
    if next.start_time.is_none() && !suspended {
        next.start_time = Some(Time(now));
    }
    next.active = positive(tally.active.len() as i32);
    next.ready = Some(tally.active.iter().filter(|pod| pods::is_ready(pod)).count() as i32);
    next.terminating = Some(tally.terminating.len() as i32);
    note(tally, &mut next);
    match outcome {
        Outcome::Going if suspended => {
            set(&mut next, SUSPENDED, "True", "JobSuspended", "Job suspended", now);
        }
        Outcome::Going if holds(&next, SUSPENDED) => {
            set(&mut next, SUSPENDED, "False", "JobResumed", "Job resumed", now);
            next.start_time = Some(Time(now));
        }
        Outcome::Going => {}
        Outcome::Succeeds { reason, message } => {
            set(&mut next, SUCCEEDS, "True", reason, message, now);
            if tally.is_over() {
                set(&mut next, COMPLETE, "True", reason, message, now);
                next.completion_time = Some(Time(now));
            }
        }
        Outcome::Fails { reason, message } => {
            set(&mut next, FAILS, "True", reason, message, now);
            if tally.is_over() {
                set(&mut next, FAILED, "True", reason, message, now);
            }
        }
    }
    next
}

/// Nothing and zero are the same.
fn positive(count: i32) -> Option<i32> {
    Some(count).filter(|count| *count > 0)
}

/// Counts, and the pods that are about to be counted.
fn note(tally: &Tally, next: &mut JobStatus) {
    let (succeeded, failed) = tally.to_note();
    let uids = |noted: &[String], more: Vec<&Pod>| -> Option<Vec<String>> {
        let all = noted.iter().cloned().chain(more.into_iter().map(|pod| uid(&pod.metadata).to_owned()));
        Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    next.uncounted_terminated_pods = Some(UncountedTerminatedPods {
        succeeded: uids(&tally.noted_succeeded, succeeded),
        failed: uids(&tally.noted_failed, failed),
    });
    next.failed = positive(tally.counted_failed);
    match &tally.succeeded_indexes {
        Some(indexes) => {
            next.succeeded = positive(indexes.len());
            next.completed_indexes = Some(indexes.to_string()).filter(|text| !text.is_empty());
            next.failed_indexes = tally.failed_indexes.as_ref().map(|failed| failed.to_string());
        }
        None => next.succeeded = positive(tally.counted_succeeded),
    }
}

fn set(status: &mut JobStatus, kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
    if find(status, kind).is_some_and(|condition| condition.status == value) {
        return;
    }
    let all = status.conditions.get_or_insert_default();
    all.retain(|condition| condition.type_ != kind);
    all.push(JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    });
}

/// What has happened between two states, as events: whether it is good, reason and message.
pub fn news(old: &Job, new: &Job) -> Vec<(bool, String, String)> {
    let said_now = |kind: &str| said(new, kind).filter(|_| said(old, kind).is_none());
    let mut news = Vec::new();
    if said_now(COMPLETE).is_some() {
        news.push((true, "Completed".to_owned(), "Job completed".to_owned()));
    }
    if let Some((reason, message)) = said_now(FAILED) {
        news.push((false, reason.to_owned(), message.to_owned()));
    }
    match (said(old, SUSPENDED).is_some(), said(new, SUSPENDED).is_some()) {
        (false, true) => news.push((true, "Suspended".to_owned(), "Job suspended".to_owned())),
        (true, false) => news.push((true, "Resumed".to_owned(), "Job resumed".to_owned())),
        _ => {}
    }
    news
}
