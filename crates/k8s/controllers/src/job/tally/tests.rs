//! Jobs and pods in, counts, outcome, work and status out.

use super::super::outcome::{self, Outcome};
use super::super::{backoff::Backoff, status, work};
use super::*;
use jiff::Timestamp;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn job(spec: Value, status: Value) -> Job {
    let mut all = json!({"template": {}, "parallelism": 2, "completions": 3});
    spec.as_object().unwrap().iter().for_each(|(key, part)| all[key] = part.clone());
    serde_json::from_value(json!({"metadata": {"name": "j", "uid": "j"}, "spec": all, "status": status})).unwrap()
}

/// `name:phase[:index[:failures]]`; phase r(unning), s(ucceeded), f(ailed), t(erminating); in capitals: without finalizer.
fn pods(text: &str) -> Vec<Arc<Pod>> {
    let pod = |word: &str| {
        let parts: Vec<&str> = word.split(':').collect();
        let held = parts[1].chars().all(char::is_lowercase);
        let (phase, deleted) = match parts[1].to_lowercase().as_str() {
            "s" => ("Succeeded", None),
            "f" => ("Failed", None),
            "t" => ("Running", Some("2026-01-01T00:00:00Z")),
            _ => ("Running", None),
        };
        let mut annotations = json!({});
        for (at, key) in [(2, "job-completion-index"), (3, "job-index-failure-count")] {
            if let Some(value) = parts.get(at) {
                annotations[format!("batch.kubernetes.io/{key}")] = (*value).into();
            }
        }
        let finalizers = held.then(|| vec!["batch.kubernetes.io/job-tracking"]);
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": parts[0], "uid": parts[0], "annotations": annotations, "finalizers": finalizers,
                    "deletionTimestamp": deleted, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"nodeName": "n", "containers": []}, "status": {"phase": phase}}))
            .unwrap(),
        )
    };
    text.split_whitespace().map(pod).collect()
}

/// Active, terminating, succeeded, failed; outcome; pods that are made (by index), taken back, ended; uids that are noted and released.
fn said(job: &Job, text: &str) -> String {
    let all = pods(text);
    let tally = Tally::of(job, &all, &|pod| super::pod::is_tracked(pod));
    let outcome = outcome::of(job, &tally, now());
    let work = work::next(job, &tally, &outcome, &Backoff::default(), now());
    let next = status::of(job, &tally, &outcome, now());
    let noted = next.uncounted_terminated_pods.clone().unwrap_or_default();
    let names = |pods: &[&Pod]| pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>().join(",");
    let made = work.make.iter().map(|place| place.index.map_or("x".to_owned(), |index| index.to_string()));
    let mut said = vec![format!(
        "{}a {}t {}s {}f",
        tally.active.len(),
        tally.terminating.len(),
        tally.succeeded(),
        tally.failed()
    )];
    let reason = match &outcome {
        Outcome::Going => None,
        Outcome::Succeeds { reason, .. } | Outcome::Fails { reason, .. } => Some(reason.clone()),
    };
    said.extend(reason);
    let written = Job { status: Some(next), ..job.clone() };
    let mut part = |name: &str, text: String| {
        if !text.is_empty() {
            said.push(format!("{name} {text}"));
        }
    };
    part("make", made.collect::<Vec<_>>().join(","));
    part("back", names(&work.take_back));
    part("end", names(&work.end));
    part(
        "note",
        noted.succeeded.into_iter().flatten().chain(noted.failed.into_iter().flatten()).collect::<Vec<_>>().join(","),
    );
    part("release", names(&tally.to_release(&written)));
    part("done", if status::is_finished(&written) { "yes" } else { "" }.to_owned());
    said.join("; ")
}

