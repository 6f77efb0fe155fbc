//! Which nodes take a daemon's pod, and how the pod is bound to its node.

use k8s_client::placement;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, PodTemplateSpec, Toleration,
};

use crate::owned::{self, name};
use crate::pods;
use crate::revisions::POD_LABEL;

/// What a node says to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It should run there.
    Run,
    /// One that is there may stay, but none is made.
    Stay,
    No,
}

/// A daemon is there as long as its node is, whatever the node's state.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// A daemon on the host's network may be the one that makes the network available.
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The pods' specification with the tolerations of daemons.
pub fn spec(template: &PodTemplateSpec) -> PodSpec {
    let mut spec = template.spec.clone().unwrap_or_default();
    let network = (spec.host_network == Some(true)).then_some(NETWORK);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    spec
}

/// What a node says to pods of this specification (of [`spec`]).
pub fn fit(spec: &PodSpec, node: &Node) -> Fit {
    let elsewhere =
        spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name(&node.metadata));
    if elsewhere || !placement::selects(spec, node) {
        return Fit::No;
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let refused = |effect: &str| placement::untolerated(taints, tolerations, &[effect]).is_some();
    match (refused("NoExecute"), refused("NoSchedule")) {
        (true, _) => Fit::No,
        (false, true) => Fit::Stay,
        (false, false) => Fit::Run,
    }
}

/// The pod for a node: the scheduler puts it there and nowhere else.
pub fn pod(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let mut pod = pods::from_template(&set.spec.template, &owned::reference(set));
    pod.metadata.labels.get_or_insert_default().insert(POD_LABEL.to_owned(), hash.to_owned());
    let mut spec = spec(&set.spec.template);
    let only = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    // Whether the node is selected otherwise was looked at already.
    let term = NodeSelectorTerm { match_fields: Some(vec![only]), match_expressions: None };
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
    pod.spec = Some(spec);
    pod
}

/// The node that a pod is on, or is meant for.
pub fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut named = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    named.find_map(|field| field.values.as_ref()?.first().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn daemons_run_where_selectors_and_taints_let_them() {
        let template = |more: Value| {
            let mut spec = json!({"containers": []});
            for (key, value) in more.as_object().unwrap() {
                spec[key] = value.clone();
            }
            serde_json::from_value::<PodTemplateSpec>(json!({"spec": spec})).unwrap()
        };
        let node = |taint: Option<(&str, &str)>| -> Node {
            let taints = taint.map(|(key, effect)| json!([{"key": key, "effect": effect}]));
            serde_json::from_value(
                json!({"metadata": {"name": "a", "labels": {"disk": "fast"}}, "spec": {"taints": taints}}),
            )
            .unwrap()
        };
        let cases = [
            (json!({}), None, Fit::Run),
            (json!({"nodeSelector": {"disk": "fast"}}), None, Fit::Run),
            (json!({"nodeSelector": {"disk": "slow"}}), None, Fit::No),
            (json!({"nodeName": "b"}), None, Fit::No),
            (json!({}), Some(("node.kubernetes.io/not-ready", "NoExecute")), Fit::Run),
            (json!({}), Some(("node.kubernetes.io/unschedulable", "NoSchedule")), Fit::Run),
            (json!({}), Some(("node.kubernetes.io/network-unavailable", "NoSchedule")), Fit::Stay),
            (json!({"hostNetwork": true}), Some(("node.kubernetes.io/network-unavailable", "NoSchedule")), Fit::Run),
            (json!({}), Some(("mine", "NoSchedule")), Fit::Stay),
            (json!({}), Some(("mine", "NoExecute")), Fit::No),
            (json!({}), Some(("mine", "PreferNoSchedule")), Fit::Run),
            (json!({"tolerations": [{"operator": "Exists"}]}), Some(("mine", "NoExecute")), Fit::Run),
        ];
        for (more, taint, wanted) in cases {
            assert_eq!(fit(&spec(&template(more.clone())), &node(taint)), wanted, "{more} {taint:?}");
        }
    }

    #[test]
    fn a_pod_is_meant_for_its_node() {
        let set: DaemonSet = serde_json::from_value(json!({"metadata": {"name": "d", "uid": "u"},
            "spec": {"selector": {}, "template": {"spec": {"containers": []}}}}))
        .unwrap();
        let pod = pod(&set, "a", "h");
        assert_eq!(node_of(&pod), Some("a"));
        assert_eq!(pod.metadata.labels.unwrap()[POD_LABEL], "h");
        assert_eq!(node_of(&Pod::default()), None);
    }
}
