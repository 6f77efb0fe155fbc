//! PodTopologySpread: pods of a kind are spread over hosts, zones and the like, strictly or as far as it goes.

use std::collections::BTreeMap;

use super::relation::Relation;
use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::alike::Places;
use crate::model::terms::{Nodes, Spread};
use crate::model::topology::{Counts, KeyId, NONE};
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

/// Pods and nodes by place.
#[derive(Debug, Clone, Default)]
struct Domains {
    pods: Counts,
    nodes: Counts,
    /// How many places with nodes have how many pods: the fewest are known without a look at all places.
    by_pods: BTreeMap<i64, usize>,
    /// How many places have nodes.
    count: i64,
}

impl Domains {
    fn add_node(&mut self, value: u32) {
        if value != NONE && self.nodes.get(value) == 0 {
            *self.by_pods.entry(self.pods.get(value)).or_insert(0) += 1;
            self.count += 1;
        }
        self.nodes.add(value, 1);
    }

    fn add_pods(&mut self, value: u32, by: i64) {
        if self.nodes.get(value) > 0 {
            let before = self.pods.get(value);
            if let Some(places) = self.by_pods.get_mut(&before) {
                *places -= 1;
                if *places == 0 {
                    self.by_pods.remove(&before);
                }
            }
            *self.by_pods.entry(before + by).or_insert(0) += 1;
        }
        self.pods.add(value, by);
    }

    fn fewest(&self) -> i64 {
        self.by_pods.first_key_value().map_or(i64::MAX, |(pods, _)| *pods)
    }
}

/// What is known for one template; follows the journal.
#[derive(Debug)]
pub struct State {
    /// Constraints that must hold, then wishes.
    pub spreads: Vec<Spread>,
    strict: usize,
    unlabelled: Unlabelled,
    domains: Vec<Domains>,
    /// Which nodes take part, by constraint.
    takes_part: Vec<Vec<bool>>,
}

impl State {
    pub fn new(strict: &[Spread], wished: &[Spread], unlabelled: Unlabelled, places: usize) -> State {
        let spreads: Vec<Spread> = strict.iter().chain(wished).cloned().collect();
        State {
            domains: vec![Domains::default(); spreads.len()],
            takes_part: vec![vec![false; places]; spreads.len()],
            strict: strict.len(),
            unlabelled,
            spreads,
        }
    }

    /// Takes a node into account; all of them before any pod.
    pub fn add_node(&mut self, id: NodeId, node: &NodeInfo, fits: Fits) {
        for at in 0..self.spreads.len() {
            let takes_part = self.would_take_part(at, node, fits);
            self.takes_part[at][id.index()] = takes_part;
            if takes_part {
                self.domains[at].add_node(node.value(self.spreads[at].key));
            }
        }
    }

    /// Whether a node takes part where it did.
    pub fn is_unchanged(&self, id: NodeId, node: &NodeInfo, fits: Fits) -> bool {
        (0..self.spreads.len()).all(|at| self.would_take_part(at, node, fits) == self.takes_part[at][id.index()])
    }

    fn would_take_part(&self, at: usize, node: &NodeInfo, fits: Fits) -> bool {
        let labelled = |spreads: &[Spread]| spreads.iter().all(|spread| node.value(spread.key) != NONE);
        let (strict, wished) = self.spreads.split_at(self.strict);
        let whole = match at < self.strict {
            true => labelled(strict),
            false => self.unlabelled == Unlabelled::Part || labelled(wished),
        };
        let spread = &self.spreads[at];
        whole && (fits.affinity || spread.by_affinity == Nodes::All) && (fits.taints || spread.by_taints == Nodes::All)
    }

    /// Takes so many pods more (or less) on a node.
    pub fn apply(&mut self, relation: &Relation, id: NodeId, node: &NodeInfo, by: i64) {
        for (at, counted) in relation.spread.iter().enumerate() {
            if *counted && self.takes_part[at].get(id.index()) == Some(&true) {
                self.domains[at].add_pods(node.value(self.spreads[at].key), by);
            }
        }
    }

    /// Whether these are still the wishes.
    pub fn wishes_are(&self, wished: &[Spread]) -> bool {
        self.spreads[self.strict..] == *wished
    }

    /// Appends what is counted at a place.
    pub fn sign(&self, key: KeyId, value: u32, sign: &mut Vec<i64>) {
        let of_key = self.spreads.iter().zip(&self.domains).filter(|(spread, _)| spread.key == key);
        sign.extend(of_key.map(|(_, domains)| domains.pods.get(value)));
    }

    /// The fewest pods in a place, for each constraint that must hold.
    pub fn least(&self) -> Vec<i64> {
        let least = |at: usize| {
            let domains = &self.domains[at];
            if domains.count < self.spreads[at].min_domains { 0 } else { domains.fewest() }
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
            let count = self.domains[at].pods.get(value) + i64::from(spread.counts_itself);
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

    /// The weight of each wish: the more places, the more weight each has. Of nodes that are alike one is given, with their number.
    pub fn weights<'a>(&self, nodes: impl Iterator<Item = (&'a NodeInfo, usize)> + Clone, places: &Places) -> Vec<f64> {
        let weight = |spread: &Spread| {
            let mut count = 0;
            let mut seen = Counts::default();
            for (node, alike) in nodes.clone() {
                let value = node.value(spread.key);
                if spread.is_hostname || places.is_its_own(spread.key, node) {
                    count += alike;
                } else if value != NONE && seen.get(value) == 0 {
                    seen.add(value, 1);
                    count += 1;
                }
            }
            ((count + 2) as f64).ln()
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
                sum += self.domains[at].pods.get(value) as f64 * weight + (spread.max_skew - 1) as f64;
            }
        }
        f64::round(sum) as i64
    }
}

/// The score between the emptiest and the fullest node.
pub fn score(fullness: i64, least: i64, most: i64) -> i64 {
    if most == 0 { MOST } else { MOST * (most + least - fullness) / most }
}
