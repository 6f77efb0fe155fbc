//! One pod's worker: it looks, plans, lets things be done, and tells how it is; woken when there is something new.

mod done;
mod resize;
mod round;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, ResourceRequirements};
use tokio::sync::{Notify, mpsc, watch};

use crate::backoff::Backoff;
use crate::context::Context;
use crate::plan::Failure;
use crate::probes::Probes;
use crate::reporter::Reporter;
use crate::sandbox::NoSandbox;
use crate::start::NotStarted;
use crate::status::Verdict;
use crate::view::View;
use crate::volumes::MountedVolumes;

/// What reaches a worker from outside; a cheap handle.
#[derive(Clone)]
pub struct Slot {
    inner: Arc<Mutex<News>>,
    pub wake: Arc<Notify>,
}

#[derive(Default)]
struct News {
    pod: Option<Arc<Pod>>,
    gone: bool,
    evict: Option<(Verdict, Duration)>,
}

impl Slot {
    pub fn new() -> Slot {
        Slot { inner: Arc::default(), wake: Arc::new(Notify::new()) }
    }

    fn news<T>(&self, what: impl FnOnce(&mut News) -> T) -> T {
        what(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The API has it so now.
    pub fn changed(&self, pod: Arc<Pod>) {
        self.news(|news| news.pod = Some(pod));
        self.wake.notify_one();
    }

    /// The API has it no more.
    pub fn gone(&self) {
        self.news(|news| news.gone = true);
        self.wake.notify_one();
    }

    /// The node has to get rid of it.
    pub fn evict(&self, verdict: Verdict, grace: Duration) {
        self.news(|news| news.evict = Some((verdict, grace)));
        self.wake.notify_one();
    }
}

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not looked at yet: is it let in?
    New,
    Active,
    /// Everything of it is being ended.
    Ending,
    /// Nothing of it runs; it is kept until it is deleted.
    Over,
}

/// What something that was let be done came to.
enum Done {
    Sandbox(Result<Arc<MountedVolumes>, NoSandbox>),
    Started { name: String, result: Result<(), NotStarted> },
    Killed { name: String },
    Resized { name: String, id: String, result: Result<Option<ResourceRequirements>, String> },
    Ended,
}

/// What to do next.
enum Next {
    Wait(Option<Timestamp>),
    /// The pod is gone, and all that was its.
    Finish,
}

pub struct Worker {
    context: Arc<Context>,
    slot: Slot,
    node: k8s_client::Informer<Node>,
    view: View,
    life: Life,
    gone: bool,
    verdict: Option<Verdict>,
    volumes: Option<Arc<MountedVolumes>>,
    /// Names of containers that something is being done about; the sandbox is the empty name.
    busy: BTreeSet<String>,
    backoff: Backoff,
    failures: BTreeMap<String, Failure>,
    messages: BTreeMap<String, String>,
    waiting: BTreeMap<String, (String, String)>,
    probes: Probes,
    resizing: resize::Resizing,
    reporter: Reporter,
    since: Timestamp,
    ending: watch::Sender<bool>,
    grace: watch::Sender<Duration>,
    done: mpsc::UnboundedSender<Done>,
    inbox: mpsc::UnboundedReceiver<Done>,
}

/// A pause after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

impl Worker {
    pub fn new(context: Arc<Context>, slot: Slot, node: k8s_client::Informer<Node>, pod: Arc<Pod>) -> Worker {
        let view = View::new(pod);
        let (done, inbox) = mpsc::unbounded_channel();
        Worker {
            probes: Probes::new(context.runtime.clone(), context.recorder.clone(), slot.wake.clone()),
            reporter: Reporter::new(&context.client, &view.pod),
            life: Life::New,
            gone: false,
            verdict: None,
            volumes: None,
            busy: BTreeSet::new(),
            backoff: Backoff::default(),
            resizing: resize::Resizing::default(),
            failures: BTreeMap::new(),
            messages: BTreeMap::new(),
            waiting: BTreeMap::new(),
            since: view.started().unwrap_or_else(Timestamp::now),
            ending: watch::Sender::new(false),
            grace: watch::Sender::new(view.grace()),
            done,
            inbox,
            context,
            slot,
            node,
            view,
        }
    }

    /// Works until the pod and everything of it is gone.
    pub async fn run(mut self) {
        loop {
            let wake = match self.round().await {
                Next::Finish => return,
                Next::Wait(wake) => wake,
            };
            let pause =
                wake.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO));
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            let wake = self.slot.wake.clone();
            tokio::select! {
                () = wake.notified() => {}
                Some(done) = self.inbox.recv() => self.done(done),
                () = timer => {}
            }
            while let Ok(done) = self.inbox.try_recv() {
                self.done(done);
            }
        }
    }

    fn take_news(&mut self) {
        let (pod, gone, evict) = self.slot.news(|news| (news.pod.take(), news.gone, news.evict.take()));
        self.gone = gone;
        if let Some(pod) = pod {
            self.reporter.seen(&pod);
            let before = std::mem::replace(&mut self.view, View::new(pod));
            let told = |view: &View| (view.pod.metadata.labels.clone(), view.pod.metadata.annotations.clone());
            if self.volumes.is_some() && told(&before) != told(&self.view) {
                let (volumes, pod) = (self.context.volumes.clone(), self.view.pod.clone());
                tokio::spawn(async move { volumes.update(&pod).await });
            }
        }
        if let Some((verdict, grace)) = evict.filter(|_| matches!(self.life, Life::New | Life::Active)) {
            self.verdict = Some(verdict);
            self.end(grace);
        }
    }

    /// Begins to end everything of the pod.
    fn end(&mut self, grace: Duration) {
        self.life = Life::Ending;
        self.ending.send_replace(true);
        self.grace.send_replace(grace);
        self.waiting.clear();
        if self.busy.is_empty() {
            self.end_now();
        }
    }

    /// What was begun has stopped: the end itself.
    fn end_now(&mut self) {
        let (context, view, grace, done) =
            (self.context.clone(), self.view.clone(), self.grace.subscribe(), self.done.clone());
        self.busy.insert(String::new());
        tokio::spawn(async move {
            crate::end::pod(context, view, grace).await;
            let _ = done.send(Done::Ended);
        });
    }

    /// A deletion may shorten the grace, never lengthen it.
    fn shorten(&mut self) {
        let wanted = if self.gone { Duration::from_secs(1) } else { self.view.grace() };
        if (self.gone || self.view.deleted()) && wanted < *self.grace.borrow() {
            self.grace.send_replace(wanted);
        }
    }
}
