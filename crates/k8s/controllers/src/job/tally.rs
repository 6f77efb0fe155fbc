//! What has become of a job's pods, by its status and the pods themselves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;

use super::indexes::Indexes;
use super::policy::{self, Verdict};
use super::{backoff, pod};
use crate::owned::uid;
use crate::pods;

/// Pods that are written down at a time, so that the status stays small.
const MOST_UNCOUNTED: usize = 500;

#[derive(Debug, Default)]
pub struct Tally<'a> {
    pub active: Vec<&'a Pod>,
    /// Being deleted, and not ended yet.
    pub terminating: Vec<&'a Pod>,
    /// Counted for good.
    pub counted_succeeded: i32,
    pub counted_failed: i32,
    /// Written down, with their finalizer still there, by uid.
    pub noted_succeeded: Vec<String>,
    pub noted_failed: Vec<String>,
    /// Ended, and not written down yet.
    pub new_succeeded: Vec<&'a Pod>,
    pub new_failed: Vec<&'a Pod>,
    /// They count for nothing, but have a finalizer.
    pub meaningless: Vec<&'a Pod>,
    /// Of an indexed job.
    pub succeeded_indexes: Option<Indexes>,
    /// Of a job that counts failures by index.
    pub failed_indexes: Option<Indexes>,
    /// The last pod of each index that failed and has no successor yet: it remembers how often its index has failed.
    pub last_failed: BTreeMap<i32, &'a Pod>,
    /// Why the job has failed by its policy.
    pub fails: Option<String>,
    /// All pods with a finalizer.
    tracked: Vec<&'a Pod>,
}

