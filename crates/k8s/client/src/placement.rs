//! Whether a pod may be on a node by what both say of it: taints and tolerations, node selectors and required node affinity.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};
use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether a toleration is about this taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    let (wanted, value) = (toleration.value.as_deref().unwrap_or(""), taint.value.as_deref().unwrap_or(""));
    let numbers = || Some((value.parse::<i64>().ok()?, wanted.parse::<i64>().ok()?));
    match toleration.operator.as_deref().unwrap_or("") {
        "" | "Equal" => wanted == value,
        "Exists" => true,
        "Lt" => numbers().is_some_and(|(value, bound)| value < bound),
        "Gt" => numbers().is_some_and(|(value, bound)| value > bound),
        _ => false,
    }
}

/// The first taint with one of these effects that nothing tolerates.
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[&str]) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        effects.contains(&taint.effect.as_str()) && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
    })
}

/// Whether the pod's `nodeSelector` and required node affinity select the node.
pub fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let has = |key: &String, value: &String| labels.and_then(|labels| labels.get(key)) == Some(value);
    if !spec.node_selector.iter().flatten().all(|(key, value)| has(key, value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    match affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref()) {
        Some(required) => matches(required, node),
        None => true,
    }
}

/// Whether one of the selector's terms selects the node.
pub fn matches(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| matches_term(term, node))
}

/// Whether a term selects the node; an empty one selects none.
pub fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let name = node.metadata.name.as_ref();
    let none = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    expressions.iter().all(|wanted| holds(wanted, labels.get(&wanted.key)))
        && fields.iter().all(|wanted| wanted.key == "metadata.name" && holds(wanted, name))
}

fn holds(wanted: &NodeSelectorRequirement, found: Option<&String>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let numbers = || Some((found?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match wanted.operator.as_str() {
        "In" => found.is_some_and(|found| values.contains(found)),
        "NotIn" => found.is_none_or(|found| !values.contains(found)),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => numbers().is_some_and(|(found, bound)| found > bound),
        "Lt" => numbers().is_some_and(|(found, bound)| found < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_toleration_is_about_a_taint_by_key_value_and_effect() {
        let taint: Taint = from_value(json!({"key": "k", "value": "5", "effect": "NoSchedule"})).unwrap();
        let check = |toleration: Value| tolerates(&from_value(toleration).unwrap(), &taint);
        assert!(check(json!({"operator": "Exists"})));
        assert!(check(json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"})));
        assert!(check(json!({"key": "k", "value": "5"})));
        assert!(check(json!({"key": "k", "operator": "Lt", "value": "6"})));
        assert!(!check(json!({"key": "k", "operator": "Gt", "value": "5"})));
        assert!(!check(json!({"key": "k", "value": "6"})));
        assert!(!check(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})));
        assert!(!check(json!({"key": "other", "operator": "Exists"})));
    }

    #[test]
    fn selectors_and_affinity_look_at_labels_and_the_name() {
        let node: Node = from_value(json!({"metadata": {"name": "a", "labels": {"disk": "ssd", "n": "7"}}})).unwrap();
        let check = |spec: Value| selects(&from_value(spec).unwrap(), &node);
        let required = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        assert!(check(json!({})));
        assert!(check(json!({"nodeSelector": {"disk": "ssd"}})));
        assert!(!check(json!({"nodeSelector": {"disk": "hdd"}})));
        assert!(check(required(json!([{}, {"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["6"]}]}]))));
        assert!(!check(required(json!([{}]))), "an empty term selects nothing");
        assert!(check(required(
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}])
        )));
        assert!(check(required(json!([{"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}]))));
    }
}
