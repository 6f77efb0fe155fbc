//! Statuses of situations.

use std::sync::Arc;

use pods::runtime::{Container, Sandbox, State};
use serde_json::{Value, json};

use super::*;
use crate::observed::Health;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

struct Case {
    view: View,
    observed: Observed,
    healths: Healths,
    waiting: BTreeMap<String, (String, String)>,
    over: bool,
}

impl Case {
    fn new(pod: Value) -> Case {
        let mut pod = pod;
        pod["metadata"] = json!({ "name": "p", "namespace": "ns", "uid": "u", "generation": 3 });
        let mut case = Case {
            view: View::new(Arc::new(serde_json::from_value(pod).unwrap())),
            observed: Observed::default(),
            healths: Healths::new(),
            waiting: BTreeMap::new(),
            over: false,
        };
        case.observed.sandboxes.push(Sandbox {
            id: "s".into(),
            pod: case.view.name(),
            attempt: 0,
            ready: true,
            created: at(0),
            addresses: vec!["10.42.0.7".parse().unwrap()],
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            cgroup_parent: String::new(),
        });
        case
    }

    fn with(mut self, name: &str, attempt: u32, state: State) -> Case {
        self.observed.containers.push(Container {
            id: format!("{name}{attempt}"),
            sandbox: "s".into(),
            name: name.into(),
            attempt,
            image: "i".into(),
            image_id: "sha256:1".into(),
            created: at(0),
            state,
            pid: 1,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            log_path: Default::default(),
        });
        self.observed.sort();
        self
    }

    fn status(&self) -> PodStatus {
        status(&Facts {
            view: &self.view,
            observed: &self.observed,
            healths: &self.healths,
            waiting: &self.waiting,
            messages: &BTreeMap::new(),
            hooked: &BTreeSet::new(),
            host: &["192.0.2.1".parse().unwrap()],
            sizes: &Sizes::default(),
            verdict: None,
            over: self.over,
            since: at(0),
            now: at(5),
        })
    }
}

fn running() -> State {
    State::Running { started: at(1) }
}

fn exited(code: i32) -> State {
    State::Exited { started: Some(at(1)), finished: at(2), code, oom_killed: false, message: String::new() }
}

fn pod(policy: &str) -> Value {
    json!({ "spec": { "restartPolicy": policy, "containers": [{ "name": "a", "image": "i" }] } })
}

fn ready_of(status: &PodStatus) -> (String, String) {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.status.clone(), ready.reason.clone().unwrap_or_default())
}

#[test]
fn phases_follow_containers_and_policy() {
    for (policy, state, over, phase, reason) in [
        ("Always", None, false, "Pending", "ContainersNotReady"),
        ("Always", Some(running()), false, "Running", ""),
        ("Always", Some(exited(0)), false, "Running", "ContainersNotReady"),
        ("OnFailure", Some(exited(1)), false, "Running", "ContainersNotReady"),
        ("OnFailure", Some(exited(0)), false, "Succeeded", "PodCompleted"),
        ("Never", Some(exited(0)), true, "Succeeded", "PodCompleted"),
        ("Never", Some(exited(1)), true, "Failed", "PodFailed"),
        ("Always", Some(exited(143)), true, "Failed", "PodFailed"),
        ("Always", None, true, "Failed", "PodFailed"),
    ] {
        let mut case = Case::new(pod(policy));
        if let Some(state) = state.clone() {
            case = case.with("a", 0, state);
        }
        case.over = over;
        let status = case.status();
        assert_eq!(status.phase.as_deref(), Some(phase), "{policy} {state:?} {over}");
        assert_eq!(ready_of(&status).1, reason, "{policy} {state:?} {over}");
    }
}

#[test]
fn a_running_pod_tells_its_addresses_and_ids() {
    let status = Case::new(pod("Always")).with("a", 2, running()).status();
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.42.0.7"), Some("192.0.2.1")));
    let one = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!((one.container_id.as_deref(), one.restart_count, one.ready), (Some("sampan://a2"), 2, true));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn a_container_in_back_off_waits_and_tells_how_it_ended() {
    let mut case = Case::new(pod("Always")).with("a", 1, exited(3));
    case.waiting.insert("a".into(), ("CrashLoopBackOff".into(), "back-off".into()));
    let status = case.status();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let one = &status.container_statuses.as_ref().unwrap()[0];
    let waits = one.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waits.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(one.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
}

#[test]
fn readiness_waits_for_probes_and_gates() {
    let mut spec = pod("Always");
    spec["spec"]["containers"][0]["readinessProbe"] = json!({ "tcpSocket": { "port": 80 } });
    spec["spec"]["readinessGates"] = json!([{ "conditionType": "g" }]);
    let mut case = Case::new(spec).with("a", 0, running());
    assert_eq!(ready_of(&case.status()), ("False".into(), "ContainersNotReady".into()));
    case.healths.insert("a0".into(), Health { readiness: Some(true), ..Health::default() });
    assert_eq!(ready_of(&case.status()), ("False".into(), "ReadinessGatesNotReady".into()));
}

#[test]
fn apps_wait_for_init_containers() {
    let mut spec = pod("Always");
    spec["spec"]["initContainers"] = json!([{ "name": "i", "image": "i" }]);
    let reason = |status: &PodStatus| {
        let one = status.container_statuses.as_ref().unwrap()[0].clone();
        one.state.unwrap().waiting.unwrap().reason.unwrap()
    };
    let status = Case::new(spec.clone()).with("i", 0, running()).status();
    assert_eq!((reason(&status).as_str(), status.phase.as_deref()), ("PodInitializing", Some("Pending")));
    let status = Case::new(spec).with("i", 0, exited(0)).status();
    assert_eq!((reason(&status).as_str(), status.phase.as_deref()), ("ContainerCreating", Some("Pending")));
}

#[test]
fn what_others_say_of_the_pod_is_kept() {
    let mut spec = pod("Always");
    spec["status"] = json!({
        "phase": "Pending",
        "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z" }, { "type": "mine", "status": "True" }],
    });
    let status = Case::new(spec).with("a", 0, running()).status();
    let all: Vec<&str> = status.conditions.iter().flatten().map(|one| one.type_.as_str()).collect();
    assert_eq!(all, ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "mine"]);
}
