//! Requests and limits as what control groups and the kernel's out-of-memory killer know.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_types::amounts::{Amounts, Init, of_containers};
use k8s_types::quantity::Quantity;
use pods::runtime::Resources;

use super::qos::{Qos, qos};

const PERIOD: u64 = 100_000;
const LEAST_QUOTA: i64 = 1000;
const LEAST_SHARES: u64 = 2;
const MOST_SHARES: u64 = 262_144;
const GUARANTEED_SCORE: i64 = -997;
const BEST_EFFORT_SCORE: i64 = 1000;
/// Priority of `system-node-critical`, the highest there is.
const NODE_CRITICAL: i32 = 2_000_001_000;

/// A list of amounts; what is no amount counts as nothing (the API server takes no such object).
pub fn amounts(list: Option<&BTreeMap<String, Text>>) -> Amounts {
    let parsed = list.into_iter().flatten();
    parsed.filter_map(|(name, text)| Some((name.clone(), Quantity::parse(&text.0).ok()?))).collect()
}

/// Whether two say the same, however the amounts are written.
pub fn same(one: Option<&ResourceRequirements>, other: Option<&ResourceRequirements>) -> bool {
    let lists = |of: Option<&ResourceRequirements>| {
        (amounts(of.and_then(|of| of.requests.as_ref())), amounts(of.and_then(|of| of.limits.as_ref())))
    };
    lists(one) == lists(other)
}

/// Whether two differ in one resource.
pub fn differs(one: Option<&ResourceRequirements>, other: Option<&ResourceRequirements>, name: &str) -> bool {
    let lists = |of: Option<&ResourceRequirements>| {
        let amount = |list: Option<&BTreeMap<String, Text>>| amounts(list).remove(name);
        (amount(of.and_then(|of| of.requests.as_ref())), amount(of.and_then(|of| of.limits.as_ref())))
    };
    lists(one) != lists(other)
}

/// What a container asks for: where it says only a limit, that.
fn requests(resources: Option<&ResourceRequirements>) -> Amounts {
    let mut all = amounts(resources.and_then(|resources| resources.limits.as_ref()));
    all.extend(amounts(resources.and_then(|resources| resources.requests.as_ref())));
    all
}

/// The limits of one container. `capacity` is the node's memory in bytes.
pub fn of_container(pod: &Pod, container: &Container, capacity: i64) -> Resources {
    let resources = container.resources.as_ref();
    let limits = amounts(resources.and_then(|resources| resources.limits.as_ref()));
    // A limit of the pod as a whole holds for each of its containers too, where they have none.
    let whole = amounts(pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.limits.as_ref()));
    let limit = |name: &str| limits.get(name).or_else(|| whole.get(name)).filter(|amount| !amount.is_zero());
    Resources {
        cpu_shares: shares(requests(resources).get("cpu").map_or(0, Quantity::milli_value)),
        cpu_quota: limit("cpu").map(|amount| quota(amount.milli_value())),
        cpu_period: PERIOD,
        memory: limit("memory").map(Quantity::value),
        pids: None,
        oom_score_adj: oom_score_adj(pod, container, capacity),
        hugepages: hugepages(&limits),
    }
}

/// The limits of a pod as a whole: a limit only where every container has one, or where the pod itself says it.
pub fn of_pod(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let requests = total(spec, List::Requests);
    let limits = total(spec, List::Limits);
    let limited = |name: &str| {
        let own =
            spec.resources.as_ref().and_then(|whole| whole.limits.as_ref()).is_some_and(|all| all.contains_key(name));
        let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let every = containers.all(|container| {
            let limits = amounts(container.resources.as_ref().and_then(|resources| resources.limits.as_ref()));
            limits.get(name).is_some_and(|amount| !amount.is_zero())
        });
        if own || every { limits.get(name).filter(|amount| !amount.is_zero()) } else { None }
    };
    let best_effort = qos(pod) == Qos::BestEffort;
    Resources {
        cpu_shares: shares(requests.get("cpu").map_or(0, Quantity::milli_value)),
        cpu_quota: limited("cpu").filter(|_| !best_effort).map(|amount| quota(amount.milli_value())),
        cpu_period: PERIOD,
        memory: limited("memory").filter(|_| !best_effort).map(Quantity::value),
        pids: None,
        oom_score_adj: 0,
        hugepages: hugepages(&limits),
    }
}

