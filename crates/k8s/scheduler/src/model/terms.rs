//! Selectors of pods, ready to be asked: terms of inter-pod affinity and constraints of spreading.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodAffinityTerm, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_types::selector::label::{LabelSelector, Operator, Requirement};

use super::namespaces::Namespaces;
use super::topology::{self, KeyId, Topology};

/// A selector from an object; none selects nothing, and so does one that makes no sense (the API server refuses those).
pub fn selector(object: Option<&meta::LabelSelector>) -> LabelSelector {
    let Some(object) = object else { return LabelSelector::Nothing };
    let value = serde_json::to_value(object).unwrap_or_default();
    LabelSelector::from_object(&value).unwrap_or(LabelSelector::Nothing)
}

/// Adds what `matchLabelKeys` says: the same value of the label as the pod has, or another one.
fn with_keys(
    mut selector: LabelSelector,
    keys: Option<&Vec<String>>,
    operator: Operator,
    labels: &BTreeMap<String, String>,
) -> LabelSelector {
    if let LabelSelector::All(requirements) = &mut selector {
        for key in keys.into_iter().flatten() {
            if let Some(value) = labels.get(key) {
                requirements.push(Requirement { key: key.clone(), operator, values: vec![value.clone()] });
            }
        }
    }
    selector
}

/// Pods that a pod wants to be near to or away from.
#[derive(Debug, Clone)]
pub struct Term {
    selector: LabelSelector,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    pub key: KeyId,
}

impl Term {
    /// `labels` and `namespace` are those of the pod that has the term.
    pub fn new(
        term: &PodAffinityTerm,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        topology: &mut Topology,
    ) -> Term {
        let own = selector(term.label_selector.as_ref());
        let own = with_keys(own, term.match_label_keys.as_ref(), Operator::In, labels);
        let own = with_keys(own, term.mismatch_label_keys.as_ref(), Operator::NotIn, labels);
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        let namespace_selector = term.namespace_selector.as_ref().map(|object| selector(Some(object)));
        Term { selector: own, namespaces, namespace_selector, key: topology.key(&term.topology_key).0 }
    }

    /// The namespaces that it is about; nothing where that depends on their labels.
    pub fn namespaces(&self) -> Option<&[String]> {
        self.namespace_selector.is_none().then_some(&self.namespaces)
    }

    /// Whether it is about pods with these labels in this namespace.
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>, namespaces: &Namespaces) -> bool {
        let here = self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| namespaces.selects(selector, namespace));
        here && self.selector.matches(labels)
    }
}

/// Which nodes take part in spreading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// Those that the pod could be on by this rule.
    Fitting,
    /// All.
    All,
}

/// How pods are to be spread over the values of a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    pub selector: LabelSelector,
    pub key: KeyId,
    pub max_skew: i64,
    pub min_domains: i64,
    pub by_affinity: Nodes,
    pub by_taints: Nodes,
    pub is_hostname: bool,
    /// Whether the pod itself is among those that are counted.
    pub counts_itself: bool,
}

impl Spread {
    pub fn new(
        constraint: &TopologySpreadConstraint,
        labels: &BTreeMap<String, String>,
        topology: &mut Topology,
    ) -> Spread {
        let own = selector(constraint.label_selector.as_ref());
        let own = with_keys(own, constraint.match_label_keys.as_ref(), Operator::In, labels);
        let nodes = |policy: &Option<String>, default: &str| match policy.as_deref().unwrap_or(default) {
            "Honor" => Nodes::Fitting,
            _ => Nodes::All,
        };
        Spread {
            counts_itself: own.matches(labels),
            selector: own,
            key: topology.key(&constraint.topology_key).0,
            max_skew: i64::from(constraint.max_skew),
            min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
            by_affinity: nodes(&constraint.node_affinity_policy, "Honor"),
            by_taints: nodes(&constraint.node_taints_policy, "Ignore"),
            is_hostname: constraint.topology_key == topology::HOSTNAME,
        }
    }

    /// What is wished for where a pod says nothing: replicas of the same owner or service on different hosts and zones.
    pub fn wished(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Vec<Spread> {
        let spread = |key: KeyId, max_skew: i64| Spread {
            selector: selector.clone(),
            key,
            max_skew,
            min_domains: 1,
            by_affinity: Nodes::Fitting,
            by_taints: Nodes::All,
            is_hostname: key == KeyId::HOSTNAME,
            counts_itself: selector.matches(labels),
        };
        vec![spread(KeyId::HOSTNAME, 3), spread(KeyId::ZONE, 5)]
    }
}
