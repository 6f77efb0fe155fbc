//! The quality of service of a pod, from what its containers ask for and may use.

use serde_json::Value;

use crate::amounts::{Amounts, amounts};
use crate::policy::read::Read;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let whole = &spec["resources"];
    if !whole["limits"].is_unset() || !whole["requests"].is_unset() {
        return of(std::iter::once(whole));
    }
    let containers = spec["containers"].items().iter().chain(spec["initContainers"].items());
    of(containers.map(|container| &container["resources"]))
}

fn of<'a>(all: impl Iterator<Item = &'a Value>) -> &'static str {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    for resources in all {
        for (list, total) in [("requests", &mut requests), ("limits", &mut limits)] {
            for (resource, amount) in computed(&resources[list]) {
                match total.get_mut(&resource) {
                    Some(there) => there.add(&amount),
                    None => {
                        total.insert(resource, amount);
                    }
                }
            }
        }
        guaranteed &= computed(&resources["limits"]).len() == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    let equal = requests.iter().all(|(resource, amount)| limits.get(resource) == Some(amount));
    if guaranteed && equal && requests.len() == limits.len() { "Guaranteed" } else { "Burstable" }
}

/// The amounts that count: processor and memory, more than nothing of them.
fn computed(list: &Value) -> Amounts {
    let mut all = amounts(list);
    all.retain(|resource, amount| matches!(resource.as_str(), "cpu" | "memory") && amount.sign() > 0);
    all
}
