//! Amounts of resources by name: sums, and what a pod as a whole asks for.
//!
//! How the containers of a pod add up is written once ([`of_containers`]), for whatever form somebody counts in ([`Sum`]): the API server over JSON, the
//! scheduler over numbers, the kubelet over quantities.

use std::collections::BTreeMap;

use crate::policy::read::Read;
use crate::quantity::Quantity;
use serde_json::{Map, Value};

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a map in an object; what cannot be read is left out.
pub fn amounts(map: &Value) -> Amounts {
    let pairs = map.fields().iter();
    pairs.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).collect()
}

/// The other way.
pub fn to_value(amounts: &Amounts) -> Value {
    let pairs = amounts.iter().map(|(name, amount)| (name.clone(), Value::from(amount.to_string())));
    Value::Object(pairs.collect::<Map<String, Value>>())
}

/// Amounts of several resources, in whatever form.
pub trait Sum: Clone + Default {
    /// Adds to what is there.
    fn add(&mut self, more: &Self);
    /// Takes the larger of both, resource by resource.
    fn raise(&mut self, other: &Self);
}

impl Sum for Amounts {
    fn add(&mut self, more: &Amounts) {
        for (name, amount) in more {
            match self.get_mut(name) {
                Some(sum) => sum.add(amount),
                None => {
                    self.insert(name.clone(), amount.clone());
                }
            }
        }
    }

    fn raise(&mut self, other: &Amounts) {
        for (name, amount) in other {
            if self.get(name).is_none_or(|own| own < amount) {
                self.insert(name.clone(), amount.clone());
            }
        }
    }
}

/// How an init container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Before those after it.
    Once,
    /// From its place on, as long as the pod.
    Sidecar,
}

impl Init {
    /// From a container's `restartPolicy`.
    pub fn of(restart_policy: Option<&str>) -> Init {
        if restart_policy == Some("Always") { Init::Sidecar } else { Init::Once }
    }
}

/// What containers ask for together: containers and sidecars at once, or what the hungriest moment of starting needs, if that is more.
pub fn of_containers<A: Sum>(
    containers: impl IntoIterator<Item = A>,
    init_containers: impl IntoIterator<Item = (Init, A)>,
) -> A {
    let (mut running, mut sidecars, mut starting) = (A::default(), A::default(), A::default());
    containers.into_iter().for_each(|own| running.add(&own));
    for (init, own) in init_containers {
        match init {
            Init::Sidecar => {
                running.add(&own);
                sidecars.add(&own);
                starting.raise(&sidecars);
            }
            Init::Once => {
                let mut at_once = sidecars.clone();
                at_once.add(&own);
                starting.raise(&at_once);
            }
        }
    }
    running.raise(&starting);
    running
}

/// What the containers of a pod's specification ask for together; `field` is `requests` or `limits`.
pub fn of_spec(spec: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][field]);
    let init = |container: &Value| (Init::of(container["restartPolicy"].as_str()), of(container));
    of_containers(spec["containers"].items().iter().map(of), spec["initContainers"].items().iter().map(init))
}

/// What a pod asks for (`requests`) or may use (`limits`): containers and sidecars together, or what its init containers need at once if
/// that is more; amounts of the pod itself in place of the sum; with the overhead of its runtime class.
pub fn pod_amounts(pod: &Value, field: &str) -> Amounts {
    let spec = &pod["spec"];
    let mut running = of_spec(spec, field);
    running.extend(amounts(&spec["resources"][field]));
    let overhead = amounts(&spec["overhead"]);
    match field {
        "requests" => running.add(&overhead),
        // only what is limited grows
        _ => {
            let limited = overhead.into_iter().filter(|(name, _)| running.get(name).is_some_and(|a| !a.is_zero()));
            let limited: Amounts = limited.collect();
            running.add(&limited);
        }
    }
    running
}

/// `cpu=1,pods=2` of these names.
pub fn text(amounts: &Amounts, names: &[&String]) -> String {
    let pairs = names.iter().filter_map(|name| Some(format!("{name}={}", amounts.get(*name)?)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sidecars_count_from_their_place_on_and_init_containers_one_at_a_time() {
        let check = |init: &[(Init, i64)], wanted: i64| {
            let amount = |n: i64| Amounts::from([("cpu".to_owned(), Quantity::parse(&n.to_string()).unwrap())]);
            let init = init.iter().map(|(init, n)| (*init, amount(*n)));
            assert_eq!(of_containers([amount(2), amount(3)], init), amount(wanted));
        };
        check(&[], 5);
        check(&[(Init::Once, 4)], 5);
        check(&[(Init::Once, 9), (Init::Once, 8)], 9);
        check(&[(Init::Sidecar, 2)], 7);
        check(&[(Init::Sidecar, 2), (Init::Once, 6)], 8);
        check(&[(Init::Once, 6), (Init::Sidecar, 2)], 7);
    }

    #[test]
    fn the_pods_own_amounts_go_before_the_sum() {
        let container = json!({"resources": {"requests": {"cpu": "1", "memory": "5"}}});
        let pod = json!({"spec": {"containers": [container], "resources": {"requests": {"cpu": "3"}}, "overhead": {"memory": "1"}}});
        assert_eq!(to_value(&pod_amounts(&pod, "requests")), json!({"cpu": "3", "memory": "6"}));
    }
}
