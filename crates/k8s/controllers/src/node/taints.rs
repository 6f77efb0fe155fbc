//! The taints that a node's conditions ask for.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::status;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, the status that matters, the taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// Whether pods leave nodes that are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// They do when their tolerations end.
    Allowed,
    /// No node is ready: there is nowhere to go, and it is more likely that we are what is cut off.
    Stopped,
}

/// The taints as they should be; `None` when they are.
pub fn wanted(node: &Node, leaving: Leaving, now: Timestamp) -> Option<Vec<Taint>> {
    let spec = node.spec.as_ref();
    let have = spec.and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let mut want: Vec<(&str, &str)> = Vec::new();
    for (condition, matters, taint) in BY_CONDITION {
        if status(node, condition) == matters && !never_told(node, condition) {
            want.push((taint, "NoSchedule"));
            if condition == "Ready" && leaving == Leaving::Allowed {
                want.push((taint, "NoExecute"));
            }
        }
    }
    if never_told(node, "Ready") {
        want.push((NOT_READY, "NoSchedule"));
    }
    if spec.is_some_and(|spec| spec.unschedulable == Some(true)) {
        want.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let mut taints: Vec<Taint> =
        have.iter().filter(|taint| !is_ours(taint) || want.contains(&(&taint.key, &taint.effect))).cloned().collect();
    for (key, effect) in want {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let time_added = Some(Time(now));
            taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added });
        }
    }
    (taints != have).then_some(taints)
}

/// Nobody has said anything of the condition yet.
fn never_told(node: &Node, condition: &str) -> bool {
    super::conditions::condition(node, condition).is_none()
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(condition, _, key)| {
        taint.key == *key && (taint.effect == "NoSchedule" || taint.effect == "NoExecute" && *condition == "Ready")
    });
    by_condition || taint.key == UNSCHEDULABLE && taint.effect == "NoSchedule"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn check(node: Value, leaving: Leaving) -> Option<Vec<String>> {
        let node: Node = from_value(node).unwrap();
        let taints = wanted(&node, leaving, Timestamp::UNIX_EPOCH)?;
        Some(
            taints
                .iter()
                .map(|t| format!("{}:{}", t.key.trim_start_matches("node.kubernetes.io/"), t.effect))
                .collect(),
        )
    }

    fn node(ready: &str, pressure: &str, taints: Value) -> Value {
        json!({"spec": {"taints": taints}, "status": {"conditions": [
            {"type": "Ready", "status": ready}, {"type": "MemoryPressure", "status": pressure}]}})
    }

    #[test]
    fn taints_follow_the_conditions_and_leave_others_alone() {
        let list = |taints: &[&str]| Some(taints.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(node("True", "False", json!([])), Leaving::Allowed), None);
        let first = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}, {"key": "mine", "effect": "NoExecute"}]);
        assert_eq!(check(node("True", "False", first), Leaving::Allowed), list(&["mine:NoExecute"]));
        let lost = check(node("Unknown", "Unknown", json!([])), Leaving::Allowed);
        assert_eq!(lost, list(&["unreachable:NoSchedule", "unreachable:NoExecute"]));
        assert_eq!(check(node("Unknown", "Unknown", json!([])), Leaving::Stopped), list(&["unreachable:NoSchedule"]));
        let pressed = check(node("False", "True", json!([])), Leaving::Allowed);
        assert_eq!(pressed, list(&["not-ready:NoSchedule", "not-ready:NoExecute", "memory-pressure:NoSchedule"]));
        let cordoned =
            json!({"spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(check(cordoned, Leaving::Allowed), list(&["unschedulable:NoSchedule"]));
        assert_eq!(check(json!({}), Leaving::Allowed), list(&["not-ready:NoSchedule"]), "nothing told yet");
    }
}
