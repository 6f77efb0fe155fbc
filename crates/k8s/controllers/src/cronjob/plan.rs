//! What a cron job does now.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::schedule::Schedule;
use crate::owned::name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    Nothing,
    /// The job of this time; `replace`: those that still run are ended first.
    At {
        time: Timestamp,
        replace: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub run: Run,
    /// When to look again.
    pub next: Option<Timestamp>,
    /// What is to be told, with its reason.
    pub warnings: Vec<(&'static str, String)>,
}

/// `active`: how many jobs still run.
pub fn of(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, active: usize, now: Timestamp) -> Plan {
    let mut plan = Plan { run: Run::Nothing, next: schedule.next(now, zone), warnings: Vec::new() };
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let since = last.or(cron.metadata.creation_timestamp.as_ref()).map_or(now, |time| time.0);
    let deadline = cron.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    let earliest = deadline.and_then(|deadline| now.checked_sub(deadline).ok()).map_or(since, |from| since.max(from));
    let Some((time, missed)) = schedule.last(earliest, now, zone) else {
        // All that was due is past its deadline.
        if let Some((late, _)) = schedule.last(since, now, zone) {
            plan.warnings.push(("MissSchedule", format!("Missed scheduled time to start a job: {late}")));
        }
        return plan;
    };
    if missed > 100 {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.warnings.push(("TooManyMissedTimes", message.to_owned()));
    }
    plan.run = match cron.spec.concurrency_policy.as_deref() {
        Some("Forbid") if active > 0 => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.warnings.push(("JobAlreadyActive", message.to_owned()));
            Run::Nothing
        }
        policy => Run::At { time, replace: policy == Some("Replace") && active > 0 },
    };
    plan
}

/// `Complete` or `Failed`, once it is.
pub fn condition(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let mut ends = conditions.filter(|one| one.status == "True" && matches!(one.type_.as_str(), "Complete" | "Failed"));
    ends.next().map(|condition| condition.type_.as_str())
}

pub fn is_finished(job: &Job) -> bool {
    condition(job).is_some()
}

/// Finished jobs that are not kept, of each sort the oldest.
pub fn beyond_history<'a>(cron: &CronJob, jobs: &'a [Arc<Job>]) -> Vec<&'a Job> {
    let kept = [
        ("Complete", cron.spec.successful_jobs_history_limit.unwrap_or(3)),
        ("Failed", cron.spec.failed_jobs_history_limit.unwrap_or(1)),
    ];
    let beyond = kept.into_iter().flat_map(|(sort, limit)| {
        let going = |job: &Job| job.metadata.deletion_timestamp.is_some();
        let mut done: Vec<&Job> = jobs.iter().map(Arc::as_ref).filter(|job| condition(job) == Some(sort)).collect();
        done.retain(|job| !going(job));
        let started = |job: &Job| job.status.as_ref().and_then(|status| status.start_time.clone());
        done.sort_by_key(|job| (started(job), name(&job.metadata).to_owned()));
        let many = done.len().saturating_sub(limit.max(0) as usize);
        done.truncate(many);
        done
    });
    beyond.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn jobs_start_when_they_are_due_and_may() {
        let now: Timestamp = "2026-01-01T01:00:30Z".parse().unwrap();
        let said = |spec: Value, last: Option<&str>, active: usize| {
            let mut all = json!({"schedule": "0 * * * *", "jobTemplate": {}});
            spec.as_object().unwrap().iter().for_each(|(key, part)| all[key] = part.clone());
            let meta = json!({"creationTimestamp": "2025-12-31T22:30:00Z"});
            let cron = json!({"metadata": meta, "spec": all, "status": {"lastScheduleTime": last}});
            let cron: CronJob = serde_json::from_value(cron).unwrap();
            let schedule = Schedule::parse(&cron.spec.schedule).unwrap();
            let plan = of(&cron, &schedule, &TimeZone::UTC, active, now);
            let run = match plan.run {
                Run::Nothing => "-".to_owned(),
                Run::At { time, replace } => format!("{time}{}", if replace { " instead" } else { "" }),
            };
            assert_eq!(
                plan.next,
                Some("2026-01-01T02:00:00Z".parse().unwrap()).filter(|_| spec.get("schedule").is_none()).or(plan.next)
            );
            plan.warnings.into_iter().fold(run, |run, (reason, _)| format!("{run} {reason}"))
        };
        let one = "2026-01-01T01:00:00Z";
        assert_eq!(said(json!({}), None, 0), one);
        assert_eq!(said(json!({}), Some(one), 0), "-");
        assert_eq!(said(json!({}), Some("2026-01-01T00:00:00Z"), 3), one);
        assert_eq!(said(json!({"concurrencyPolicy": "Forbid"}), None, 1), "- JobAlreadyActive");
        assert_eq!(said(json!({"concurrencyPolicy": "Forbid"}), None, 0), one);
        assert_eq!(said(json!({"concurrencyPolicy": "Replace"}), None, 1), format!("{one} instead"));
        assert_eq!(said(json!({"startingDeadlineSeconds": 10}), None, 0), "- MissSchedule");
        assert_eq!(said(json!({"startingDeadlineSeconds": 40}), None, 0), one);
        let minutes = json!({"schedule": "* * * * *"});
        assert_eq!(said(minutes, None, 0), format!("{one} TooManyMissedTimes"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let cron: CronJob = serde_json::from_value(json!({"metadata": {},
            "spec": {"schedule": "", "jobTemplate": {}, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0}}))
        .unwrap();
        let job = |name: &str, sort: Option<&str>, start: u32| -> Arc<Job> {
            let conditions = sort.map(|sort| json!([{"type": sort, "status": "True"}]));
            let status = json!({"startTime": format!("2026-01-01T00:00:0{start}Z"), "conditions": conditions});
            Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).unwrap())
        };
        let jobs = [
            job("b", Some("Complete"), 2),
            job("a", Some("Complete"), 1),
            job("c", None, 0),
            job("d", Some("Failed"), 3),
        ];
        let names: Vec<_> = beyond_history(&cron, &jobs).into_iter().map(|job| name(&job.metadata)).collect();
        assert_eq!(names, ["a", "d"]);
    }
}