#[test]
fn pods_are_made_counted_once_and_the_job_completes() {
    let plain = |status: Value| job(json!({}), status);
    let noted = |succeeded: &[&str], failed: &[&str], counted: (i32, i32)| {
        plain(
            json!({"uncountedTerminatedPods": {"succeeded": succeeded, "failed": failed}, "succeeded": counted.0, "failed": counted.1}),
        )
    };
    for (job, there, expected) in [
        (plain(json!({})), "", "0a 0t 0s 0f; make x,x"),
        (plain(json!({})), "a:r b:r", "2a 0t 0s 0f"),
        (plain(json!({})), "a:s b:r", "1a 0t 1s 0f; make x; note a; release a"),
        // Noted and still held: it is released again, and counted by its note.
        (noted(&["a"], &[], (0, 0)), "a:s b:r c:r", "2a 0t 1s 0f; note a; release a"),
        // Released: the note becomes a number.
        (noted(&["a"], &[], (0, 0)), "a:S b:r c:r", "2a 0t 1s 0f"),
        (noted(&["a"], &[], (1, 0)), "b:r", "1a 0t 2s 0f"),
        (noted(&["c"], &[], (2, 0)), "", "0a 0t 3s 0f; CompletionsReached; done yes"),
        (noted(&["c"], &[], (2, 0)), "c:s", "0a 0t 3s 0f; CompletionsReached; note c; release c"),
        // Deleted pods have failed.
        (plain(json!({})), "a:t b:r", "1a 1t 0s 1f; make x; note a; release a"),
        (plain(json!({"failed": 6})), "a:f b:r", "1a 0t 0s 7f; BackoffLimitExceeded; end b; note a; release a"),
        (plain(json!({"failed": 7})), "b:t", "0a 1t 0s 8f; BackoffLimitExceeded; note b; release b"),
        (plain(json!({"failed": 7})), "", "0a 0t 0s 7f; BackoffLimitExceeded; done yes"),
    ] {
        assert_eq!(said(&job, there), expected, "{there}");
    }
}

#[test]
fn suspension_parallelism_and_deadlines_take_pods() {
    let started = json!({"startTime": "2026-01-01T00:00:00Z"});
    for (job, there, expected) in [
        (job(json!({"suspend": true}), json!({})), "a:r", "1a 0t 0s 0f; back a"),
        (job(json!({"parallelism": 1}), json!({})), "a:r b:r", "2a 0t 0s 0f; back a"),
        (job(json!({"completions": null}), json!({})), "a:s b:r", "1a 0t 1s 0f; note a; release a"),
        (job(json!({"completions": null}), json!({"succeeded": 1})), "", "0a 0t 1s 0f; CompletionsReached; done yes"),
        (job(json!({"activeDeadlineSeconds": 3600}), started.clone()), "a:r", "1a 0t 0s 0f; DeadlineExceeded; end a"),
        (job(json!({"activeDeadlineSeconds": 3601}), started), "a:r", "1a 0t 0s 0f; make x"),
        // Only what has really ended is replaced.
        (job(json!({"podReplacementPolicy": "Failed"}), json!({})), "a:t b:r", "1a 1t 0s 0f"),
    ] {
        assert_eq!(said(&job, there), expected, "{there}");
    }
}

#[test]
fn every_index_succeeds_once() {
    let indexed = |more: Value, status: Value| {
        let mut spec = json!({"completionMode": "Indexed"});
        more.as_object().unwrap().iter().for_each(|(key, part)| spec[key] = part.clone());
        job(spec, status)
    };
    let by_index = json!({"backoffLimitPerIndex": 1, "backoffLimit": 100});
    for (job, there, expected) in [
        (indexed(json!({}), json!({})), "", "0a 0t 0s 0f; make 0,1"),
        (indexed(json!({}), json!({})), "a:s:1 b:r:0", "1a 0t 1s 0f; make 2; release a"),
        (indexed(json!({}), json!({"completedIndexes": "1"})), "a:s:1 b:r:0 c:r:2", "2a 0t 1s 0f; release a"),
        (indexed(json!({}), json!({})), "a:r:0 b:r:0", "2a 0t 0s 0f; back a"),
        (indexed(json!({}), json!({"completedIndexes": "0-2"})), "", "0a 0t 3s 0f; CompletionsReached; done yes"),
        // The first failure of an index is remembered until it has a successor.
        (indexed(by_index.clone(), json!({})), "a:f:0:0", "0a 0t 0s 1f; make 0,1"),
        (indexed(by_index.clone(), json!({})), "a:f:0:0 b:r:0:1", "1a 0t 0s 1f; make 1; note a; release a"),
        (indexed(by_index.clone(), json!({})), "b:f:0:1", "0a 0t 0s 1f; make 1,2; note b; release b"),
        (
            indexed(by_index, json!({"failedIndexes": "0", "completedIndexes": "1,2", "failed": 2})),
            "",
            "0a 0t 2s 2f; FailedIndexes; done yes",
        ),
        (
            indexed(json!({"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}), json!({})),
            "a:s:0 b:r:1",
            "1a 0t 1s 0f; SuccessPolicy; end b; release a",
        ),
    ] {
        assert_eq!(said(&job, there), expected, "{there}");
    }
}
