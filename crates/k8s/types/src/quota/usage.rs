//! What one object uses of what quotas count.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::amounts::{Amounts, pod_amounts};
use crate::policy::read::Read;
use crate::quantity::{Format, Quantity};

/// Whose objects are counted: group (empty for core) and plural name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    pub group: &'a str,
    pub plural: &'a str,
}

/// Counted by their plain name too.
const PLAIN: [&str; 7] =
    ["configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"];
/// What containers must say when a quota counts it.
const TO_SPECIFY: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
const OF_DEVICES: &str = ".deviceclass.resource.k8s.io/devices";

impl Subject<'_> {
    /// `count/deployments.apps`
    fn count_name(&self) -> String {
        match self.group {
            "" => format!("count/{}", self.plural),
            group => format!("count/{}.{group}", self.plural),
        }
    }

    fn is_core(&self, plural: &str) -> bool {
        self.group.is_empty() && self.plural == plural
    }
}

/// Whether a name of a quota is about objects of this subject.
pub fn concerns(subject: Subject<'_>, name: &str) -> bool {
    if name == subject.count_name() || (PLAIN.contains(&subject.plural) && subject.is_core(name)) {
        return true;
    }
    match subject.plural {
        "pods" if subject.group.is_empty() => of_pods(name),
        "services" if subject.group.is_empty() => matches!(name, "services.loadbalancers" | "services.nodeports"),
        "persistentvolumeclaims" if subject.group.is_empty() => name == "requests.storage" || name.contains(OF_CLASS),
        "resourceclaims" if subject.group == "resource.k8s.io" => name.ends_with(OF_DEVICES),
        _ => false,
    }
}

fn of_pods(name: &str) -> bool {
    let standard = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage");
    let of_node = |name: &str| standard(name) || name.starts_with("hugepages-");
    if of_node(name) || name.strip_prefix("limits.").is_some_and(standard) {
        return true;
    }
    let extended = |name: &str| name.contains('/') && !name.contains(OF_CLASS);
    name.strip_prefix("requests.").is_some_and(|name| of_node(name) || extended(name))
}

/// What an object uses.
pub fn usage(subject: Subject<'_>, object: &Value) -> Amounts {
    let mut used = Amounts::from([(subject.count_name(), number(1))]);
    if subject.is_core("pods") {
        pod(object, &mut used);
    } else if PLAIN.contains(&subject.plural) && subject.group.is_empty() {
        used.insert(subject.plural.to_owned(), number(1));
    }
    match (subject.group, subject.plural) {
        ("", "services") => service(object, &mut used),
        ("", "persistentvolumeclaims") => claim(object, &mut used),
        ("resource.k8s.io", "resourceclaims") => devices(object, &mut used),
        _ => {}
    }
    used
}

fn number(count: usize) -> Quantity {
    Quantity::new(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSi)
}

/// Pods that are through use nothing but their place among the objects.
fn pod(pod: &Value, used: &mut Amounts) {
    if is_through(pod) {
        return;
    }
    used.insert("pods".to_owned(), number(1));
    for (name, amount) in pod_amounts(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            used.insert(format!("requests.{name}"), amount.clone());
            used.insert(name, amount);
        } else if name.contains('/') {
            used.insert(format!("requests.{name}"), amount);
        }
    }
    for (name, amount) in pod_amounts(pod, "limits") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(format!("limits.{name}"), amount);
        }
    }
}

fn is_through(pod: &Value) -> bool {
    if matches!(pod["status"]["phase"].text(), "Failed" | "Succeeded") {
        return true;
    }
    let metadata = &pod["metadata"];
    let Ok(due) = metadata["deletionTimestamp"].text().parse::<Timestamp>() else { return false };
    let Some(grace) = metadata["deletionGracePeriodSeconds"].int() else { return false };
    due.checked_add(SignedDuration::from_secs(grace)).is_ok_and(|end| Timestamp::now() > end)
}

fn service(service: &Value, used: &mut Amounts) {
    let (spec, ports) = (&service["spec"], service["spec"]["ports"].items());
    let node_ports = match spec["type"].text() {
        "NodePort" => ports.len(),
        "LoadBalancer" => {
            used.insert("services.loadbalancers".to_owned(), number(1));
            let none = spec["allocateLoadBalancerNodePorts"].as_bool() == Some(false);
            ports.iter().filter(|port| !none || port["nodePort"].int().unwrap_or(0) != 0).count()
        }
        _ => return,
    };
    used.insert("services.nodeports".to_owned(), number(node_ports));
}

fn claim(claim: &Value, used: &mut Amounts) {
    let spec = &claim["spec"];
    let class = match claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].text() {
        "" => spec["storageClassName"].text(),
        class => class,
    };
    if !class.is_empty() {
        used.insert(format!("{class}{OF_CLASS}persistentvolumeclaims"), number(1));
    }
    let Ok(asked) = Quantity::from_value(&spec["resources"]["requests"]["storage"]) else { return };
    let granted = Quantity::from_value(&claim["status"]["allocatedResources"]["storage"]).ok();
    let size = granted.filter(|granted| *granted > asked).unwrap_or(asked);
    if !class.is_empty() {
        used.insert(format!("{class}{OF_CLASS}requests.storage"), size.clone());
    }
    used.insert("requests.storage".to_owned(), size);
}

/// Devices of a claim by class; of alternatives the largest counts.
fn devices(claim: &Value, used: &mut Amounts) {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for request in claim["spec"]["devices"]["requests"].items() {
        let count = |one: &Value| match one["allocationMode"].text() {
            "All" => 32,
            _ => one["count"].int().unwrap_or(1),
        };
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        let exactly = request["exactly"].is_set().then_some(&request["exactly"]);
        for one in exactly.into_iter().chain(request["firstAvailable"].items()) {
            let entry = most.entry(one["deviceClassName"].text()).or_default();
            *entry = (*entry).max(count(one));
        }
        most.into_iter().for_each(|(class, count)| *sums.entry(class.to_owned()).or_default() += count);
    }
    for (class, count) in sums {
        used.insert(format!("{class}{OF_DEVICES}"), Quantity::new(count, Format::DecimalSi));
    }
}

/// What containers leave unsaid although a quota counts it: `limits.cpu for: a,b; requests.cpu for: a`.
pub fn unspecified(subject: Subject<'_>, names: &[String], object: &Value) -> Option<String> {
    if !subject.is_core("pods") {
        return None;
    }
    let wanted = TO_SPECIFY.iter().filter(|name| names.iter().any(|n| n == *name));
    let spec = &object["spec"];
    let says = |resources: &Value, name: &str| match name.split_once('.') {
        Some((field, name)) => resources[field][name].is_set(),
        None => resources["requests"][name].is_set(),
    };
    let faults: Vec<String> = wanted
        .filter(|name| !says(&spec["resources"], name))
        .filter_map(|name| {
            let containers = spec["containers"].items().iter().chain(spec["initContainers"].items());
            let silent = containers.filter(|c| !says(&c["resources"], name));
            let mut silent: Vec<&str> = silent.map(|c| c["name"].text()).collect();
            silent.sort_unstable();
            (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
        })
        .collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}
