//! Which pods of a job come and go next.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;

use super::backoff::{self, Backoff};
use super::outcome::{Outcome, is_suspended};
use super::pod::{self, Place};
use super::policy::{self, Verdict};
use super::tally::{Tally, only_failed_replaced};
use crate::owned::uid;

/// Pods that are made in one go.
const BURST: usize = 500;

#[derive(Debug, Default)]
pub struct Work<'a> {
    pub make: Vec<Place>,
    /// They are deleted, and do not count.
    pub take_back: Vec<&'a Pod>,
    /// They are deleted, and count as failed.
    pub end: Vec<&'a Pod>,
    /// When there is more to do that has to wait.
    pub again: Option<Duration>,
}

pub fn next<'a>(job: &Job, tally: &Tally<'a>, outcome: &Outcome, backoff: &Backoff, now: Timestamp) -> Work<'a> {
    let spec = job.spec.clone().unwrap_or_default();
    let mut active = tally.active.clone();
    active.sort_by_key(|pod| super::expendable(pod));
    if *outcome != Outcome::Going {
        return Work { end: active, ..Work::default() };
    }
    if is_suspended(&spec) {
        return Work { take_back: active, ..Work::default() };
    }
    let doubled = surplus_of_indexes(&spec, &mut active);
    let want = wanted(&spec, tally, active.len());
    if !doubled.is_empty() || active.len() > want {
        let many = active.len().saturating_sub(want);
        let take_back = doubled.into_iter().chain(active.into_iter().take(many)).collect();
        return Work { take_back, ..Work::default() };
    }
    let blocking = if only_failed_replaced(&spec) { tally.terminating.len() } else { 0 };
    let room = want.saturating_sub(active.len() + blocking).min(BURST);
    if room == 0 {
        return Work::default();
    }
    match pod::is_indexed(&spec) {
        true => next_indexes(&spec, tally, &active, room, backoff, now),
        false => match backoff.left(now) {
            Duration::ZERO => Work { make: vec![Place::default(); room], ..Work::default() },
            wait => Work { again: Some(wait), ..Work::default() },
        },
    }
}

/// How many pods should run.
fn wanted(spec: &JobSpec, tally: &Tally, active: usize) -> usize {
    let parallel = spec.parallelism.unwrap_or(1).max(0) as usize;
    match spec.completions {
        // Once one has succeeded, the others end by themselves.
        None if tally.succeeded() > 0 => active.min(parallel),
        None => parallel,
        Some(all) => {
            let failed = tally.failed_indexes.as_ref().map_or(0, |failed| failed.len());
            parallel.min((all - tally.succeeded() - failed).max(0) as usize)
        }
    }
}

/// Takes from the active those whose index is done, is none of the job's, or has another pod.
fn surplus_of_indexes<'a>(spec: &JobSpec, active: &mut Vec<&'a Pod>) -> Vec<&'a Pod> {
    if !pod::is_indexed(spec) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut surplus = Vec::new();
    // The last are worth most.
    for pod in active.iter().rev() {
        if pod::index(spec, pod).is_none_or(|index| !seen.insert(index)) {
            surplus.push(*pod);
        }
    }
    active.retain(|pod| !surplus.iter().any(|other| uid(&other.metadata) == uid(&pod.metadata)));
    surplus
}

fn next_indexes<'a>(
    spec: &JobSpec,
    tally: &Tally<'a>,
    active: &[&Pod],
    room: usize,
    backoff: &Backoff,
    now: Timestamp,
) -> Work<'a> {
    let mut taken: HashSet<i32> = active.iter().filter_map(|pod| pod::index(spec, pod)).collect();
    if only_failed_replaced(spec) {
        taken.extend(tally.terminating.iter().filter_map(|pod| pod::index(spec, pod)));
    }
    let over = |index: &i32| {
        let sets = [&tally.succeeded_indexes, &tally.failed_indexes];
        sets.iter().any(|set| set.as_ref().is_some_and(|set| set.has(*index)))
    };
    let free = (0..spec.completions.unwrap_or(0)).filter(|index| !taken.contains(index) && !over(index));
    let by_index = spec.backoff_limit_per_index.is_some();
    let together = backoff.left(now);
    if !by_index && !together.is_zero() {
        return Work { again: Some(together), ..Work::default() };
    }
    let mut work = Work::default();
    for index in free {
        if work.make.len() == room {
            break;
        }
        let (place, wait) = match tally.last_failed.get(&index).filter(|_| by_index) {
            Some(last) => successor(spec, index, last, now),
            None => (Place { index: Some(index), ..Place::default() }, Duration::ZERO),
        };
        match wait {
            Duration::ZERO => work.make.push(place),
            wait => work.again = Some(work.again.map_or(wait, |other| other.min(wait))),
        }
    }
    work
}

/// The next pod of an index, and how long it has to wait.
fn successor(spec: &JobSpec, index: i32, last: &Pod, now: Timestamp) -> (Place, Duration) {
    let (mut failures, mut ignored) = (pod::failures(last), pod::ignored_failures(last));
    match policy::judge(spec, last) {
        Verdict::Ignore => ignored += 1,
        Verdict::Count | Verdict::FailIndex | Verdict::FailJob(_) => failures += 1,
    }
    let wait = backoff::left((failures + ignored).max(0) as u32, backoff::finished(last), now);
    (Place { index: Some(index), failures: Some(failures), ignored: Some(ignored).filter(|count| *count > 0) }, wait)
}
