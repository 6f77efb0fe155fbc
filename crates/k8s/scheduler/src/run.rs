//! The one task that owns what is known and decides.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_client::{Change, Informer, Informers, Recorder, Severity};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_types::selector::label::{LabelSelector, Operator, Requirement};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bind::{BindError, bind};
use crate::decide::{Choice, Decider};
use crate::failure::Failure;
use crate::hints::{self, Event};
use crate::model::cluster::{NodeChange, Uid};
use crate::model::terms::selector;
use crate::model::{Cluster, NodeId};
use crate::plugins::volume_binding::Step;
use crate::preemption::{self, Budget};
use crate::queue::{Queue, Waiting};
use crate::report::{self, Report};
use crate::sources::{News, follow};

/// Pods of other schedulers are left alone.
pub const NAME: &str = "default-scheduler";
/// So many bindings are under way at most.
const IN_FLIGHT: usize = 256;
/// So many decisions are made before news is looked at again.
const BATCH: usize = 64;
/// The same failure is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// A pod that was bound but is never seen so is not counted for longer than this.
const UNSEEN: Duration = Duration::from_secs(300);

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let (sender, mut news) = mpsc::unbounded_channel();
    let (reports, reported) = mpsc::unbounded_channel();
    let recorder = Recorder::new(informers.client().clone(), NAME, "");
    let mut tasks = JoinSet::new();
    tasks.spawn(report::run(informers.client().clone(), recorder.clone(), reported));
    let _following = follow(&informers, &sender).await;
    let mut scheduler = Run {
        client: informers.client().clone(),
        claims: informers.get(),
        budgets: informers.get(),
        cluster: Cluster::default(),
        decider: Decider::default(),
        queue: Queue::default(),
        assumed: HashMap::new(),
        unseen: VecDeque::new(),
        in_flight: 0,
        recorder,
        reports,
        sender,
        tasks,
    };
    loop {
        scheduler.wait(&mut news).await;
        while let Ok(told) = news.try_recv() {
            scheduler.take(told);
        }
        scheduler.flush();
        scheduler.decide_some();
        tokio::task::yield_now().await;
    }
}

/// A pod that counts as being on its node before the cache shows it.
struct Assumed {
    waiting: Waiting,
    /// It is bound, and not counted for longer than this if that is never seen.
    until: Option<Instant>,
    claims: bool,
}

struct Run {
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    budgets: Informer<PodDisruptionBudget>,
    cluster: Cluster,
    decider: Decider,
    queue: Queue,
    assumed: HashMap<Uid, Assumed>,
    /// Pods that were bound, and until when that must be seen; many of them are seen long since.
    unseen: VecDeque<(Instant, Uid)>,
    in_flight: usize,
    recorder: Recorder,
    reports: mpsc::UnboundedSender<Report>,
    sender: mpsc::UnboundedSender<News>,
    tasks: JoinSet<()>,
}

