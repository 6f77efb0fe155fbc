//! PodTopologySpread: pods of a kind are spread over hosts, zones and the like, strictly or as far as it goes.

use super::relation::Relation;
use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::model::terms::{Nodes, Spread};
use crate::model::topology::{Counts, NONE};
use crate::model::{NodeId, NodeInfo};

pub const WEIGHT: i64 = 2;

/// Whether a node takes part by the rules that pods can ask to be regarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fits {
    pub affinity: bool,
    pub taints: bool,
}

/// Whether nodes without one of the labels take part in wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlabelled {
    /// They are the last choice: the pod says itself how it is to be spread.
    Last,
    /// They take part with the labels that they have.
    Part,
}

/// What is known for one template; follows the journal.
#[derive(Debug)]
pub struct State {
    /// Constraints that must hold, then wishes.
    pub spreads: Vec<Spread>,
    strict: usize,
    unlabelled: Unlabelled,
    /// Pods by place, of each of them.
    counts: Vec<Counts>,
    /// Nodes that take part by place.
    domains: Vec<Counts>,
    /// Which nodes take part, by constraint.
    takes_part: Vec<Vec<bool>>,
}

impl State {
    pub fn new(strict: &[Spread], wished: &[Spread], unlabelled: Unlabelled, places: usize) -> State {
        let spreads: Vec<Spread> = strict.iter().chain(wished).cloned().collect();
        State {
            counts: vec![Counts::default(); spreads.len()],
            domains: vec![Counts::default(); spreads.len()],
            takes_part: vec![vec![false; places]; spreads.len()],
            strict: strict.len(),
            unlabelled,
            spreads,
        }
    }

    /// Takes a node into account; all of them before any pod.
    pub fn add_node(&mut self, id: NodeId, node: &NodeInfo, fits: Fits) {
        let labelled = |spreads: &[Spread]| spreads.iter().all(|spread| node.value(spread.key) != NONE);
        let (strict, wished) = self.spreads.split_at(self.strict);
        let whole = [labelled(strict), labelled(wished) || self.unlabelled == Unlabelled::Part];
        for (at, spread) in self.spreads.iter().enumerate() {
            let takes_part = whole[usize::from(at >= self.strict)]
                && (fits.affinity || spread.by_affinity == Nodes::All)
                && (fits.taints || spread.by_taints == Nodes::All);
            self.takes_part[at][id.index()] = takes_part;
            if takes_part {
                self.domains[at].add(node.value(spread.key), 1);
            }
        }
    }

    /// Takes so many pods more (or less) on a node.
    pub fn apply(&mut self, relation: &Relation, id: NodeId, node: &NodeInfo, by: i64) {
        for (at, counted) in relation.spread.iter().enumerate() {
            if *counted && self.takes_part[at].get(id.index()) == Some(&true) {
                self.counts[at].add(node.value(self.spreads[at].key), by);
            }
        }
    }

    /// The fewest pods in a place, for each constraint that must hold.
    pub fn least(&self) -> Vec<i64> {
        let least = |at: usize| {
            let places = self.domains[at].values().filter(|(_, nodes)| *nodes > 0);
            let (mut count, mut least) = (0, i64::MAX);
            for (value, _) in places {
                count += 1;
                least = least.min(self.counts[at].get(value));
            }
            if count < self.spreads[at].min_domains { 0 } else { least }
        };
        (0..self.strict).map(least).collect()
    }

    /// `least` is what [`State::least`] says.
    pub fn filter(&self, least: &[i64], node: &NodeInfo) -> Option<Rejection> {
        let reject = |reason, preemption| Some(Rejection::new(Plugin::PodTopologySpread, reason, preemption));
        for (at, spread) in self.spreads[..self.strict].iter().enumerate() {
            let value = node.value(spread.key);
            if value == NONE {
                return reject(Reason::SpreadLabel, Preemption::NoHelp);
            }
            let count = self.counts[at].get(value) + i64::from(spread.counts_itself);
            if count - least[at] > spread.max_skew {
                return reject(Reason::Spread, Preemption::MayHelp);
            }
        }
        None
    }

    /// Whether there are wishes.
    pub fn has_wishes(&self) -> bool {
        self.spreads.len() > self.strict
    }

    /// Whether a node comes after all others.
    pub fn is_last(&self, node: &NodeInfo) -> bool {
        self.unlabelled == Unlabelled::Last
            && self.spreads[self.strict..].iter().any(|spread| node.value(spread.key) == NONE)
    }

    /// The weight of each wish: the more places, the more weight each has.
    pub fn weights<'a>(&self, nodes: impl Iterator<Item = &'a NodeInfo> + Clone) -> Vec<f64> {
        let weight = |spread: &Spread| {
            let places = if spread.is_hostname {
                nodes.clone().count()
            } else {
                let mut seen = Counts::default();
                nodes.clone().for_each(|node| seen.add(node.value(spread.key), 1));
                seen.values().filter(|(_, count)| *count > 0).count()
            };
            ((places + 2) as f64).ln()
        };
        self.spreads[self.strict..].iter().map(weight).collect()
    }

    /// How full the node's places are, to be made relative with [`score`].
    pub fn fullness(&self, weights: &[f64], node: &NodeInfo) -> i64 {
        let mut sum = 0.0;
        for (at, weight) in weights.iter().enumerate() {
            let at = self.strict + at;
            let spread = &self.spreads[at];
            let value = node.value(spread.key);
            if value != NONE {
                sum += self.counts[at].get(value) as f64 * weight + (spread.max_skew - 1) as f64;
            }
        }
        f64::round(sum) as i64
    }
}

/// The score between the emptiest and the fullest node.
pub fn score(fullness: i64, least: i64, most: i64) -> i64 {
    if most == 0 { MOST } else { MOST * (most + least - fullness) / most }
}
