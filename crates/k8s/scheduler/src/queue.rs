//! Pods that have no node: those whose turn it is, by priority and then time; those that pause after a failure; those that wait for something to change.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::model::Template;
use crate::model::cluster::Uid;
use crate::model::template::TemplateId;
use crate::plugins::Plugin;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Whoever waits for so long is tried again, whatever has changed.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A pod without a node.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub uid: Uid,
    pub pod: Arc<Pod>,
    pub template: Arc<Template>,
    /// How often it was tried in vain.
    pub attempts: u32,
    tried: Option<Instant>,
    /// What was told last, and when.
    pub told: Option<(String, Instant)>,
}

impl Waiting {
    pub fn new(pod: Arc<Pod>, template: Arc<Template>) -> Waiting {
        let uid = pod.metadata.uid.as_deref().unwrap_or("").into();
        Waiting { uid, pod, template, attempts: 0, tried: None, told: None }
    }

    /// When it may be tried again.
    fn ready(&self) -> Option<Instant> {
        let doubled = self.attempts.saturating_sub(1).min(16);
        Some(self.tried? + FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE))
    }
}

/// Where a pod is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active(u64),
    Pausing(Instant),
    Parked(Instant),
    Gated,
}

struct Entry {
    waiting: Waiting,
    place: Place,
}

/// Pods of one template that wait for a change.
#[derive(Default)]
struct Parked {
    plugins: BTreeSet<Plugin>,
    pods: HashSet<Uid>,
}

#[derive(Default)]
pub struct Queue {
    entries: HashMap<Uid, Entry>,
    active: BTreeSet<(Reverse<i32>, u64, Uid)>,
    pausing: BTreeSet<(Instant, Uid)>,
    parked: HashMap<TemplateId, Parked>,
    parked_since: BTreeSet<(Instant, Uid)>,
    next: u64,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a pod that is new or has changed. Its turn comes at once where it is new, or what matters of it is; else it stays where it is.
    pub fn update(&mut self, pod: Arc<Pod>, template: Arc<Template>) {
        let gated = is_gated(&pod);
        let uid: Uid = pod.metadata.uid.as_deref().unwrap_or("").into();
        let mut waiting = match self.entries.get_mut(&uid) {
            Some(entry) if entry.waiting.template.id == template.id && (entry.place == Place::Gated) == gated => {
                entry.waiting.pod = pod;
                return;
            }
            Some(_) => {
                let old = self.remove(&uid);
                Waiting { told: old.and_then(|old| old.told), ..Waiting::new(pod, template) }
            }
            None => Waiting::new(pod, template),
        };
        if gated {
            waiting.attempts = 0;
            self.entries.insert(uid, Entry { waiting, place: Place::Gated });
        } else {
            self.activate(waiting);
        }
    }

    /// Whether the pod was not seen yet.
    pub fn is_new(&self, uid: &str) -> bool {
        !self.entries.contains_key(uid)
    }

    /// A pod as it was told last.
    pub fn pod(&self, uid: &str) -> Option<Arc<Pod>> {
        self.entries.get(uid).map(|entry| entry.waiting.pod.clone())
    }

    /// Takes a pod out, wherever it is.
    pub fn remove(&mut self, uid: &str) -> Option<Waiting> {
        let (uid, entry) = self.entries.remove_entry(uid)?;
        self.leave(&uid, &entry);
        Some(entry.waiting)
    }

    fn leave(&mut self, uid: &Uid, entry: &Entry) {
        match entry.place {
            Place::Active(number) => {
                self.active.remove(&(Reverse(entry.waiting.template.priority), number, uid.clone()));
            }
            Place::Pausing(until) => {
                self.pausing.remove(&(until, uid.clone()));
            }
            Place::Parked(since) => {
                self.parked_since.remove(&(since, uid.clone()));
                let id = entry.waiting.template.id;
                if let Some(parked) = self.parked.get_mut(&id) {
                    parked.pods.remove(uid);
                    if parked.pods.is_empty() {
                        self.parked.remove(&id);
                    }
                }
            }
            Place::Gated => {}
        }
    }

    /// The pod whose turn it is.
    pub fn pop(&mut self) -> Option<Waiting> {
        let (_, _, uid) = self.active.pop_first()?;
        self.entries.remove(&uid).map(|entry| entry.waiting)
    }

    fn activate(&mut self, waiting: Waiting) {
        let number = self.next;
        self.next += 1;
        let uid = waiting.uid.clone();
        self.active.insert((Reverse(waiting.template.priority), number, uid.clone()));
        self.entries.insert(uid, Entry { waiting, place: Place::Active(number) });
    }

    /// A pod was tried in vain: it waits for what these rules care about.
    pub fn park(&mut self, mut waiting: Waiting, plugins: BTreeSet<Plugin>, now: Instant) {
        waiting.attempts += 1;
        waiting.tried = Some(now);
        let uid = waiting.uid.clone();
        let parked = self.parked.entry(waiting.template.id).or_default();
        parked.plugins.extend(plugins);
        parked.pods.insert(uid.clone());
        self.parked_since.insert((now, uid.clone()));
        self.entries.insert(uid, Entry { waiting, place: Place::Parked(now) });
    }

    /// A pod was tried in vain for a reason that passes by itself.
    pub fn pause(&mut self, mut waiting: Waiting, now: Instant) {
        waiting.attempts += 1;
        waiting.tried = Some(now);
        self.pause_or_activate(waiting, now);
    }

