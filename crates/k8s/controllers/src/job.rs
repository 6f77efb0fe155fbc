//! Jobs: pods that run until enough of them have succeeded, each counted exactly once.
//!
//! - `tally`: what has become of a job's pods, as its status and the pods themselves say
//! - `outcome`: whether it is done, and why; `work`: which pods come and go next
//! - `policy`: what failures mean and when a job has succeeded early
//! - `status`: what is told; `pod`: what its pods look like; `indexes`, `backoff`: numbers
//! - `orphans`, `ttl`: pods without a job are let go, jobs that are done expire
//!
//! How a pod is counted once, whatever dies when: it has a finalizer, so it cannot vanish before it was counted. First its uid is written into the job's status
//! (`uncountedTerminatedPods`), in a write that fails if the status has changed meanwhile. Then its finalizer is taken away. A uid whose pod has no finalizer any
//! more is counted, and leaves the list in the same write.

mod backoff;
mod indexes;
mod orphans;
mod outcome;
mod pod;
mod policy;
mod status;
mod tally;
mod ttl;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Queue, Severity, Subscription};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_types::selector::LabelSelector;
use kube::api::{Api, PostParams};

use crate::owned::{self, Owned, name, namespace, uid};
use crate::pods::{self, Hands};
use backoff::Backoff;
use tally::Tally;
use work::Work;

const COMPONENT: &str = "job-controller";
/// Who manages jobs that do not say so.
const MANAGER: &str = "kubernetes.io/job-controller";
const WORKERS: usize = 8;

struct Controller {
    hands: Hands,
    jobs: Informer<Job>,
    pods: Owned<Pod>,
    queue: Queue<Key>,
    orphans: Queue<Key>,
    memory: Arc<Memory>,
}

