//! One look at a pod, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_client::Severity::Warning;
use pods::runtime::{Container, State};

use super::{AGAIN, Done, Life, Next, Worker};
use crate::lookup::Seen;
use crate::observed::{Health, MESSAGE_POLICY, Observed};
use crate::plan::{self, End, Input, Plan, Step, Why};
use crate::probes::Subject;
use crate::start::{Start, message_file, target};
use crate::status::{self, Facts, Verdict};
use crate::view::{Part, Role};
use crate::{garbage, last_words, security};

impl Worker {
    pub(super) async fn round(&mut self) -> Next {
        self.take_news();
        let observed = match Observed::look(&self.context.runtime, &self.view.uid).await {
            Ok(observed) => observed,
            Err(error) => {
                tracing::warn!(pod = ?self.view.name(), %error, "the runtime does not tell how a pod is");
                return Next::Wait(Timestamp::now().checked_add(AGAIN).ok());
            }
        };
        self.learn(&observed);
        if self.life == Life::New {
            self.admit(&observed);
        }
        let mut wake = None;
        match self.life {
            Life::New => {}
            Life::Active => {
                wake = self.go_on(&observed);
                if self.life == Life::Active {
                    wake = self.resize(&observed).into_iter().chain(wake).min();
                }
            }
            Life::Ending => self.shorten(),
            Life::Over if self.gone || self.view.deleted() => {
                if self.finalize(&observed).await {
                    return Next::Finish;
                }
                wake = Timestamp::now().checked_add(AGAIN).ok();
            }
            Life::Over => {}
        }
        self.report(&observed);
        Next::Wait(wake)
    }

    /// Is it let in? What ran here before is.
    fn admit(&mut self, observed: &Observed) {
        if self.gone || self.view.deleted() || self.view.finished() {
            self.end(if self.gone { AGAIN } else { self.view.grace() });
            return;
        }
        self.life = Life::Active;
        if !observed.sandboxes.is_empty() {
            self.context.admission.hold(&self.view);
            self.resume(observed);
            return;
        }
        let node = self.node.list().into_iter().next();
        let allowed = security::allowed(&self.context.config, &self.view.pod).map_err(|refusal| Verdict {
            reason: refusal.reason.to_owned(),
            message: refusal.message,
            disruption: false,
        });
        let admitted = allowed.and_then(|()| self.context.admission.admit(&self.view, node.as_deref()));
        if let Err(verdict) = admitted {
            self.context.event(&self.view, Warning, &verdict.reason, verdict.message.clone());
            self.reporter.tell(status::refused(&self.view, &verdict, Timestamp::now()));
            self.verdict = Some(verdict);
            self.life = Life::Over;
        }
    }

    /// Pauses that another process began go on.
    fn resume(&mut self, observed: &Observed) {
        for part in self.view.init.iter().chain(&self.view.app) {
            let (Some(newest), Some(before)) = (observed.newest(part.name()), observed.before(part.name())) else {
                continue;
            };
            let again = match &newest.state {
                State::Running { started } => Some(*started),
                State::Exited { started, .. } => *started,
                State::Created => None,
            };
            if let (Some(again), State::Exited { finished, .. }) = (again, &before.state) {
                self.backoff.resume(&plan::key(part), *finished, again);
            }
        }
    }

    /// Last words, probes, and what is surplus.
    fn learn(&mut self, observed: &Observed) {
        let folder = self.context.config.pod_folder(&self.view.uid);
        for container in &observed.containers {
            let State::Exited { code, .. } = &container.state else { continue };
            self.messages.entry(container.id.clone()).or_insert_with(|| {
                let file = message_file(&folder, &container.name, container.attempt);
                let policy = container.annotations.get(MESSAGE_POLICY).map_or("", String::as_str);
                last_words::read(&file, &container.log_path, policy, *code != 0)
            });
        }
        self.messages.retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
        let running: BTreeSet<&str> = observed.running().map(|container| container.id.as_str()).collect();
        self.probes.keep(|id| running.contains(id));
        let surplus = garbage::surplus(observed, &self.busy);
        if !surplus.is_empty() {
            let runtime = self.context.runtime.clone();
            tokio::spawn(async move { garbage::remove(&runtime, surplus).await });
        }
        if self.life == Life::Active {
            self.probe(observed);
        }
    }

    fn probe(&mut self, observed: &Observed) {
        let Some(sandbox) = observed.sandbox() else { return };
        let host = self.context.host();
        let address = if self.view.host_network() { host.first() } else { sandbox.addresses.first() }.copied();
        for part in self.view.init.iter().chain(&self.view.app).filter(|part| part.role != Role::Init) {
            // A container whose hook runs is not asked yet.
            let current = observed.current(part.name()).filter(|_| !self.busy.contains(part.name()));
            let Some(container) = current.filter(|one| matches!(one.state, State::Running { .. })) else { continue };
            let was = self.before(part, container);
            let about = self.view.reference(part);
            self.probes.watch(Subject { part, id: &container.id, address, about, was });
        }
    }

