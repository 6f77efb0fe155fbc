//! What `kubectl get pods` shows: readiness, the one word that says how a pod is doing, and restarts.

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::core::pod_spec::containers::is_sidecar;
use crate::policy::Column;
use crate::policy::read::{Read, age_cell, human, name_cell};

/// The columns.
pub const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Ready", "Containers that are ready, of all that run together."),
    Column::text("Status", "What the pod is doing, in one word."),
    Column::text("Restarts", "How often containers were started again, and when last."),
    Column::AGE,
    Column::text("IP", "Address of the pod.").wide(),
    Column::text("Node", "Node that the pod runs on.").wide(),
    Column::text("Nominated Node", "Node on which room is being made for the pod.").wide(),
    Column::text("Readiness Gates", "Conditions beyond the containers' that are met, of all that were asked for.")
        .wide(),
];

/// What is found out about a pod on the way through its containers.
#[derive(Default)]
struct Tally {
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
    sidecar_restarts: i64,
    last_sidecar_restart: Option<Timestamp>,
    all: usize,
    ready: usize,
}

/// The cells of those columns.
pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut tally = Tally { reason: status["phase"].text().to_owned(), ..Tally::default() };
    if !status["reason"].is_unset() {
        status["reason"].text().clone_into(&mut tally.reason);
    }
    let conditions = status["conditions"].items();
    let is = |kind: &str, value: &str| {
        conditions.iter().find(|c| c["type"].text() == kind && (value.is_empty() || c["status"].text() == value))
    };
    if is("PodScheduled", "").is_some_and(|c| c["reason"].text() == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut tally.reason);
    }
    tally.all =
        spec["containers"].items().len() + spec["initContainers"].items().iter().filter(|c| is_sidecar(c)).count();
    let starting = init_containers(spec, status, &mut tally);
    if !starting || is("Initialized", "True").is_some() {
        containers(status, is("Ready", "True").is_some(), &mut tally);
    }
    if pod["metadata"]["deletionTimestamp"].is_set() {
        let ended = matches!(status["phase"].text(), "Succeeded" | "Failed");
        if status["reason"].text() == "NodeLost" {
            "Unknown".clone_into(&mut tally.reason);
        } else if !ended {
            "Terminating".clone_into(&mut tally.reason);
        }
    }
    let or_none = |text: &str| Value::from(if text.is_empty() { "<none>" } else { text });
    let first_ip = if status["podIP"].is_unset() { &status["podIPs"][0]["ip"] } else { &status["podIP"] };
    vec![
        name_cell(pod),
        format!("{}/{}", tally.ready, tally.all).into(),
        tally.reason.as_str().into(),
        restarts(&tally, now),
        age_cell(pod, now),
        or_none(first_ip.text()),
        or_none(spec["nodeName"].text()),
        or_none(status["nominatedNodeName"].text()),
        gates(spec, conditions),
    ]
}

fn restarts(tally: &Tally, now: Timestamp) -> Value {
    match tally.last_restart {
        Some(last) if tally.restarts != 0 => {
            format!("{} ({} ago)", tally.restarts, human(now.duration_since(last).as_secs())).into()
        }
        _ => tally.restarts.to_string().into(),
    }
}

fn gates(spec: &Value, conditions: &[Value]) -> Value {
    let gates = spec["readinessGates"].items();
    if gates.is_empty() {
        return "<none>".into();
    }
    let met = |gate: &&Value| {
        let condition = conditions.iter().find(|c| c["type"] == gate["conditionType"]);
        condition.is_some_and(|c| c["status"].text() == "True")
    };
    format!("{}/{}", gates.iter().filter(met).count(), gates.len()).into()
}

/// True when init containers still say how the pod is doing.
fn init_containers(spec: &Value, status: &Value, tally: &mut Tally) -> bool {
    let specs = spec["initContainers"].items();
    for (index, container) in status["initContainerStatuses"].items().iter().enumerate() {
        let of = specs.iter().find(|c| c["name"] == container["name"]);
        let sidecar = of.is_some_and(is_sidecar);
        tally.restarts += container["restartCount"].int().unwrap_or(0);
        later(&mut tally.last_restart, ended_before(container));
        if sidecar {
            tally.sidecar_restarts += container["restartCount"].int().unwrap_or(0);
            later(&mut tally.last_sidecar_restart, ended_before(container));
        }
        let (ended, waiting) = (&container["state"]["terminated"], &container["state"]["waiting"]);
        if ended.is_set() && ended["exitCode"].int().unwrap_or(0) == 0 {
            continue;
        }
        if sidecar && container["started"].yes() {
            tally.ready += usize::from(container["ready"].yes());
            continue;
        }
        tally.reason = if ended.is_set() {
            format!("Init:{}", ended_reason(ended))
        } else if !waiting["reason"].is_unset() && waiting["reason"].text() != "PodInitializing" {
            format!("Init:{}", waiting["reason"].text())
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return true;
    }
    false
}

fn containers(status: &Value, pod_ready: bool, tally: &mut Tally) {
    tally.restarts = tally.sidecar_restarts;
    tally.last_restart = tally.last_sidecar_restart;
    let mut running = false;
    for container in status["containerStatuses"].items().iter().rev() {
        tally.restarts += container["restartCount"].int().unwrap_or(0);
        later(&mut tally.last_restart, ended_before(container));
        let state = &container["state"];
        if !state["waiting"]["reason"].is_unset() {
            state["waiting"]["reason"].text().clone_into(&mut tally.reason);
        } else if state["terminated"].is_set() {
            tally.reason = ended_reason(&state["terminated"]);
        } else if container["ready"].yes() && state["running"].is_set() {
            running = true;
            tally.ready += 1;
        }
    }
    // one has finished, another still runs
    if tally.reason == "Completed" && running {
        tally.reason = if pod_ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn ended_reason(ended: &Value) -> String {
    let (reason, signal) = (ended["reason"].text(), ended["signal"].int().unwrap_or(0));
    match (reason, signal) {
        ("", 0) => format!("ExitCode:{}", ended["exitCode"].int().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn ended_before(container: &Value) -> Option<Timestamp> {
    container["lastState"]["terminated"]["finishedAt"].text().parse().ok()
}

fn later(time: &mut Option<Timestamp>, other: Option<Timestamp>) {
    *time = (*time).max(other);
}
