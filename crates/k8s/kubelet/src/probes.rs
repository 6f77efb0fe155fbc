//! Probes of running containers: each is a task that waits for its moment, asks, counts, and wakes the pod when the answer turned.

mod ask;
mod grpc;
pub mod http;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_client::{Recorder, Severity};
use k8s_openapi::api::core::v1::{ObjectReference, Probe};
use pods::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::observed::{Health, Healths};
use crate::view::Part;

pub use ask::{Target, ask, port};

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }

    fn of(self, part: &Part) -> Option<&Probe> {
        match self {
            Kind::Startup => part.container.startup_probe.as_ref(),
            Kind::Readiness => part.container.readiness_probe.as_ref(),
            Kind::Liveness => part.container.liveness_probe.as_ref(),
        }
    }
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Well,
    Ill(String),
}

/// The probes of one pod's containers; they end with it.
pub struct Probes {
    runtime: Runtime,
    recorder: Recorder,
    healths: Arc<Mutex<Healths>>,
    changed: Arc<Notify>,
    running: BTreeMap<String, Vec<AbortHandle>>,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.keep(|_| false);
    }
}

fn lock(healths: &Mutex<Healths>) -> MutexGuard<'_, Healths> {
    healths.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running container whose probes are to be asked.
pub struct Subject<'a> {
    pub part: &'a Part,
    pub id: &'a str,
    pub address: Option<IpAddr>,
    pub about: ObjectReference,
    /// Whether it took requests when another process watched it: until a probe says otherwise it does.
    pub was: Health,
}

impl Probes {
    /// `changed` is told whenever an answer turned.
    pub fn new(runtime: Runtime, recorder: Recorder, changed: Arc<Notify>) -> Probes {
        Probes { runtime, recorder, healths: Arc::default(), changed, running: BTreeMap::new() }
    }

    /// What they say.
    pub fn healths(&self) -> Healths {
        lock(&self.healths).clone()
    }

    /// Begins to ask, unless that was begun.
    pub fn watch(&mut self, subject: Subject<'_>) {
        if self.running.contains_key(subject.id) {
            return;
        }
        lock(&self.healths).insert(subject.id.to_owned(), subject.was);
        let started = Arc::new(watch::Sender::new(subject.was.startup == Some(true)));
        let kinds = [Kind::Startup, Kind::Readiness, Kind::Liveness];
        let tasks = kinds.into_iter().filter_map(|kind| {
            if kind == Kind::Startup && subject.was.startup == Some(true) {
                return None;
            }
            let probe = kind.of(subject.part)?.clone();
            let task = Task {
                kind,
                probe,
                started: started.clone(),
                has_startup: subject.part.container.startup_probe.is_some(),
                target: Target {
                    runtime: self.runtime.clone(),
                    container: subject.id.to_owned(),
                    address: subject.address,
                    ports: subject.part.container.ports.clone().unwrap_or_default(),
                },
                about: subject.about.clone(),
                recorder: self.recorder.clone(),
                healths: self.healths.clone(),
                changed: self.changed.clone(),
            };
            Some(tokio::spawn(task.run()).abort_handle())
        });
        self.running.insert(subject.id.to_owned(), tasks.collect());
    }

    /// Ends those of containers that are not to be asked any more.
    pub fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.running.retain(|id, tasks| {
            let kept = keep(id);
            if !kept {
                tasks.iter().for_each(AbortHandle::abort);
                lock(&self.healths).remove(id);
            }
            kept
        });
    }
}

struct Task {
    kind: Kind,
    probe: Probe,
    started: Arc<watch::Sender<bool>>,
    has_startup: bool,
    target: Target,
    about: ObjectReference,
    recorder: Recorder,
    healths: Arc<Mutex<Healths>>,
    changed: Arc<Notify>,
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| value.try_into().ok()).filter(|value| *value > 0).unwrap_or(default))
}

impl Task {
    async fn run(self) {
        let delay = self.probe.initial_delay_seconds.and_then(|delay| delay.try_into().ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(delay)).await;
        let mut timer = tokio::time::interval(seconds(self.probe.period_seconds, 10));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut in_row, mut last) = (0u32, None::<bool>);
        loop {
            timer.tick().await;
            if self.kind != Kind::Startup && self.has_startup && !*self.started.borrow() {
                // The others wait until it has started, and then ask at once.
                let _ = self.started.subscribe().wait_for(|started| *started).await;
                timer.reset_immediately();
                continue;
            }
            let timeout = seconds(self.probe.timeout_seconds, 1);
            let answer = ask(&self.target, &self.probe, timeout).await;
            let well = answer == Answer::Well;
            in_row = if last == Some(well) { in_row + 1 } else { 1 };
            last = Some(well);
            if let Answer::Ill(said) = answer {
                let message = format!("{} probe failed: {said}", self.kind.name());
                self.recorder.tell_of(self.about.clone(), Severity::Warning, "Unhealthy", message);
            }
            let threshold = if well { self.probe.success_threshold } else { self.probe.failure_threshold };
            let threshold = threshold.and_then(|value| value.try_into().ok()).unwrap_or(if well { 1 } else { 3 });
            if in_row < threshold {
                continue;
            }
            self.turned(well);
            // A container that started has started; one that is to be ended needs no more questions.
            if self.kind == Kind::Startup || (self.kind == Kind::Liveness && !well) {
                return;
            }
        }
    }

    fn turned(&self, well: bool) {
        let mut healths = lock(&self.healths);
        let Some(health) = healths.get_mut(&self.target.container) else { return };
        let place = match self.kind {
            Kind::Startup => &mut health.startup,
            Kind::Readiness => &mut health.readiness,
            Kind::Liveness => &mut health.liveness,
        };
        if place.replace(well) != Some(well) {
            drop(healths);
            if self.kind == Kind::Startup && well {
                self.started.send_replace(true);
            }
            self.changed.notify_one();
        }
    }
}
