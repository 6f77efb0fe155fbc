//! NodeAffinity: `nodeSelector` and node affinity, required and preferred.

use k8s_client::placement::{matches_term, selects};
use k8s_openapi::api::core::v1::Node;

use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::model::Template;

pub const WEIGHT: i64 = 2;

pub fn filter(template: &Template, node: &Node) -> Option<Rejection> {
    (!selects(&template.spec, node))
        .then(|| Rejection::new(Plugin::NodeAffinity, Reason::NodeAffinity, Preemption::NoHelp))
}

/// The sum of the weights of the wishes that the node fulfils.
pub fn wishes(template: &Template, node: &Node) -> i64 {
    let affinity = template.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let wishes = affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    let fulfilled = wishes.into_iter().flatten().filter(|wish| {
        let term = &wish.preference;
        // Other than a required term, an empty wish is fulfilled by every node.
        let empty = term.match_expressions.as_ref().is_none_or(Vec::is_empty)
            && term.match_fields.as_ref().is_none_or(Vec::is_empty);
        wish.weight != 0 && (empty || matches_term(term, node))
    });
    fulfilled.map(|wish| i64::from(wish.weight)).sum()
}

/// The score, relative to the best node.
pub fn score(wishes: i64, most: i64) -> i64 {
    if most == 0 { wishes } else { MOST * wishes / most }
}