/// What a pod asks of a node, by resource.
pub fn requested(pod: &Pod) -> Amounts {
    pod.spec.as_ref().map(|spec| total(spec, List::Requests)).unwrap_or_default()
}

#[derive(Clone, Copy)]
enum List {
    Requests,
    Limits,
}

/// What a pod asks for as a whole: its containers and sidecars together, or the greatest moment while it is initialised; what the pod itself says goes before.
fn total(spec: &PodSpec, list: List) -> Amounts {
    let of = |resources: Option<&ResourceRequirements>| match list {
        List::Requests => requests(resources),
        List::Limits => amounts(resources.and_then(|resources| resources.limits.as_ref())),
    };
    let containers = spec.containers.iter().map(|container| of(container.resources.as_ref()));
    let init = spec.init_containers.iter().flatten();
    let init = init.map(|container| (Init::of(container.restart_policy.as_deref()), of(container.resources.as_ref())));
    let mut running = of_containers(containers, init);
    let whole = spec.resources.as_ref().and_then(|whole| match list {
        List::Requests => whole.requests.as_ref(),
        List::Limits => whole.limits.as_ref(),
    });
    running.extend(amounts(whole));
    let overhead = amounts(spec.overhead.as_ref());
    for (name, amount) in &overhead {
        match (list, running.get_mut(name)) {
            (_, Some(there)) => there.add(amount),
            (List::Requests, None) => drop(running.insert(name.clone(), amount.clone())),
            (List::Limits, None) => {}
        }
    }
    running
}

fn shares(milli: i64) -> u64 {
    let milli = u64::try_from(milli).unwrap_or(0);
    (milli.saturating_mul(1024) / 1000).clamp(LEAST_SHARES, MOST_SHARES)
}

fn quota(milli: i64) -> i64 {
    (milli.saturating_mul(PERIOD as i64) / 1000).max(LEAST_QUOTA)
}

fn hugepages(limits: &Amounts) -> BTreeMap<String, u64> {
    let sizes = limits.iter().filter_map(|(name, amount)| Some((name.strip_prefix("hugepages-")?, amount.value())));
    sizes.map(|(size, bytes)| (size.to_owned(), u64::try_from(bytes).unwrap_or(0))).collect()
}

/// Who the kernel ends first when memory runs out: those who ask for least of the node's `capacity`.
pub fn oom_score_adj(pod: &Pod, container: &Container, capacity: i64) -> i64 {
    let Some(spec) = &pod.spec else { return BEST_EFFORT_SCORE };
    if spec.priority.is_some_and(|priority| priority >= NODE_CRITICAL) {
        return GUARANTEED_SCORE;
    }
    match qos(pod) {
        Qos::Guaranteed => return GUARANTEED_SCORE,
        Qos::BestEffort => return BEST_EFFORT_SCORE,
        Qos::Burstable => {}
    }
    let request =
        |container: &Container| requests(container.resources.as_ref()).get("memory").map_or(0, Quantity::value);
    let rest = shared_request(spec, &request);
    let capacity = i128::from(capacity.max(1));
    let score = |bytes: i64| 1000 - i64::try_from(1000 * i128::from(bytes) / capacity).unwrap_or(1000);
    let mut own = score(request(container).saturating_add(rest));
    let is_sidecar = container.restart_policy.as_deref() == Some("Always")
        && spec.init_containers.iter().flatten().any(|init| init.name == container.name);
    if is_sidecar {
        // A sidecar is not ended before the containers that need it.
        let least = spec.containers.iter().map(request).min().unwrap_or(0);
        own = own.min(score(least.saturating_add(rest)));
    }
    own.clamp(1000 + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
}

/// What the pod as a whole asks for beyond its containers, for each of them.
fn shared_request(spec: &PodSpec, request: &dyn Fn(&Container) -> i64) -> i64 {
    let whole = amounts(spec.resources.as_ref().and_then(|whole| whole.requests.as_ref()));
    let Some(whole) = whole.get("memory").map(Quantity::value) else { return 0 };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let all: Vec<i64> = spec.containers.iter().chain(sidecars).map(request).collect();
    let used = all.iter().fold(0i64, |sum, bytes| sum.saturating_add(*bytes));
    (whole - used).max(0) / i64::try_from(all.len().max(1)).unwrap_or(1)
}
