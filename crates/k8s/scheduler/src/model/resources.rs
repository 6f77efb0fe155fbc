//! Amounts of resources, and what a pod asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_types::amounts::{Init, Sum, of_containers};

/// What a container without a request for processor time counts for in scores, in thousandths.
const DEFAULT_CPU: i64 = 100;
/// The same for memory, in bytes.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts: processors in thousandths, memory and storage in bytes, others in their own unit, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub cpu: i64,
    pub memory: i64,
    pub storage: i64,
    pub others: Vec<(Arc<str>, i64)>,
}

impl Resources {
    /// Reads a list as nodes and containers have it; `pods` is left out.
    pub fn read(list: Option<&BTreeMap<String, Quantity>>) -> Resources {
        let mut read = Resources::default();
        for (name, quantity) in list.into_iter().flatten() {
            match name.as_str() {
                "cpu" => read.cpu = milli(quantity),
                "memory" => read.memory = whole(quantity),
                "ephemeral-storage" => read.storage = whole(quantity),
                "pods" => {}
                other => read.others.push((other.into(), whole(quantity))),
            }
        }
        read
    }

    /// Whether nothing at all is asked for.
    pub fn is_zero(&self) -> bool {
        self.cpu == 0 && self.memory == 0 && self.storage == 0 && self.others.iter().all(|(_, amount)| *amount == 0)
    }

    /// An amount of a resource that has no field of its own.
    pub fn other(&self, name: &str) -> i64 {
        self.others.iter().find(|(other, _)| &**other == name).map_or(0, |(_, amount)| *amount)
    }

    pub fn sub(&mut self, less: &Resources) {
        self.combine(less, |mine, less| mine.saturating_sub(less));
        self.others.retain(|(_, amount)| *amount != 0);
    }

    fn combine(&mut self, other: &Resources, by: impl Fn(i64, i64) -> i64) {
        self.cpu = by(self.cpu, other.cpu);
        self.memory = by(self.memory, other.memory);
        self.storage = by(self.storage, other.storage);
        for (name, amount) in &other.others {
            match self.others.binary_search_by(|(mine, _)| mine.cmp(name)) {
                Ok(at) => self.others[at].1 = by(self.others[at].1, *amount),
                Err(at) => self.others.insert(at, (name.clone(), by(0, *amount))),
            }
        }
    }
}

impl Sum for Resources {
    fn add(&mut self, more: &Resources) {
        self.combine(more, |mine, more| mine.saturating_add(more));
    }

    fn raise(&mut self, other: &Resources) {
        self.combine(other, Ord::max);
    }
}

/// A whole number, rounded up; what is no quantity counts as nothing.
pub fn whole(quantity: &Quantity) -> i64 {
    k8s_types::quantity::Quantity::parse(&quantity.0).map_or(0, |quantity| quantity.value())
}

fn milli(quantity: &Quantity) -> i64 {
    k8s_types::quantity::Quantity::parse(&quantity.0).map_or(0, |quantity| quantity.milli_value())
}

/// What a pod asks for, and what it counts for in scores: processors and memory with a default where a container says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub all: Resources,
    pub counted: [i64; 2],
}

impl Requests {
    /// Of a pod that is new: containers, sidecars from their place on, the greatest init container, overhead, and the pod's own amounts, which win.
    pub fn of(spec: &PodSpec) -> Requests {
        let exact = total(spec, container_requests);
        let counted = total(spec, |container| {
            let mut requests = container_requests(container);
            let asked = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let says = |name: &str| asked.is_some_and(|asked| asked.contains_key(name));
            if !says("cpu") {
                requests.cpu = DEFAULT_CPU;
            }
            if !says("memory") {
                requests.memory = DEFAULT_MEMORY;
            }
            requests
        });
        Requests { counted: [counted.cpu, counted.memory], all: exact }
    }

    /// Of a pod that runs: while it is resized it holds what it had and what it will have.
    pub fn held(pod: &Pod, template: &Requests) -> Option<Requests> {
        let status = pod.status.as_ref()?;
        let allocated = status.container_statuses.iter().flatten().filter_map(|container| {
            Some((container.name.as_str(), Resources::read(Some(container.allocated_resources.as_ref()?))))
        });
        let allocated: BTreeMap<&str, Resources> = allocated.collect();
        if allocated.is_empty() {
            return None;
        }
        let held = total(pod.spec.as_ref()?, |container| {
            let mut requests = container_requests(container);
            if let Some(allocated) = allocated.get(container.name.as_str()) {
                requests.raise(allocated);
            }
            requests
        });
        (held != template.all).then(|| {
            let counted = [template.counted[0].max(held.cpu), template.counted[1].max(held.memory)];
            Requests { all: held, counted }
        })
    }
}

fn container_requests(container: &Container) -> Resources {
    Resources::read(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

fn total(spec: &PodSpec, of: impl Fn(&Container) -> Resources) -> Resources {
    let init = spec.init_containers.iter().flatten();
    let init = init.map(|container| (Init::of(container.restart_policy.as_deref()), of(container)));
    let mut running = of_containers(spec.containers.iter().map(&of), init);
    let own = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    for (name, quantity) in own.into_iter().flatten() {
        match name.as_str() {
            "cpu" => running.cpu = milli(quantity),
            "memory" => running.memory = whole(quantity),
            name if name.starts_with("hugepages-") => {
                running.others.retain(|(other, _)| &**other != name);
                running.add(&Resources { others: vec![(name.into(), whole(quantity))], ..Resources::default() });
            }
            _ => {}
        }
    }
    running.add(&Resources::read(spec.overhead.as_ref()));
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn check(spec: Value, cpu: i64, memory: i64) {
        let requests = Requests::of(&from_value(spec).unwrap());
        assert_eq!((requests.all.cpu, requests.all.memory), (cpu, memory));
    }

    fn container(name: &str, cpu: &str, memory: &str, sidecar: bool) -> Value {
        let mut container = json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}});
        if sidecar {
            container["restartPolicy"] = "Always".into();
        }
        container
    }

    #[test]
    fn init_containers_sidecars_overhead_and_the_pods_own_amounts_count() {
        let app = container("app", "100m", "10", false);
        check(json!({"containers": [app, app]}), 200, 20);
        check(json!({"containers": [app], "initContainers": [container("i", "1", "5", false)]}), 1000, 10);
        let sidecar = container("s", "50m", "7", true);
        check(json!({"containers": [app], "initContainers": [sidecar]}), 150, 17);
        let after = json!([sidecar, container("i", "120m", "1", false)]);
        check(json!({"containers": [app], "initContainers": after}), 170, 17);
        let before = json!([container("i", "120m", "1", false), sidecar]);
        check(json!({"containers": [app], "initContainers": before}), 150, 17);
        check(json!({"containers": [app], "overhead": {"cpu": "5m"}}), 105, 10);
        let own = json!({"requests": {"cpu": "2"}});
        check(json!({"containers": [app], "resources": own, "overhead": {"cpu": "5m"}}), 2005, 10);
    }

    #[test]
    fn who_asks_for_nothing_counts_for_something() {
        let spec = json!({"containers": [{"name": "a"}, container("b", "1", "1", false)]});
        let requests = Requests::of(&from_value(spec).unwrap());
        assert_eq!(requests.counted, [1100, DEFAULT_MEMORY + 1]);
        assert!(!requests.all.is_zero());
    }
}
