//! Plans by tables of situations.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::observed::{HASH, Health};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// A situation, built up step by step.
struct Case {
    view: View,
    observed: Observed,
    healths: Healths,
    busy: BTreeSet<String>,
    backoff: Backoff,
    failures: BTreeMap<String, Failure>,
    now: Timestamp,
}

impl Case {
    fn new(spec: Value) -> Case {
        let pod = json!({ "metadata": { "name": "p", "namespace": "ns", "uid": "u" }, "spec": spec });
        Case {
            view: View::new(Arc::new(serde_json::from_value(pod).unwrap())),
            observed: Observed::default(),
            healths: Healths::new(),
            busy: BTreeSet::new(),
            backoff: Backoff::default(),
            failures: BTreeMap::new(),
            now: at(0),
        }
    }

    fn sandbox(mut self, attempt: u32, ready: bool) -> Case {
        self.observed.sandboxes.push(pods::runtime::Sandbox {
            id: format!("s{attempt}"),
            pod: self.view.name(),
            attempt,
            ready,
            created: at(0),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            cgroup_parent: String::new(),
        });
        self.observed.sort();
        self
    }

    fn container(mut self, name: &str, attempt: u32, sandbox: &str, state: State) -> Case {
        let hash = self.view.part(name).map(|part| part.hash.clone()).unwrap_or_default();
        self.observed.containers.push(Container {
            id: format!("{name}{attempt}"),
            sandbox: sandbox.into(),
            name: name.into(),
            attempt,
            image: String::new(),
            image_id: String::new(),
            created: at(0),
            state,
            pid: 0,
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([(HASH.to_owned(), hash)]),
            log_path: Default::default(),
        });
        self.observed.sort();
        self
    }

    fn running(self, name: &str) -> Case {
        self.container(name, 0, "s0", State::Running { started: at(0) })
    }

    fn exited(self, name: &str, code: i32) -> Case {
        self.container(name, 0, "s0", exit(code))
    }

    fn busy(mut self, name: &str) -> Case {
        self.busy.insert(name.into());
        self
    }

    fn health(mut self, id: &str, health: Health) -> Case {
        self.healths.insert(id.into(), health);
        self
    }

    fn plan(&self) -> Plan {
        plan(&Input {
            view: &self.view,
            observed: &self.observed,
            healths: &self.healths,
            busy: &self.busy,
            backoff: &self.backoff,
            failures: &self.failures,
            since: at(0),
            now: self.now,
        })
    }

    /// The plan in words.
    #[track_caller]
    fn expect(&self, words: &str) {
        let plan = self.plan();
        let mut said: Vec<String> = plan
            .steps
            .iter()
            .map(|step| match step {
                Step::Sandbox { attempt } => format!("sandbox {attempt}"),
                Step::Start { name, attempt, .. } => format!("start {name} {attempt}"),
                Step::Kill { id, why, .. } => format!("kill {id} {why:?}"),
            })
            .collect();
        said.extend(plan.end.iter().map(|end| format!("end {end:?}")));
        said.extend(plan.waiting.iter().map(|(name, (reason, _))| format!("{name} waits {reason}")));
        assert_eq!(said.join(", "), words);
    }
}

fn exit(code: i32) -> State {
    State::Exited { started: Some(at(0)), finished: at(0), code, oom_killed: false, message: String::new() }
}

fn app(policy: &str) -> Value {
    json!({ "restartPolicy": policy, "containers": [{ "name": "a", "image": "i" }] })
}

fn with_init(policy: &str) -> Value {
    json!({
        "restartPolicy": policy,
        "initContainers": [
            { "name": "i", "image": "i" },
            { "name": "s", "image": "i", "restartPolicy": "Always", "startupProbe": { "exec": { "command": ["x"] } } },
            { "name": "j", "image": "i" },
        ],
        "containers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }],
    })
}

#[test]
fn a_pod_begins_with_its_sandbox_and_one_that_died_is_replaced() {
    Case::new(app("Always")).expect("sandbox 0");
    Case::new(app("Always")).busy("").expect("");
    Case::new(app("Always")).sandbox(0, true).expect("start a 0");
    Case::new(app("Always")).sandbox(0, false).exited("a", 137).expect("sandbox 1");
    Case::new(app("Always")).sandbox(0, false).sandbox(1, true).exited("a", 137).expect("start a 1");
    Case::new(app("Never")).sandbox(0, false).exited("a", 137).expect("end Done");
}

#[test]
fn what_runs_in_a_dead_sandbox_is_ended() {
    Case::new(app("Always")).sandbox(0, false).sandbox(1, true).running("a").expect("kill a0 Stray, start a 1");
}

