//! Amounts of resources by name: sums, and what a pod as a whole asks for.

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

/// Adds to what is there.
pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match to.get_mut(name) {
            Some(sum) => sum.add(amount),
            None => {
                to.insert(name.clone(), amount.clone());
            }
        }
    }
}

/// The larger of both, name by name.
pub fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if to.get(name).is_none_or(|own| own < amount) {
            to.insert(name.clone(), amount.clone());
        }
    }
}

/// What a pod asks for (`requests`) or may use (`limits`): containers and sidecars together, or what its init containers need at once if
/// that is more; amounts of the pod itself in place of the sum; with the overhead of its runtime class.
pub fn pod_amounts(pod: &Value, field: &str) -> Amounts {
    let spec = &pod["spec"];
    let of = |container: &Value| amounts(&container["resources"][field]);
    let (mut running, mut sidecars, mut starting) = (Amounts::new(), Amounts::new(), Amounts::new());
    spec["containers"].items().iter().for_each(|container| add(&mut running, &of(container)));
    for container in spec["initContainers"].items() {
        let own = of(container);
        if container["restartPolicy"] == "Always" {
            add(&mut running, &own);
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut at_once = sidecars.clone();
            add(&mut at_once, &own);
            raise(&mut starting, &at_once);
        }
    }
    raise(&mut running, &starting);
    running.extend(amounts(&spec["resources"][field]));
    let overhead = amounts(&spec["overhead"]);
    match field {
        "requests" => add(&mut running, &overhead),
        // only what is limited grows
        _ => {
            let limited = overhead.into_iter().filter(|(name, _)| running.get(name).is_some_and(|a| !a.is_zero()));
            let limited: Amounts = limited.collect();
            add(&mut running, &limited);
        }
    }
    running
}

/// `cpu=1,pods=2` of these names.
pub fn text(amounts: &Amounts, names: &[&String]) -> String {
    let pairs = names.iter().filter_map(|name| Some(format!("{name}={}", amounts.get(*name)?)));
    pairs.collect::<Vec<_>>().join(",")
}
