//! Whether a pod may run here at all: what the scheduler checks, once more by the node, for pods that name it themselves or were placed on old news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_client::placement;
use k8s_openapi::api::core::v1::Node;
use k8s_types::quantity::{Format, Quantity};

use crate::security::{Qos, qos, resources};
use crate::status::Verdict;
use crate::view::View;

/// What the pods of this node hold; a cheap handle.
#[derive(Clone, Default)]
pub struct Admission {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    allocatable: BTreeMap<String, Quantity>,
    max_pods: usize,
    pressure: Pressure,
    held: BTreeMap<String, Held>,
}

/// What the node lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    pub memory: bool,
    pub disk: bool,
    pub pids: bool,
}

struct Held {
    requests: BTreeMap<String, Quantity>,
    ports: BTreeSet<Port>,
}

type Port = (String, String, i32);

fn refused(reason: impl Into<String>, message: impl Into<String>) -> Verdict {
    Verdict { reason: reason.into(), message: message.into(), disruption: false }
}

fn ports(view: &View) -> BTreeSet<Port> {
    let all = view.init.iter().chain(&view.app).flat_map(|part| part.container.ports.iter().flatten());
    let wanted = all.filter_map(|port| {
        let host = port.host_port.filter(|host| *host > 0)?;
        let address =
            port.host_ip.clone().filter(|ip| !ip.is_empty() && ip != "0.0.0.0" && ip != "::").unwrap_or_default();
        Some((port.protocol.clone().unwrap_or_else(|| "TCP".into()), address, host))
    });
    wanted.collect()
}

fn clash(a: &Port, b: &Port) -> bool {
    a.0 == b.0 && a.2 == b.2 && (a.1 == b.1 || a.1.is_empty() || b.1.is_empty())
}

impl Admission {
    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What pods can have of the node.
    pub fn limit(&self, allocatable: BTreeMap<String, Quantity>, max_pods: usize) {
        self.with(|state| (state.allocatable, state.max_pods) = (allocatable, max_pods));
    }

    pub fn press(&self, pressure: Pressure) {
        self.with(|state| state.pressure = pressure);
    }

    pub fn pressure(&self) -> Pressure {
        self.with(|state| state.pressure)
    }

    /// A pod that ran here before holds what it holds.
    pub fn hold(&self, view: &View) {
        let held = Held { requests: resources::requested(&view.pod), ports: ports(view) };
        self.with(|state| state.held.insert(view.uid.clone(), held));
    }

    /// Gives a pod that runs what it asks for now, or leaves it what it has.
    ///
    /// # Errors
    /// Reason and message of the condition `PodResizePending`.
    pub fn resize(&self, view: &View) -> Result<(), (&'static str, String)> {
        let wanted = Held { requests: resources::requested(&view.pod), ports: ports(view) };
        let told = |reason, verdict: Verdict| (reason, verdict.message.replacen("Pod was rejected: ", "", 1));
        self.with(|state| {
            amounts(state, &wanted, &BTreeMap::new()).map_err(|verdict| told("Infeasible", verdict))?;
            let had = state.held.remove(&view.uid);
            let fits = amounts(state, &wanted, &state.held);
            let held = if fits.is_ok() { Some(wanted) } else { had };
            if let Some(held) = held {
                state.held.insert(view.uid.clone(), held);
            }
            fits.map_err(|verdict| told("Deferred", verdict))
        })
    }

    pub fn release(&self, uid: &str) {
        self.with(|state| state.held.remove(uid));
    }

    /// Takes a pod in, or says why not.
    ///
    /// # Errors
    /// What becomes of the pod's status.
    pub fn admit(&self, view: &View, node: Option<&Node>) -> Result<(), Verdict> {
        if let Some(node) = node.filter(|node| !placement::selects(view.spec(), node)) {
            let name = node.metadata.name.as_deref().unwrap_or("");
            let message = format!(
                "Pod was rejected: Predicate NodeAffinity failed: node {name} does not match the pod's selector or affinity"
            );
            return Err(refused("NodeAffinity", message));
        }
        let wanted = Held { requests: resources::requested(&view.pod), ports: ports(view) };
        self.with(|state| {
            check(state, view, &wanted)?;
            state.held.insert(view.uid.clone(), wanted);
            Ok(())
        })
    }
}

