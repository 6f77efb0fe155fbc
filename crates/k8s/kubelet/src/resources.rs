//! Requests and limits as a node applies them: classes of service, control groups, shares, quotas, and who is killed first.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_types::quantity::Quantity;
use pods::runtime::Resources;

/// The period of cpu quotas, in microseconds.
const PERIOD: u64 = 100_000;
/// The least quota that the kernel takes.
const LEAST_QUOTA: i64 = 1000;
const LEAST_SHARES: u64 = 2;
const MOST_SHARES: u64 = 262_144;

/// Class of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    BestEffort,
    Burstable,
    Guaranteed,
}

impl Qos {
    pub fn name(self) -> &'static str {
        match self {
            Qos::BestEffort => "BestEffort",
            Qos::Burstable => "Burstable",
            Qos::Guaranteed => "Guaranteed",
        }
    }
}

/// An amount, nothing where it is none.
pub fn amount(text: &Text) -> Quantity {
    Quantity::parse(&text.0).unwrap_or(Quantity::ZERO)
}

fn of(amounts: Option<&BTreeMap<String, Text>>, name: &str) -> Option<Quantity> {
    amounts?.get(name).map(amount).filter(|amount| !amount.is_zero())
}

fn request(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    resources.and_then(|all| of(all.requests.as_ref(), name).or_else(|| of(all.limits.as_ref(), name)))
}

fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    resources.and_then(|all| of(all.limits.as_ref(), name))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
}

