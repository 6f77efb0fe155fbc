//! Why no node was found, and how that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::model::NodeId;
use crate::plugins::{Plugin, Preemption, Reason, Rejection};

/// No node for a pod.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// How many nodes there are.
    pub nodes: usize,
    pub rejections: Vec<(NodeId, Rejection)>,
    /// Pods that share a failure share its text.
    text: OnceLock<String>,
}

impl Failure {
    pub fn new(nodes: usize, rejections: Vec<(NodeId, Rejection)>) -> Failure {
        Failure { nodes, rejections, text: OnceLock::new() }
    }

    /// The rules that rejected nodes: the pod waits for what matters to them.
    pub fn plugins(&self) -> BTreeSet<Plugin> {
        if self.nodes == 0 {
            // Any node might do.
            return BTreeSet::from([Plugin::NodeResourcesFit, Plugin::NodeAffinity]);
        }
        self.rejections.iter().map(|(_, rejection)| rejection.plugin).collect()
    }

    /// Nodes where fewer pods might help.
    pub fn preemptible(&self) -> impl Iterator<Item = NodeId> + '_ {
        let helped = self.rejections.iter().filter(|(_, rejection)| rejection.preemption == Preemption::MayHelp);
        helped.map(|(id, _)| *id)
    }

    /// What the condition and the event say; `preemption` is why nobody was preempted.
    pub fn message(&self, preemption: &str) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let text = self.text.get_or_init(|| match self.whole() {
            Some(why) => format!("0/{} nodes are available: {why}.", self.nodes),
            None => summary(self.nodes, self.rejections.iter().flat_map(|(_, rejection)| &rejection.reasons)),
        });
        if preemption.is_empty() { text.clone() } else { format!("{text} preemption: {preemption}") }
    }

    /// The reason that has nothing to do with nodes.
    fn whole(&self) -> Option<&Reason> {
        let (_, first) = self.rejections.first()?;
        first.reasons.first().filter(|reason| matches!(reason, Reason::Pod(_)))
    }
}

/// How many nodes have which reason, in the order of the texts.
pub fn summary<'a>(nodes: usize, reasons: impl Iterator<Item = &'a Reason>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason.to_string()).or_insert(0) += 1;
    }
    let mut parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    if parts.is_empty() {
        return format!("0/{nodes} nodes are available.");
    }
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let taint = Reason::Taint("node.kubernetes.io/not-ready".into(), "".into());
        let node = |id, reason| (NodeId(id), Rejection::new(Plugin::NodeResourcesFit, reason, Preemption::MayHelp));
        let cpu = node(2, Reason::Insufficient("cpu".into()));
        let failure = Failure::new(3, vec![node(0, taint.clone()), node(1, taint), cpu]);
        assert_eq!(
            failure.message("not eligible due to preemptionPolicy=Never."),
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {node.kubernetes.io/not-ready: }. \
             preemption: not eligible due to preemptionPolicy=Never."
        );
        assert_eq!(Failure::default().message(""), "no nodes available to schedule pods");
    }
}