impl<'a> Tally<'a> {
    /// `tracked`: whether a pod still has its finalizer, as far as is known.
    pub fn of(job: &Job, all: &'a [Arc<Pod>], tracked: &dyn Fn(&Pod) -> bool) -> Tally<'a> {
        let spec = job.spec.clone().unwrap_or_default();
        let all: Vec<&Pod> = all.iter().map(Arc::as_ref).collect();
        let mut tally = Tally {
            active: all.iter().copied().filter(|pod| pods::is_active(pod)).collect(),
            terminating: all.iter().copied().filter(|pod| pods::is_terminating(pod) && !pods::has_ended(pod)).collect(),
            tracked: all.iter().copied().filter(|pod| tracked(pod)).collect(),
            ..Tally::default()
        };
        tally.take_status(job, &spec);
        if spec.backoff_limit_per_index.is_some() {
            tally.find_last_failed(&spec, &all);
        }
        for pod in tally.tracked.clone() {
            tally.take_pod(&spec, pod);
        }
        tally
    }

    /// What is written down and has lost its finalizer is counted.
    fn take_status(&mut self, job: &Job, spec: &JobSpec) {
        let status = job.status.clone().unwrap_or_default();
        let held: HashSet<&str> = self.tracked.iter().map(|pod| uid(&pod.metadata)).collect();
        let noted = status.uncounted_terminated_pods.unwrap_or_default();
        let split = |uids: Option<Vec<String>>| -> (Vec<String>, i32) {
            let (held, gone): (Vec<_>, Vec<_>) =
                uids.into_iter().flatten().partition(|uid| held.contains(uid.as_str()));
            (held, gone.len() as i32)
        };
        let ((succeeded, more_succeeded), (failed, more_failed)) = (split(noted.succeeded), split(noted.failed));
        (self.noted_succeeded, self.noted_failed) = (succeeded, failed);
        self.counted_succeeded = status.succeeded.unwrap_or(0) + more_succeeded;
        self.counted_failed = status.failed.unwrap_or(0) + more_failed;
        if pod::is_indexed(spec) {
            let read = |text: Option<String>| Indexes::parse(&text.unwrap_or_default(), spec.completions.unwrap_or(0));
            self.succeeded_indexes = Some(read(status.completed_indexes));
            self.failed_indexes = spec.backoff_limit_per_index.map(|_| read(status.failed_indexes));
        }
    }

    fn find_last_failed(&mut self, spec: &JobSpec, all: &[&'a Pod]) {
        let mut failed: Vec<&Pod> = all.iter().copied().filter(|pod| has_failed(spec, pod)).collect();
        failed.sort_by_key(|pod| (pod::failures(pod), backoff::finished(pod)));
        let found = failed.into_iter().filter_map(|pod| Some((pod::index(spec, pod)?, pod)));
        self.last_failed = found.collect();
        let replaced = self.active.iter().filter_map(|pod| pod::index(spec, pod));
        for index in replaced.collect::<Vec<_>>() {
            self.last_failed.remove(&index);
        }
    }

    fn take_pod(&mut self, spec: &JobSpec, pod: &'a Pod) {
        let index = pod::index(spec, pod);
        let ended = pods::phase(pod) == "Succeeded" || has_failed(spec, pod);
        if ended && pod::is_indexed(spec) && index.is_none() {
            self.meaningless.push(pod);
        } else if pods::phase(pod) == "Succeeded" {
            self.take_success(pod, index);
        } else if ended {
            self.take_failure(spec, pod, index);
        }
    }

    fn take_success(&mut self, pod: &'a Pod, index: Option<i32>) {
        match (&mut self.succeeded_indexes, index) {
            (Some(done), Some(index)) => match done.add(index) {
                true => self.new_succeeded.push(pod),
                // The index was written down already; that is enough not to count it again.
                false => self.meaningless.push(pod),
            },
            _ if self.noted_succeeded.iter().any(|noted| noted == uid(&pod.metadata)) => {}
            _ => self.new_succeeded.push(pod),
        }
    }

    fn take_failure(&mut self, spec: &JobSpec, pod: &'a Pod, index: Option<i32>) {
        let verdict = match pods::phase(pod) {
            "Failed" => policy::judge(spec, pod),
            _ => Verdict::Count,
        };
        if let (Some(failed), Some(index)) = (&mut self.failed_indexes, index) {
            let limit = spec.backoff_limit_per_index.unwrap_or(0);
            let exhausted = verdict == Verdict::Count && pod::failures(pod) >= limit;
            let done = self.succeeded_indexes.as_ref().is_some_and(|done| done.has(index));
            if (exhausted || verdict == Verdict::FailIndex) && !done {
                failed.add(index);
            }
        }
        match verdict {
            Verdict::FailJob(why) => {
                self.fails.get_or_insert(why);
            }
            Verdict::Ignore => return self.meaningless.push(pod),
            Verdict::Count | Verdict::FailIndex => {}
        }
        if !self.noted_failed.iter().any(|noted| noted == uid(&pod.metadata)) {
            self.new_failed.push(pod);
        }
    }

    pub fn succeeded(&self) -> i32 {
        match &self.succeeded_indexes {
            Some(indexes) => indexes.len(),
            None => self.counted_succeeded + (self.noted_succeeded.len() + self.new_succeeded.len()) as i32,
        }
    }

    pub fn failed(&self) -> i32 {
        self.counted_failed + (self.noted_failed.len() + self.new_failed.len()) as i32
    }

    /// What is to be written down now: pods that ended and are not remembered for their index.
    pub fn to_note(&self) -> (Vec<&'a Pod>, Vec<&'a Pod>) {
        let room = MOST_UNCOUNTED.saturating_sub(self.noted_succeeded.len() + self.noted_failed.len());
        let succeeded: Vec<&Pod> = match self.succeeded_indexes {
            Some(_) => Vec::new(),
            None => self.new_succeeded.iter().copied().take(room).collect(),
        };
        let failed = self.new_failed.iter().copied().filter(|pod| !self.remembers(pod));
        let failed = failed.take(room - succeeded.len()).collect();
        (succeeded, failed)
    }

    /// Whether a pod is all that tells how often its index has failed.
    fn remembers(&self, pod: &Pod) -> bool {
        self.last_failed.iter().any(|(index, last)| {
            let over = [&self.succeeded_indexes, &self.failed_indexes];
            uid(&last.metadata) == uid(&pod.metadata)
                && !over.iter().any(|set| set.as_ref().is_some_and(|set| set.has(*index)))
        })
    }

    /// The pods whose end the job, as it was written last, has noted.
    pub fn to_release(&self, written: &Job) -> Vec<&'a Pod> {
        let noted = written.status.as_ref().and_then(|status| status.uncounted_terminated_pods.clone());
        let noted = noted.unwrap_or_default();
        let noted: HashSet<String> =
            noted.succeeded.into_iter().flatten().chain(noted.failed.into_iter().flatten()).collect();
        let ending = written.metadata.deletion_timestamp.is_some();
        let mut go: Vec<&Pod> = self.tracked.iter().copied().filter(|pod| noted.contains(uid(&pod.metadata))).collect();
        go.extend(self.meaningless.iter().copied().filter(|pod| ending || !self.remembers(pod)));
        if self.succeeded_indexes.is_some() {
            go.extend(&self.new_succeeded);
        }
        go
    }

    /// Whether every pod has ended and is counted.
    pub fn is_over(&self) -> bool {
        let noted = self.noted_succeeded.is_empty() && self.noted_failed.is_empty();
        let counted = self.new_failed.is_empty() && (self.new_succeeded.is_empty() || self.succeeded_indexes.is_some());
        self.active.is_empty() && self.terminating.is_empty() && noted && counted
    }
}

/// Whether a pod has failed, as its job takes it: one that is being deleted has, unless only those are replaced that really ended.
pub fn has_failed(spec: &JobSpec, pod: &Pod) -> bool {
    let unassigned = pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none());
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        // Nobody will ever say of a pod without a node that it has ended.
        _ => pods::is_terminating(pod) && (!only_failed_replaced(spec) || unassigned),
    }
}

pub fn only_failed_replaced(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed")
}

#[cfg(test)]
pub mod tests;
