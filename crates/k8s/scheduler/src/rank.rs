//! How good the nodes are for a template: one look at each group of nodes that are alike.

use crate::alike::Group;
use crate::class::Class;
use crate::model::{Cluster, NodeId, NodeInfo};
use crate::plugins::{inter_pod_affinity, node_affinity, taint_toleration, topology_spread};

/// Nodes that are alike and can be had.
struct Able<'a> {
    group: &'a Group,
    first: NodeId,
    info: &'a NodeInfo,
    score: i64,
}

impl Class {
    /// The first of the nodes with the highest score.
    pub fn best(&self, cluster: &Cluster) -> Option<NodeId> {
        let mut best: Option<Able> = None;
        for able in self.ranked(cluster) {
            let better = |best: &Able| able.score > best.score || able.score == best.score && able.first < best.first;
            if best.as_ref().is_none_or(better) {
                best = Some(able);
            }
        }
        best.map(|best| best.first)
    }

    /// The nodes that can be had with their scores, in their order.
    pub fn scores(&self, cluster: &Cluster) -> Vec<(NodeId, i64)> {
        let ranked = self.ranked(cluster);
        let each = ranked.iter().flat_map(|able| able.group.nodes.iter().map(|id| (*id, able.score)));
        let mut scores: Vec<(NodeId, i64)> = each.collect();
        scores.sort_unstable();
        scores
    }

    fn ranked<'a>(&'a self, cluster: &'a Cluster) -> Vec<Able<'a>> {
        if self.nowhere.is_some() {
            return Vec::new();
        }
        let least = self.spread.least();
        let groups = self.alike.groups(cluster).filter(|(_, _, info)| self.rejection_by_others(info, &least).is_none());
        let mut able: Vec<Able> = groups.map(|(group, first, info)| Able { group, first, info, score: 0 }).collect();
        let fixed = |able: &Able| &self.fixed[able.first.index()];
        let most_advised = able.iter().map(|able| fixed(able).advised_against).max().unwrap_or(0);
        let most_wishes = able.iter().map(|able| fixed(able).wishes).max().unwrap_or(0);
        for one in &mut able {
            let fixed = fixed(one);
            let advised = taint_toleration::score(fixed.advised_against, most_advised);
            let wishes = node_affinity::score(fixed.wishes, most_wishes);
            let own = self.local[one.first.index()].score + fixed.image;
            one.score = own + advised * taint_toleration::WEIGHT + wishes * node_affinity::WEIGHT;
        }
        self.add_likes(&mut able);
        self.add_spread(&mut able);
        able
    }

    fn add_likes(&self, able: &mut [Able]) {
        if !self.affinity.has_likes() {
            return;
        }
        let likes: Vec<i64> = able.iter().map(|able| self.affinity.likes(able.info)).collect();
        let (least, most) = (likes.iter().min().copied().unwrap_or(0), likes.iter().max().copied().unwrap_or(0));
        for (able, likes) in able.iter_mut().zip(likes) {
            able.score += inter_pod_affinity::score(likes, least, most) * inter_pod_affinity::WEIGHT;
        }
    }

    fn add_spread(&self, able: &mut [Able]) {
        if !self.spread.has_wishes() {
            return;
        }
        let part = able.iter().filter(|able| !self.spread.is_last(able.info));
        let weights = self.spread.weights(part.map(|able| (able.info, able.group.nodes.len())), &self.alike.places);
        let full = |able: &Able| (!self.spread.is_last(able.info)).then(|| self.spread.fullness(&weights, able.info));
        let full: Vec<Option<i64>> = able.iter().map(full).collect();
        let known = full.iter().flatten();
        let (least, most) = (known.clone().min().copied().unwrap_or(0), known.max().copied().unwrap_or(0));
        for (able, fullness) in able.iter_mut().zip(full) {
            let spread = fullness.map_or(0, |fullness| topology_spread::score(fullness, least, most));
            able.score += spread * topology_spread::WEIGHT;
        }
    }
}