impl Run {
    /// Waits until there is something to do.
    async fn wait(&mut self, news: &mut mpsc::UnboundedReceiver<News>) {
        while self.tasks.try_join_next().is_some() {}
        if self.queue.is_ready() && self.in_flight < IN_FLIGHT {
            return;
        }
        let unseen = self.unseen.front().map(|(until, _)| *until);
        let next = [self.queue.next_flush(), unseen].into_iter().flatten().min();
        let sleep = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = news.recv() => if let Some(told) = told { self.take(told) },
            () = sleep => {}
        }
    }

    fn flush(&mut self) {
        let now = Instant::now();
        self.queue.flush(now);
        while let Some((until, uid)) = self.unseen.front() {
            match self.assumed.get(uid).map(|assumed| assumed.until) {
                // Seen or gone, or bound again since then.
                seen if seen != Some(Some(*until)) => {}
                _ if *until > now => break,
                _ => {
                    self.assumed.remove(uid);
                    self.cluster.remove(uid);
                }
            }
            self.unseen.pop_front();
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Node(change) => self.take_node(&change),
            News::Pod(change) => self.take_pod(&change),
            News::Bound(uid, result) => self.take_bound(&uid, result),
            News::Namespace(change) => {
                let labels = change.new.as_ref().map(|new| new.metadata.labels.clone().unwrap_or_default());
                if self.cluster.namespaces.set(&change.object().name_any(), labels) {
                    self.cluster.epoch += 1;
                    self.wake(Event::Namespaces);
                }
            }
            News::Service(change) => {
                let wanted = change.new.as_ref().and_then(|new| new.spec.as_ref()?.selector.as_ref());
                let wanted = wanted.filter(|labels| !labels.is_empty()).map(exactly);
                self.cluster.replicas.set_service(change.key(), wanted);
            }
            News::ReplicaSet(change) => {
                let wanted = change.new.as_ref().map(|new| selector(Some(&new.spec.selector)));
                self.take_owner(change.object().uid(), wanted);
            }
            News::StatefulSet(change) => {
                let wanted = change.new.as_ref().map(|new| selector(Some(&new.spec.selector)));
                self.take_owner(change.object().uid(), wanted);
            }
            News::ReplicationController(change) => {
                let wanted = change.new.as_ref().and_then(|new| new.spec.as_ref()?.selector.as_ref()).map(exactly);
                self.take_owner(change.object().uid(), wanted);
            }
            News::Claim(change) => {
                self.cluster.volumes.set_claim(change.key(), change.new.clone());
                self.wake(Event::Volumes);
            }
            News::Volume(change) => {
                self.cluster.volumes.set_volume(&change.object().name_any(), change.new.clone());
                self.wake(Event::Volumes);
            }
            News::StorageClass(change) => {
                self.cluster.volumes.set_class(&change.object().name_any(), change.new.clone());
                self.wake(Event::Volumes);
            }
            News::CsiNode(change) => {
                self.cluster.volumes.set_drivers(&change.object().name_any(), change.new.clone());
                self.wake(Event::Volumes);
            }
        }
    }

    fn take_owner(&mut self, uid: Option<String>, selector: Option<LabelSelector>) {
        self.cluster.replicas.set_owner(&uid.unwrap_or_default(), selector);
    }

    fn wake(&mut self, event: Event<'_>) {
        let cluster = &self.cluster;
        self.queue.wake(Instant::now(), |template, plugin| hints::cares(plugin, event, template, cluster));
    }

    fn take_node(&mut self, change: &Change<Node>) {
        let Some(node) = &change.new else {
            self.cluster.remove_node(&change.object().name_any());
            return self.wake(Event::NodeGone);
        };
        let changed = self.cluster.set_node(node.clone());
        if changed == NodeChange::None {
            return;
        }
        let (cluster, now) = (&self.cluster, Instant::now());
        if let Some(info) = cluster.find(&node.name_any()).and_then(|id| cluster.info(id)) {
            let event = Event::Node(info, changed);
            self.queue.wake(now, |template, plugin| hints::cares(plugin, event, template, cluster));
        }
    }

    fn take_pod(&mut self, change: &Change<Pod>) {
        let uid: Uid = change.object().metadata.uid.as_deref().unwrap_or("").into();
        // A pod of the same name that was made while nobody looked is another one.
        if let Some(old) = &change.old
            && old.metadata.uid.as_deref() != Some(&*uid)
        {
            let old = old.metadata.uid.clone().unwrap_or_default();
            self.forget(&old);
        }
        let Some(pod) = change.new.as_ref().filter(|pod| !is_over(pod)) else { return self.forget(&uid) };
        let spec = pod.spec.as_ref();
        match spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty()) {
            Some(node) => self.take_placed(pod, &uid, node),
            None => self.take_pending(pod, &uid),
        }
    }

    fn forget(&mut self, uid: &str) {
        self.queue.remove(uid);
        self.cluster.clear_nomination(uid);
        if let Some(assumed) = self.assumed.remove(uid) {
            self.release(&assumed);
        }
        if let Some(gone) = self.cluster.remove(uid) {
            self.wake(Event::Gone(&gone.template));
        }
    }

    fn release(&mut self, assumed: &Assumed) {
        if assumed.claims {
            for claim in &assumed.waiting.template.claims {
                self.cluster.volumes.release(&(assumed.waiting.template.namespace.clone(), claim.clone()));
            }
        }
    }

    fn take_placed(&mut self, pod: &Arc<Pod>, uid: &Uid, node: &str) {
        self.queue.remove(uid);
        self.assumed.remove(uid);
        let before = self.cluster.place_of(uid).and_then(|id| self.cluster.info(id)?.pods.get(uid)).cloned();
        let template = self.cluster.place(pod.clone(), node);
        match before {
            None => self.wake(Event::Placed(&template)),
            Some(before) => {
                let leaves = !before.leaving && pod.metadata.deletion_timestamp.is_some();
                if leaves || before.template.id != template.id || before.held.is_some() {
                    self.wake(Event::Gone(&before.template));
                    self.wake(Event::Placed(&template));
                }
            }
        }
    }

    fn take_pending(&mut self, pod: &Arc<Pod>, uid: &Uid) {
        if let Some(assumed) = self.assumed.get_mut(uid) {
            assumed.waiting.pod = pod.clone();
            return;
        }
        let ours = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(NAME) == NAME;
        if !ours || pod.metadata.deletion_timestamp.is_some() {
            self.queue.remove(uid);
            if self.cluster.clear_nomination(uid).is_some() {
                let template = self.cluster.template(pod);
                self.wake(Event::Gone(&template));
            }
            return;
        }
        let template = self.cluster.template(pod);
        let nominated = pod.status.as_ref().and_then(|status| status.nominated_node_name.as_deref());
        if let Some(node) = nominated.filter(|name| !name.is_empty())
            && self.cluster.nomination(uid).is_none()
            && self.queue.is_new(uid)
        {
            self.cluster.nominate(uid, &template, node);
        }
        self.queue.update(pod.clone(), template);
    }

    fn take_bound(&mut self, uid: &Uid, result: Result<(), BindError>) {
        self.in_flight -= 1;
        let Some(assumed) = self.assumed.get_mut(uid) else {
            // Seen already, or gone.
            return;
        };
        match result {
            Ok(()) => {
                let until = Instant::now() + UNSEEN;
                assumed.until = Some(until);
                self.unseen.push_back((until, uid.clone()));
            }
            Err(error) => {
                tracing::debug!(pod = %assumed.waiting.pod.name_any(), %error, "not bound");
                if let Some(assumed) = self.assumed.remove(uid) {
                    self.release(&assumed);
                    let gone = self.cluster.remove(uid);
                    self.queue.pause(assumed.waiting, Instant::now());
                    if let Some(gone) = gone {
                        self.wake(Event::Gone(&gone.template));
                    }
                }
            }
        }
    }

    fn decide_some(&mut self) {
        for _ in 0..BATCH {
            if self.in_flight >= IN_FLIGHT {
                return;
            }
            let Some(waiting) = self.queue.pop() else { return };
            match self.decider.decide_for(&mut self.cluster, &waiting.template, &waiting.uid) {
                Ok(choice) => self.assume(waiting, choice),
                Err(failure) => self.fail(waiting, &failure),
            }
        }
    }

    fn assume(&mut self, waiting: Waiting, choice: Choice) {
        let uid = waiting.uid.clone();
        self.cluster.place_as(waiting.pod.clone(), &waiting.template, &choice.name);
        for step in &choice.volumes {
            if let Step::Promise { volume, claim } = step {
                self.cluster.volumes.promise(volume, claim);
            }
        }
        self.wake(Event::Placed(&waiting.template));
        let (client, claims, recorder) = (self.client.clone(), self.claims.clone(), self.recorder.clone());
        let (pod, sender) = (waiting.pod.clone(), self.sender.clone());
        self.assumed.insert(uid.clone(), Assumed { waiting, until: None, claims: !choice.volumes.is_empty() });
        self.in_flight += 1;
        self.tasks.spawn(async move {
            let result = bind(client, claims, pod.clone(), choice.name.clone(), choice.volumes).await;
            match &result {
                Ok(()) => {
                    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
                    let message = format!("Successfully assigned {namespace}/{name} to {}", choice.name);
                    recorder.tell(&*pod, Severity::Normal, "Scheduled", message);
                }
                Err(error) => {
                    recorder.tell(&*pod, Severity::Warning, "FailedScheduling", format!("binding rejected: {error}"));
                }
            }
            let _ = sender.send(News::Bound(uid, result));
        });
    }

    fn fail(&mut self, mut waiting: Waiting, failure: &Failure) {
        let now = Instant::now();
        let kept = self.cluster.nomination(&waiting.uid);
        let (why, nominated) = match self.plan(&waiting, failure, kept) {
            Ok(plan) => {
                self.make_room(&waiting, &plan);
                (String::new(), Some(plan.name))
            }
            Err(why) if why.ends_with("terminating pod on the nominated node.") => {
                (why, kept.map(|id| self.cluster.name(id)))
            }
            Err(why) => {
                self.cluster.clear_nomination(&waiting.uid);
                (why, None)
            }
        };
        let message = failure.message(&why);
        if waiting.told.as_ref().is_none_or(|(told, at)| *told != message || *at + TELL_AGAIN <= now) {
            self.recorder.tell(&*waiting.pod, Severity::Warning, "FailedScheduling", message.clone());
            waiting.told = Some((message.clone(), now));
        }
        if !says(&waiting.pod, &message, nominated.as_deref()) {
            let _ = self.reports.send(Report::Unschedulable { pod: waiting.pod.clone(), message, nominated });
        }
        self.queue.park(waiting, failure.plugins(), now);
    }

    /// Who would have to go. That nobody helps one pod of a template holds for the next one, too, until something changes.
    fn plan(&mut self, waiting: &Waiting, failure: &Failure, kept: Option<NodeId>) -> Result<preemption::Plan, String> {
        let class = self.decider.class(&self.cluster, &waiting.template);
        let now = class.moment(&self.cluster);
        match &class.hopeless {
            Some((then, why)) if kept.is_none() && *then == now => return Err(why.to_string()),
            _ => {}
        }
        let budgets = self.budgets();
        let class = self.decider.class(&self.cluster, &waiting.template);
        let plan = preemption::plan(class, &self.cluster, failure, &budgets, kept);
        class.hopeless = match &plan {
            Err(why) if kept.is_none() => Some((now, why.as_str().into())),
            _ => None,
        };
        plan
    }

    /// The victims are asked to go; who is less important and waits for the same node looks for another one.
    fn make_room(&mut self, waiting: &Waiting, plan: &preemption::Plan) {
        for victim in &plan.victims {
            let report =
                Report::Evict { victim: victim.clone(), for_pod: waiting.pod.clone(), node: plan.name.clone() };
            let _ = self.reports.send(report);
        }
        let nominees = self.cluster.info(plan.node).map(|info| info.nominees.clone()).unwrap_or_default();
        for nominee in nominees {
            if nominee.template.priority < waiting.template.priority {
                self.cluster.clear_nomination(&nominee.uid);
                if let Some(pod) = self.queue.pod(&nominee.uid) {
                    let _ = self.reports.send(Report::NotNominated { pod });
                }
                self.queue.hurry(&nominee.uid);
            }
        }
        self.cluster.nominate(&waiting.uid, &waiting.template, &plan.name);
    }

    fn budgets(&self) -> Vec<Budget> {
        let budget = |budget: &Arc<PodDisruptionBudget>| {
            let status = budget.status.as_ref();
            Budget {
                namespace: budget.namespace().unwrap_or_default(),
                selector: selector(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref())),
                allowed: status.map_or(0, |status| i64::from(status.disruptions_allowed.unwrap_or(0))),
                disrupted: status
                    .and_then(|s| s.disrupted_pods.as_ref())
                    .map_or_else(Default::default, |pods| pods.keys().cloned().collect()),
            }
        };
        self.budgets.list().iter().map(budget).collect()
    }
}

/// Whether the pod's status says already what would be written.
fn says(pod: &Pod, message: &str, nominated: Option<&str>) -> bool {
    let Some(status) = &pod.status else { return false };
    status.nominated_node_name.as_deref().filter(|name| !name.is_empty()) == nominated
        && status.conditions.iter().flatten().any(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
                && condition.message.as_deref() == Some(message)
        })
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn exactly(labels: &BTreeMap<String, String>) -> LabelSelector {
    let wanted = labels.iter().map(|(key, value)| Requirement {
        key: key.clone(),
        operator: Operator::Equals,
        values: vec![value.clone()],
    });
    LabelSelector::All(wanted.collect())
}