    fn pause_or_activate(&mut self, waiting: Waiting, now: Instant) {
        match waiting.ready().filter(|ready| *ready > now) {
            Some(until) => {
                let uid = waiting.uid.clone();
                self.pausing.insert((until, uid.clone()));
                self.entries.insert(uid, Entry { waiting, place: Place::Pausing(until) });
            }
            None => self.activate(waiting),
        }
    }

    /// Something changed: the pods go on for which one of the rules that rejected them cares.
    pub fn wake(&mut self, now: Instant, cares: impl Fn(&Template, Plugin) -> bool) {
        let mut woken = Vec::new();
        for parked in self.parked.values() {
            let template = parked.pods.iter().next().and_then(|uid| self.entries.get(uid)).map(|e| &e.waiting.template);
            if template.is_some_and(|template| parked.plugins.iter().any(|plugin| cares(template, *plugin))) {
                woken.extend(parked.pods.iter().cloned());
            }
        }
        for uid in woken {
            if let Some(waiting) = self.remove(&uid) {
                self.pause_or_activate(waiting, now);
            }
        }
    }

    /// One pod goes on at once.
    pub fn hurry(&mut self, uid: &str) {
        if let Some(waiting) = self.remove(uid) {
            self.activate(waiting);
        }
    }

    /// Pauses that are over, and those who waited for too long.
    pub fn flush(&mut self, now: Instant) {
        while let Some((until, uid)) = self.pausing.first().cloned().filter(|(until, _)| *until <= now) {
            self.pausing.remove(&(until, uid.clone()));
            if let Some(entry) = self.entries.remove(&uid) {
                self.activate(entry.waiting);
            }
        }
        while let Some((_, uid)) = self.parked_since.first().filter(|(since, _)| *since + LONGEST_WAIT <= now) {
            let uid = uid.clone();
            if let Some(waiting) = self.remove(&uid) {
                self.pause_or_activate(waiting, now);
            }
        }
    }

    /// When [`Queue::flush`] has something to do.
    pub fn next_flush(&self) -> Option<Instant> {
        let pause = self.pausing.first().map(|(until, _)| *until);
        let wait = self.parked_since.first().map(|(since, _)| *since + LONGEST_WAIT);
        [pause, wait].into_iter().flatten().min()
    }

    /// Whether somebody's turn has come.
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty()
    }
}

/// Whether a pod is not to be scheduled yet.
pub fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| !gates.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cluster;
    use serde_json::{from_value, json};

    fn pod(cluster: &mut Cluster, name: &str, priority: i32, gated: bool) -> (Arc<Pod>, Arc<Template>) {
        let gates = if gated { json!([{"name": "wait"}]) } else { json!([]) };
        let pod: Pod = from_value(json!({"metadata": {"name": name, "uid": name, "labels": {"name": name}},
            "spec": {"priority": priority, "containers": [], "schedulingGates": gates}}))
        .unwrap();
        let template = cluster.template(&pod);
        (Arc::new(pod), template)
    }

    fn order(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.uid.to_string()).collect()
    }

    #[tokio::test]
    async fn priority_goes_first_and_then_who_came_first() {
        let (mut queue, mut cluster) = (Queue::default(), Cluster::default());
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
            let (pod, template) = pod(&mut cluster, name, priority, false);
            queue.update(pod, template);
        }
        assert_eq!(order(&mut queue), ["b", "d", "a", "c"]);
    }

    #[tokio::test]
    async fn who_was_rejected_waits_for_what_the_rule_cares_about_and_then_pauses() {
        let (mut queue, mut cluster) = (Queue::default(), Cluster::default());
        let now = Instant::now();
        for name in ["a", "b"] {
            let (pod, template) = pod(&mut cluster, name, 0, false);
            queue.update(pod, template);
        }
        let (a, b) = (queue.pop().unwrap(), queue.pop().unwrap());
        queue.park(a, [Plugin::NodePorts].into(), now);
        queue.park(b, [Plugin::NodeAffinity].into(), now);
        queue.wake(now, |_, plugin| plugin == Plugin::NodePorts);
        assert!(!queue.is_ready(), "it pauses first");
        assert_eq!(queue.next_flush(), Some(now + FIRST_PAUSE));
        queue.flush(now + FIRST_PAUSE);
        assert_eq!(order(&mut queue), ["a"]);
        queue.flush(now + LONGEST_WAIT);
        assert_eq!(order(&mut queue), ["b"]);
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn pauses_grow_to_ten_seconds() {
        let mut cluster = Cluster::default();
        let (pod, template) = pod(&mut cluster, "a", 0, false);
        let now = Instant::now();
        let mut waiting = Waiting::new(pod, template);
        waiting.tried = Some(now);
        let pauses = [1, 2, 3, 4, 5, 60].map(|attempts| {
            waiting.attempts = attempts;
            (waiting.ready().unwrap() - now).as_secs()
        });
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
    }

    #[tokio::test]
    async fn a_gated_pod_waits_until_its_gates_are_gone() {
        let (mut queue, mut cluster) = (Queue::default(), Cluster::default());
        let (gated, template) = pod(&mut cluster, "a", 0, true);
        queue.update(gated, template);
        assert!(!queue.is_ready());
        let (open, template) = pod(&mut cluster, "a", 0, false);
        queue.update(open, template);
        assert_eq!(order(&mut queue), ["a"]);
    }
}