/// The class of a pod: what the API says, or what its containers come to.
pub fn qos(pod: &Pod) -> Qos {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => return Qos::Guaranteed,
        Some("Burstable") => return Qos::Burstable,
        Some("BestEffort") => return Qos::BestEffort,
        _ => {}
    }
    let whole = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let all: Vec<_> = match whole {
        Some(whole) => vec![Some(whole)],
        None => containers(pod).map(|container| container.resources.as_ref()).collect(),
    };
    let any = all.iter().any(|one| ["cpu", "memory"].iter().any(|name| request(*one, name).is_some()));
    let guaranteed = all.iter().all(|one| {
        ["cpu", "memory"].iter().all(|name| limit(*one, name).is_some() && request(*one, name) == limit(*one, name))
    });
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// The control group of a pod.
pub fn cgroup(pod: &Pod, uid: &str) -> String {
    match qos(pod) {
        Qos::Guaranteed => format!("/kubepods/pod{uid}"),
        Qos::Burstable => format!("/kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

fn shares(milli: i64) -> u64 {
    (u64::try_from(milli).unwrap_or(0) * 1024 / 1000).clamp(LEAST_SHARES, MOST_SHARES)
}

fn quota(limit: Option<Quantity>) -> Option<i64> {
    limit.map(|limit| (limit.milli_value().saturating_mul(PERIOD as i64) / 1000).max(LEAST_QUOTA))
}

fn huge_pages(resources: Option<&ResourceRequirements>) -> BTreeMap<String, u64> {
    let limits = resources.and_then(|all| all.limits.as_ref()).into_iter().flatten();
    limits
        .filter_map(|(name, text)| {
            let size = name.strip_prefix("hugepages-")?;
            Some((size.to_owned(), amount(text).value().try_into().unwrap_or(0)))
        })
        .collect()
}

/// What a container gets.
pub fn container(pod: &Pod, container: &Container, node_memory: u64) -> Resources {
    let own = container.resources.as_ref();
    Resources {
        cpu_shares: shares(request(own, "cpu").map_or(0, |cpu| cpu.milli_value())),
        cpu_quota: quota(limit(own, "cpu")),
        cpu_period: PERIOD,
        memory: limit(own, "memory").map(|memory| memory.value()),
        pids: None,
        oom_score_adj: oom_score_adj(pod, container, node_memory),
        hugepages: huge_pages(own),
    }
}

/// What a pod gets as a whole: limits only where every container has one, or where they are given for the pod.
pub fn pod(pod: &Pod) -> Resources {
    let requests = requested(pod);
    let whole = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let bound = |name: &str| -> Option<Quantity> {
        if let Some(limit) = limit(whole, name) {
            return Some(limit);
        }
        let all_limited = containers(pod).all(|container| limit(container.resources.as_ref(), name).is_some());
        all_limited.then(|| total(pod, |container| limit(container.resources.as_ref(), name)))
    };
    Resources {
        cpu_shares: shares(requests.get("cpu").map_or(0, Quantity::milli_value)),
        cpu_quota: quota(bound("cpu")),
        cpu_period: PERIOD,
        memory: bound("memory").map(|memory| memory.value()),
        ..Resources::default()
    }
}

/// Who the kernel kills first when memory runs out: the more a pod was promised, the later.
fn oom_score_adj(pod: &Pod, container: &Container, node_memory: u64) -> i64 {
    let critical = pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= 2_000_000_000);
    match qos(pod) {
        _ if critical => -997,
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let memory = request(container.resources.as_ref(), "memory").map_or(0, |memory| memory.value());
            let promised = 1000i128 * i128::from(memory) / i128::from(node_memory.max(1));
            // Never as safe as a guaranteed pod, never as exposed as one of best effort.
            (1000 - i64::try_from(promised).unwrap_or(1000)).clamp(3, 999)
        }
    }
}

/// The sum over the containers that run together, or what init containers need before, whichever is more.
fn total(pod: &Pod, each: impl Fn(&Container) -> Option<Quantity>) -> Quantity {
    let zero = || Quantity::ZERO;
    let Some(spec) = &pod.spec else { return zero() };
    let sum = spec.containers.iter().filter_map(&each).fold(zero(), |sum, more| plus(&sum, &more));
    let (mut beside, mut before) = (zero(), zero());
    for container in spec.init_containers.iter().flatten() {
        let Some(one) = each(container) else { continue };
        if container.restart_policy.as_deref() == Some("Always") {
            beside = plus(&beside, &one);
            before = greater(before, beside.clone());
        } else {
            before = greater(before, plus(&beside, &one));
        }
    }
    greater(plus(&sum, &beside), before)
}

fn plus(a: &Quantity, b: &Quantity) -> Quantity {
    // Thousandths are as fine as requests get.
    Quantity::from_milli(a.milli_value().saturating_add(b.milli_value()), a.format())
}

fn greater(a: Quantity, b: Quantity) -> Quantity {
    if b > a { b } else { a }
}

/// What a pod asks of a node, by resource.
pub fn requested(pod: &Pod) -> BTreeMap<String, Quantity> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let mut names: Vec<&String> = Vec::new();
    for container in containers(pod) {
        let Some(resources) = &container.resources else { continue };
        names.extend(resources.requests.iter().flatten().map(|(name, _)| name));
        names.extend(resources.limits.iter().flatten().map(|(name, _)| name));
    }
    let mut sums: BTreeMap<String, Quantity> = names
        .into_iter()
        .map(|name| (name.clone(), total(pod, |container| request(container.resources.as_ref(), name))))
        .collect();
    for (name, text) in spec.resources.iter().flat_map(|whole| whole.requests.iter().flatten()) {
        sums.insert(name.clone(), amount(text));
    }
    for (name, text) in spec.overhead.iter().flatten() {
        let sum = sums.entry(name.clone()).or_insert(Quantity::ZERO);
        *sum = plus(sum, &amount(text));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(resources: &[&str]) -> Pod {
        let containers: Vec<_> = resources
            .iter()
            .enumerate()
            .map(|(n, text)| {
                serde_json::json!({ "name": format!("c{n}"), "resources": serde_json::from_str::<serde_json::Value>(text).unwrap() })
            })
            .collect();
        serde_json::from_value(serde_json::json!({ "metadata": {}, "spec": { "containers": containers } })).unwrap()
    }

    #[test]
    fn classes_follow_requests_and_limits() {
        let class = |resources: &[&str]| qos(&made(resources));
        assert_eq!(class(&["{}", "{}"]), Qos::BestEffort);
        assert_eq!(class(&[r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#]), Qos::Guaranteed);
        assert_eq!(class(&[r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#, "{}"]), Qos::Burstable);
        assert_eq!(class(&[r#"{"requests":{"cpu":"1"}}"#]), Qos::Burstable);
    }

    #[test]
    fn a_container_gets_shares_quota_and_score() {
        let pod = made(&[r#"{"requests":{"cpu":"250m","memory":"1Gi"},"limits":{"cpu":"1500m","memory":"2Gi"}}"#]);
        let got = container(&pod, &pod.spec.as_ref().unwrap().containers[0], 8 << 30);
        assert_eq!((got.cpu_shares, got.cpu_quota, got.memory), (256, Some(150_000), Some(2 << 30)));
        assert_eq!(got.oom_score_adj, 875);
        assert_eq!(cgroup(&pod, "u"), "/kubepods/burstable/podu");
    }

    #[test]
    fn a_pod_is_limited_only_when_all_its_containers_are() {
        let one = r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#;
        assert_eq!(super::pod(&made(&[one, one])).memory, Some(2 << 30));
        assert_eq!(super::pod(&made(&[one, "{}"])).memory, None);
        assert_eq!(super::pod(&made(&[one, one])).cpu_shares, 2048);
    }
}