    /// What the API says of a container that another process watched before.
    fn before(&self, part: &Part, container: &Container) -> Health {
        let status = self.view.pod.status.as_ref();
        let all = status
            .into_iter()
            .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten());
        let id = status::id(&container.id);
        let known = all.into_iter().find(|one| one.container_id.as_deref() == Some(id.as_str()));
        let yes = |said: bool, asked: bool| (said && asked).then_some(true);
        Health {
            startup: yes(known.is_some_and(|one| one.started == Some(true)), part.container.startup_probe.is_some()),
            readiness: yes(known.is_some_and(|one| one.ready), part.container.readiness_probe.is_some()),
            liveness: None,
        }
    }

    /// An active pod: what is to be done is let be done. Returns when to look again.
    fn go_on(&mut self, observed: &Observed) -> Option<Timestamp> {
        if self.gone || self.view.deleted() || self.view.finished() {
            let grace = if self.gone && !self.view.deleted() { AGAIN } else { self.view.grace() };
            self.end(grace);
            return None;
        }
        let healths = self.probes.healths();
        let now = Timestamp::now();
        let plan = plan::plan(&Input {
            view: &self.view,
            observed,
            healths: &healths,
            busy: &self.busy,
            backoff: &self.backoff,
            failures: &self.failures,
            since: self.since,
            now,
        });
        let Plan { steps, end, waiting, wake } = plan;
        self.waiting = waiting;
        match end {
            Some(End::Done) => self.end(self.view.grace()),
            Some(End::Deadline) => {
                let message = "Pod was active on the node longer than the specified deadline".to_owned();
                self.context.event(&self.view, k8s_client::Severity::Normal, "DeadlineExceeded", message.clone());
                self.verdict = Some(Verdict { reason: "DeadlineExceeded".into(), message, disruption: false });
                self.end(self.view.grace());
            }
            None => {
                for step in steps {
                    self.carry_out(step, observed, now);
                }
                if self.volumes.is_none() && !self.busy.contains("") {
                    self.make_sandbox(None, Vec::new());
                }
            }
        }
        wake
    }

    fn carry_out(&mut self, step: Step, observed: &Observed, now: Timestamp) {
        match step {
            Step::Sandbox { attempt } => {
                let dead = observed.sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect();
                self.make_sandbox(Some(attempt), dead);
            }
            Step::Start { name, attempt, again } => self.start(&name, attempt, again, observed, now),
            Step::Kill { name, id, why } => self.kill(name, &id, why, observed),
        }
    }

    fn make_sandbox(&mut self, attempt: Option<u32>, dead: Vec<String>) {
        self.busy.insert(String::new());
        let (context, view, done) = (self.context.clone(), self.view.clone(), self.done.clone());
        let (volumes, ending) = (self.volumes.clone(), self.ending.subscribe());
        tokio::spawn(async move {
            let made = crate::sandbox::make(context, view, attempt, dead, volumes, ending).await;
            let _ = done.send(Done::Sandbox(made));
        });
    }

    fn start(&mut self, name: &str, attempt: u32, again: Option<Timestamp>, observed: &Observed, now: Timestamp) {
        let (Some(part), Some(sandbox), Some(volumes)) =
            (self.view.part(name).cloned(), observed.sandbox().cloned(), self.volumes.clone())
        else {
            return;
        };
        if let Some(finished) = again {
            self.backoff.raise(&plan::key(&part), finished, now);
        }
        self.busy.insert(name.to_owned());
        let start = Start {
            context: self.context.clone(),
            view: self.view.clone(),
            attempt,
            sandbox,
            volumes,
            target: target(&part, observed),
            ending: self.ending.subscribe(),
            part,
        };
        let (done, name) = (self.done.clone(), name.to_owned());
        tokio::spawn(async move {
            let result = start.run().await;
            let _ = done.send(Done::Started { name, result });
        });
    }

    pub(super) fn kill(&mut self, name: String, id: &str, why: Why, observed: &Observed) {
        let Some(container) = observed.containers.iter().find(|container| container.id == id).cloned() else { return };
        let message = match why {
            Why::Changed => format!("Container {name} definition changed, will be restarted"),
            Why::Resized => format!("Container {name} resize requires restart"),
            Why::Unhealthy => format!("Container {name} failed liveness probe, will be restarted"),
            Why::NeverStarted => format!("Container {name} failed startup probe, will be restarted"),
            Why::Stray => format!("Stopping container {name}"),
        };
        let probe = self.view.part(&name).and_then(|part| match why {
            Why::Unhealthy => part.container.liveness_probe.as_ref(),
            Why::NeverStarted => part.container.startup_probe.as_ref(),
            _ => None,
        });
        let own = probe.and_then(|probe| probe.termination_grace_period_seconds).and_then(|own| own.try_into().ok());
        let grace = own.map_or(self.view.grace(), std::time::Duration::from_secs);
        self.busy.insert(name.clone());
        let (context, view, done) = (self.context.clone(), self.view.clone(), self.done.clone());
        let (whole, mut ending) = (self.grace.subscribe(), self.ending.subscribe());
        tokio::spawn(async move {
            // When the pod is to end, its own grace counts.
            let grace = tokio::sync::watch::Sender::new(grace);
            let follow = async {
                crate::start::ends(&mut ending).await;
                let mut whole = whole;
                loop {
                    let shorter = *whole.borrow_and_update();
                    grace.send_if_modified(|grace| std::mem::replace(grace, shorter.min(*grace)) > shorter);
                    if whole.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                () = crate::end::container(&context, &view, &container, message, grace.subscribe()) => {}
                () = follow => {}
            }
            let _ = done.send(Done::Killed { name });
        });
    }

    /// Tells the API and those who look pods up how it is.
    fn report(&mut self, observed: &Observed) {
        let refused = self.life == Life::Over && observed.containers.is_empty() && self.view.finished();
        let told = if self.life == Life::New
            || refused
            || (self.verdict.is_some() && observed.sandboxes.is_empty() && self.life == Life::Over)
        {
            self.view.pod.clone()
        } else {
            let status = self.status(observed);
            let mut pod = (*self.view.pod).clone();
            pod.status = Some(status.clone());
            self.reporter.tell(status);
            Arc::new(pod)
        };
        let seen = Seen { pod: told, sandboxes: observed.sandboxes.clone(), containers: observed.containers.clone() };
        self.context.lookup.put(&self.view.uid, seen);
    }

    fn status(&self, observed: &Observed) -> k8s_openapi::api::core::v1::PodStatus {
        let hooked = self.view.parts().filter(|part| {
            self.busy.contains(part.name())
                && part.container.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some())
        });
        status::status(&Facts {
            view: &self.view,
            observed,
            healths: &self.probes.healths(),
            waiting: &self.waiting,
            messages: &self.messages,
            hooked: &hooked.map(|part| part.name().to_owned()).collect(),
            host: &self.context.host(),
            sizes: &self.resizing.sizes,
            verdict: self.verdict.as_ref(),
            over: self.life == Life::Over,
            since: self.since,
            now: Timestamp::now(),
        })
    }

    /// Nothing runs any more and the pod is deleted: what is left of it goes, here and then in the API. Returns whether all is gone.
    async fn finalize(&mut self, observed: &Observed) -> bool {
        let name = self.view.name();
        if !self.gone {
            self.report(observed);
            let wake = self.slot.wake.clone();
            tokio::select! {
                () = self.reporter.arrived() => {}
                // Whatever is new is looked at first: it may be gone.
                () = wake.notified() => {
                    wake.notify_one();
                    return false;
                }
            }
        }
        crate::end::remove(&self.context, &name).await;
        if !self.gone && !self.delete().await {
            return false;
        }
        self.context.admission.release(&name.uid);
        self.context.lookup.forget(&name.uid);
        true
    }

    /// The last word to the API, which keeps the pod only for this.
    async fn delete(&self) -> bool {
        use kube::api::{Api, DeleteParams, Preconditions};
        let name = self.view.name();
        let api = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(self.context.client.clone(), &name.namespace);
        let preconditions = Preconditions { uid: Some(name.uid.clone()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default().grace_period(0) };
        match api.delete(&name.name, &params).await {
            Ok(_) => true,
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => true,
            Err(error) => {
                tracing::debug!(pod = ?name, %error, "a pod that is gone is not deleted yet");
                false
            }
        }
    }

    /// A pause after a failure: longer each time.
    pub(super) fn fail(&mut self, name: &str, reason: &'static str, message: String) {
        let now = Timestamp::now();
        let count = self.failures.get(name).map_or(0, |failure| failure.count);
        let seconds = match reason {
            "ErrImagePull" | "RunContainerError" => (10u64 << count.min(5)).min(300),
            // What is missing may come at any time.
            _ => (1u64 << count.min(4)).min(10),
        };
        let until = now.checked_add(SignedDuration::from_secs(seconds as i64)).unwrap_or(now);
        self.failures.insert(name.to_owned(), plan::Failure { reason, message, since: now, until, count: count + 1 });
    }
}