/// What the caches do not show yet, or never will.
#[derive(Default)]
struct Memory {
    /// Pods whose finalizer was taken away, by uid.
    released: Mutex<HashSet<String>>,
    /// The version of each job's last write.
    written: Mutex<HashMap<String, u64>>,
    backoff: Mutex<HashMap<String, Backoff>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(job: &Job) -> u64 {
    job.metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn selector(job: &Job) -> LabelSelector {
    job.spec.as_ref().and_then(|spec| spec.selector.as_ref()).map_or(LabelSelector::Nothing, owned::selector)
}

/// Runs until dropped.
pub async fn run(informers: Informers, pods: Owned<Pod>) {
    let controller = Controller {
        hands: Hands::new(informers.client().clone(), COMPONENT),
        jobs: informers.get(),
        pods,
        queue: Queue::default(),
        orphans: Queue::default(),
        memory: Arc::default(),
    };
    let _jobs = controller.watch_jobs();
    let expectations = &controller.hands.expectations;
    let _pods = owned::watch(&controller.pods, &controller.jobs, selector, &controller.queue, expectations);
    controller.jobs.synced().await;
    // Only now can be told which pods have no job.
    let _released = controller.watch_released();
    controller.pods.all.synced().await;
    tokio::join!(
        controller.queue.clone().work(COMPONENT, WORKERS, |key| controller.sync(key)),
        controller.orphans.clone().work("job-orphans", WORKERS, |key| controller.let_go(key)),
    );
}

impl Controller {
    fn watch_jobs(&self) -> Subscription {
        let (queue, orphans, memory) = (self.queue.clone(), self.orphans.clone(), self.memory.clone());
        let (pods, expectations) = (self.pods.clone(), self.hands.expectations.clone());
        self.jobs.on(move |change| {
            if change.new.is_none() {
                let job = uid(&change.object().metadata);
                expectations.forget(job);
                lock(&memory.written).remove(job);
                lock(&memory.backoff).remove(job);
                pods.of(job).iter().for_each(|pod| orphans.add(k8s_client::informer::key(&pod.metadata)));
            }
            queue.add(change.key());
        })
    }

    fn watch_released(&self) -> Subscription {
        let (memory, orphans, jobs) = (self.memory.clone(), self.orphans.clone(), self.jobs.clone());
        self.pods.all.on(move |change| {
            let pod = change.object();
            if change.new.is_none() || !pod::is_tracked(pod) {
                lock(&memory.released).remove(uid(&pod.metadata));
            } else if orphans::is_orphan(&jobs, pod) {
                orphans.add(change.key());
            }
        })
    }

    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(job) = self.jobs.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = job.spec.clone() else { return Ok(()) };
        if spec.managed_by.as_deref().is_some_and(|manager| manager != MANAGER) {
            return Ok(());
        }
        // The cache is behind what was written last; its news comes.
        if lock(&self.memory.written).get(uid(&job.metadata)).is_some_and(|written| version(&job) < *written) {
            return Ok(());
        }
        let now = Timestamp::now();
        if status::is_finished(&job) {
            // All are counted; what still has a finalizer was being let go when somebody died.
            let pods = self.pods.of(uid(&job.metadata));
            let released = lock(&self.memory.released).clone();
            let left: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
            let left = left.into_iter().filter(|pod| !released.contains(uid(&pod.metadata)));
            self.release(&left.collect::<Vec<_>>()).await?;
            return self.expire(&job, key, now).await;
        }
        let settled = self.hands.expectations.fulfilled(uid(&job.metadata));
        let all = owned::claim(&self.hands.client, &*job, &selector(&job), &self.pods, |_| true).await?;
        let released = lock(&self.memory.released).clone();
        let tally = Tally::of(&job, &all, &|pod| pod::is_tracked(pod) && !released.contains(uid(&pod.metadata)));
        let outcome = outcome::of(&job, &tally, now);
        let mut backoff = lock(&self.memory.backoff).get(uid(&job.metadata)).cloned().unwrap_or_default();
        backoff.learn(&tally);
        let work = work::next(&job, &tally, &outcome, &backoff, now);
        let done = match settled && job.metadata.deletion_timestamp.is_none() {
            true => self.act(&job, &work).await,
            false => Ok(()),
        };
        let next = status::of(&job, &tally, &outcome, now);
        let job = self.tell(&job, next).await?;
        lock(&self.memory.backoff).insert(uid(&job.metadata).to_owned(), backoff);
        self.release(&tally.to_release(&job)).await?;
        let deadline = outcome::deadline_in(&job, now);
        if let Some(wait) = [work.again, deadline].into_iter().flatten().min() {
            self.queue.add_after(key, wait + Duration::from_millis(1));
        }
        done
    }

    async fn act(&self, job: &Job, work: &Work<'_>) -> kube::Result<()> {
        // What is taken back because it is too much counts for nothing.
        self.release(&work.take_back).await?;
        self.hands.delete(job, work.take_back.iter().chain(&work.end).copied()).await?;
        let made = work.make.iter().filter_map(|place| pod::compose(job, place));
        self.hands.create(job, made.collect()).await
    }

    /// Takes the finalizers of pods away.
    async fn release(&self, tracked: &[&Pod]) -> kube::Result<()> {
        let done = join_all(tracked.iter().map(|pod| self.release_one(pod))).await;
        done.into_iter().collect()
    }

    async fn release_one(&self, pod: &Pod) -> kube::Result<()> {
        if !pod::is_tracked(pod) {
            return Ok(());
        }
        lock(&self.memory.released).insert(uid(&pod.metadata).to_owned());
        let released = pod::release(&self.hands.client, pod).await;
        if released.is_err() {
            lock(&self.memory.released).remove(uid(&pod.metadata));
        }
        released
    }

    async fn tell(&self, job: &Arc<Job>, next: JobStatus) -> kube::Result<Arc<Job>> {
        if job.status.as_ref() == Some(&next) {
            return Ok(job.clone());
        }
        let api = Api::<Job>::namespaced(self.hands.client.clone(), namespace(&job.metadata));
        let told = Job { status: Some(next), ..Job::clone(job) };
        let Some(written) =
            owned::absent(api.replace_status(name(&job.metadata), &PostParams::default(), &told).await)?
        else {
            return Ok(job.clone());
        };
        lock(&self.memory.written).insert(uid(&job.metadata).to_owned(), version(&written));
        self.tell_changes(job, &written);
        Ok(Arc::new(written))
    }

    fn tell_changes(&self, old: &Job, new: &Job) {
        for (severity, reason, message) in status::news(old, new) {
            let severity = if severity { Severity::Normal } else { Severity::Warning };
            self.hands.recorder.tell(new, severity, &reason, message);
        }
    }

    async fn expire(&self, job: &Job, key: Key, now: Timestamp) -> kube::Result<()> {
        match ttl::left(job, now) {
            None => Ok(()),
            Some(Duration::ZERO) => ttl::delete(&self.hands.client, job, now).await,
            Some(left) => {
                self.queue.add_after(key, left);
                Ok(())
            }
        }
    }
}

/// Pods that are active, in the order in which they go when they are too many.
fn expendable(a: &Pod) -> (bool, bool, std::cmp::Reverse<Option<Timestamp>>) {
    let assigned = a.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    (assigned, pods::is_ready(a), std::cmp::Reverse(a.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}