#[test]
fn finished_containers_start_again_as_the_policy_says() {
    for (policy, code, words) in [
        ("Always", 0, "start a 1"),
        ("Always", 1, "start a 1"),
        ("OnFailure", 0, "end Done"),
        ("OnFailure", 1, "start a 1"),
        ("Never", 0, "end Done"),
        ("Never", 1, "end Done"),
    ] {
        Case::new(app(policy)).sandbox(0, true).exited("a", code).expect(words);
    }
}

#[test]
fn a_container_that_fails_again_waits() {
    let mut case = Case::new(app("Always")).sandbox(0, true).exited("a", 1);
    let key = key(&case.view.app[0]);
    case.backoff.raise(&key, at(0), at(0));
    case.now = at(5);
    case.expect("a waits CrashLoopBackOff");
    assert_eq!(case.plan().wake, Some(at(10)));
    assert!(case.plan().waiting["a"].1.starts_with("back-off 10s restarting failed container=a pod=p_ns(u)"));
    case.now = at(10);
    case.expect("start a 1");
}

#[test]
fn init_containers_run_one_after_another_and_sidecars_stay() {
    let begun = || Case::new(with_init("Always")).sandbox(0, true);
    begun().expect("start i 0");
    begun().busy("i").expect("");
    begun().running("i").expect("");
    begun().exited("i", 1).expect("start i 1");
    begun().exited("i", 0).expect("start s 0");
    begun().exited("i", 0).running("s").expect("");
    let up = Health { startup: Some(true), ..Health::default() };
    let sidecar = || begun().exited("i", 0).running("s").health("s0", up);
    sidecar().expect("start j 0");
    sidecar().exited("j", 0).expect("start a 0, start b 0");
    sidecar().exited("j", 0).running("a").expect("start b 0");
    begun().exited("i", 0).exited("s", 1).exited("j", 0).running("a").running("b").expect("start s 1");
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    Case::new(with_init("Never")).sandbox(0, true).exited("i", 1).expect("end Done");
    Case::new(with_init("OnFailure")).sandbox(0, true).exited("i", 1).expect("start i 1");
}

#[test]
fn init_containers_run_again_in_a_new_sandbox() {
    Case::new(with_init("Always")).sandbox(0, false).sandbox(1, true).exited("i", 0).expect("start i 1");
}

#[test]
fn a_pod_whose_apps_are_done_is_done_though_a_sidecar_runs() {
    let case = Case::new(with_init("OnFailure")).sandbox(0, true).exited("i", 0).running("s").exited("j", 0);
    case.exited("a", 0).exited("b", 0).expect("end Done");
}

#[test]
fn unhealthy_and_changed_containers_are_replaced() {
    let probed = || Case::new(app("Always")).sandbox(0, true).running("a");
    probed().expect("");
    probed().health("a0", Health { liveness: Some(true), ..Health::default() }).expect("");
    probed().health("a0", Health { liveness: Some(false), ..Health::default() }).expect("kill a0 Unhealthy");
    probed().health("a0", Health { startup: Some(false), ..Health::default() }).expect("kill a0 NeverStarted");
    probed().health("a0", Health { readiness: Some(false), ..Health::default() }).expect("");
    probed().health("a0", Health { liveness: Some(false), ..Health::default() }).busy("a").expect("");
    let mut case = probed();
    case.observed.containers[0].annotations.insert(HASH.into(), "other".into());
    case.expect("kill a0 Changed");
}

#[test]
fn a_container_that_cannot_start_is_tried_later() {
    let mut case = Case::new(app("Always")).sandbox(0, true);
    let failure = Failure { reason: "ErrImagePull", message: "no".into(), since: at(0), until: at(10), count: 1 };
    case.failures.insert("a".into(), failure);
    case.expect("a waits ErrImagePull");
    assert_eq!(case.plan().wake, Some(at(2)));
    case.now = at(3);
    case.expect("a waits ImagePullBackOff");
    assert_eq!(case.plan().wake, Some(at(10)));
    case.now = at(10);
    case.expect("start a 0, a waits ImagePullBackOff");
}

#[test]
fn a_deadline_ends_the_pod() {
    let mut case = Case::new(json!({ "activeDeadlineSeconds": 60, "containers": [{ "name": "a", "image": "i" }] }));
    case = case.sandbox(0, true).running("a");
    case.expect("");
    assert_eq!(case.plan().wake, Some(at(60)));
    case.now = at(60);
    case.expect("end Deadline");
}

#[test]
fn ephemeral_containers_start_once_beside_the_others() {
    let spec = json!({
        "containers": [{ "name": "a", "image": "i" }],
        "ephemeralContainers": [{ "name": "e", "image": "i", "targetContainerName": "a" }],
    });
    Case::new(spec.clone()).sandbox(0, true).running("a").expect("start e 0");
    Case::new(spec).sandbox(0, true).running("a").exited("e", 1).expect("");
}