fn check(state: &State, view: &View, wanted: &Held) -> Result<(), Verdict> {
    let critical = view.spec().priority.is_some_and(|priority| priority >= 2_000_000_000);
    let evicts =
        (state.pressure.memory && qos(&view.pod) == Qos::BestEffort) || state.pressure.disk || state.pressure.pids;
    if evicts && !critical {
        let lacks = [
            (state.pressure.memory, "MemoryPressure"),
            (state.pressure.disk, "DiskPressure"),
            (state.pressure.pids, "PIDPressure"),
        ];
        let lacks: Vec<&str> = lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, name)| name).collect();
        return Err(refused("Evicted", format!("Pod was rejected: The node had condition: [{}]. ", lacks.join(" "))));
    }
    if state.held.len() >= state.max_pods && state.max_pods > 0 {
        return Err(lacking("pods", 1, state.held.len() as i64, state.max_pods as i64));
    }
    let taken = state.held.values().flat_map(|held| &held.ports);
    if taken.into_iter().any(|one| wanted.ports.iter().any(|port| clash(one, port))) {
        return Err(refused(
            "NodePorts",
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ));
    }
    amounts(state, wanted, &state.held)
}

/// Whether what is asked for is left beside what others hold.
fn amounts(state: &State, wanted: &Held, others: &BTreeMap<String, Held>) -> Result<(), Verdict> {
    for (name, request) in &wanted.requests {
        // Of what the node does not know, it has none.
        let capacity = state.allocatable.get(name).cloned().unwrap_or(Quantity::new(0, Format::DecimalSi));
        let used = others.values().filter_map(|held| held.requests.get(name)).map(Quantity::milli_value).sum::<i64>();
        if request.milli_value() > 0 && used.saturating_add(request.milli_value()) > capacity.milli_value() {
            let unit = if name == "cpu" { 1 } else { 1000 };
            return Err(lacking(name, request.milli_value() / unit, used / unit, capacity.milli_value() / unit));
        }
    }
    Ok(())
}

fn lacking(name: &str, wanted: i64, used: i64, capacity: i64) -> Verdict {
    let message = format!(
        "Pod was rejected: Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
    );
    refused(format!("OutOf{name}"), message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(uid: &str, spec: Value) -> View {
        let pod = json!({ "metadata": { "name": uid, "uid": uid }, "spec": spec });
        View::new(std::sync::Arc::new(serde_json::from_value(pod).unwrap()))
    }

    fn wants(cpu: &str, port: i32) -> Value {
        json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "hostPort": port }], "resources": { "requests": { "cpu": cpu } } }] })
    }

    #[test]
    fn what_is_held_cannot_be_had_again_until_it_is_released() {
        let admission = Admission::default();
        admission.limit(BTreeMap::from([("cpu".into(), Quantity::parse("2").unwrap())]), 3);
        assert_eq!(admission.admit(&view("a", wants("1500m", 80)), None), Ok(()));
        let refusal = admission.admit(&view("b", wants("1", 81)), None).unwrap_err();
        assert_eq!(refusal.reason, "OutOfcpu");
        assert!(refusal.message.ends_with("cpu, requested: 1000, used: 1500, capacity: 2000"));
        assert_eq!(admission.admit(&view("c", wants("100m", 80)), None).unwrap_err().reason, "NodePorts");
        admission.release("a");
        assert_eq!(admission.admit(&view("b", wants("1", 80)), None), Ok(()));
    }

    #[test]
    fn a_pod_grows_into_what_is_left_and_keeps_what_it_has_where_nothing_is() {
        let admission = Admission::default();
        admission.limit(BTreeMap::from([("cpu".into(), Quantity::parse("2").unwrap())]), 3);
        assert_eq!(admission.admit(&view("a", wants("1", 80)), None), Ok(()));
        assert_eq!(admission.admit(&view("b", wants("500m", 81)), None), Ok(()));
        assert_eq!(admission.resize(&view("a", wants("1500m", 80))), Ok(()));
        let (reason, message) = admission.resize(&view("b", wants("600m", 81))).unwrap_err();
        assert_eq!(reason, "Deferred");
        let lacks = "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000";
        assert_eq!(message, lacks);
        assert_eq!(admission.resize(&view("b", wants("3", 81))).unwrap_err().0, "Infeasible");
        admission.release("a");
        assert_eq!(admission.resize(&view("b", wants("600m", 81))), Ok(()));
    }

    #[test]
    fn selectors_and_affinity_have_to_fit() {
        let node: Node =
            serde_json::from_value(json!({ "metadata": { "name": "n", "labels": { "disk": "ssd", "gen": "4" } } }))
                .unwrap();
        let fits = |spec: Value| Admission::default().admit(&view("a", spec), Some(&node)).is_ok();
        assert!(fits(json!({ "containers": [], "nodeSelector": { "disk": "ssd" } })));
        assert!(!fits(json!({ "containers": [], "nodeSelector": { "disk": "hdd" } })));
        let required = |expressions: Value| json!({ "containers": [], "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": expressions }] } } } });
        assert!(fits(required(json!([{ "key": "gen", "operator": "Gt", "values": ["3"] }]))));
        assert!(!fits(required(json!([{ "key": "gen", "operator": "NotIn", "values": ["4"] }]))));
        assert!(!fits(required(json!([{ "key": "x", "operator": "Exists" }]))));
    }
}
