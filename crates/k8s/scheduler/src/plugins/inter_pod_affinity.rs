//! InterPodAffinity: near to some pods, away from others, where both sides have a say.

use std::collections::HashMap;

use super::relation::Relation;
use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::model::topology::{Counts, KeyId, NONE};
use crate::model::{NodeInfo, Template};

pub const WEIGHT: i64 = 2;

/// What is known for one template; follows the journal.
#[derive(Debug, Default)]
pub struct State {
    /// By term of affinity: pods that all of the terms want, by place.
    near: Vec<Counts>,
    /// All of them together.
    near_all: i64,
    /// By term of anti-affinity.
    away: Vec<Counts>,
    /// Pods that want to be away from this one, by label.
    keeps_away: HashMap<KeyId, Counts>,
    likes: HashMap<KeyId, Counts>,
}

impl State {
    pub fn new(template: &Template) -> State {
        State {
            near: vec![Counts::default(); template.near.len()],
            away: vec![Counts::default(); template.away.len()],
            ..State::default()
        }
    }

    /// Takes so many pods more (or less) on a node.
    pub fn apply(&mut self, template: &Template, relation: &Relation, node: &NodeInfo, by: i64) {
        if relation.near {
            for (counts, term) in self.near.iter_mut().zip(&template.near) {
                let value = node.value(term.key);
                counts.add(value, by);
                self.near_all += if value == NONE { 0 } else { by };
            }
        }
        for ((counts, term), away) in self.away.iter_mut().zip(&template.away).zip(&relation.away) {
            if *away {
                counts.add(node.value(term.key), by);
            }
        }
        for key in &relation.keeps_away {
            self.keeps_away.entry(*key).or_default().add(node.value(*key), by);
        }
        for (key, weight) in &relation.likes {
            self.likes.entry(*key).or_default().add(node.value(*key), weight * by);
        }
    }

    /// Labels whose values make a difference.
    pub fn keys(&self, template: &Template) -> impl Iterator<Item = KeyId> {
        let own = template.near.iter().chain(&template.away).map(|term| term.key);
        let own: Vec<KeyId> = own.chain(template.likes.iter().map(|(_, term)| term.key)).collect();
        own.into_iter().chain(self.keeps_away.keys().copied()).chain(self.likes.keys().copied())
    }

    /// Appends what is counted at a place.
    pub fn sign(&self, template: &Template, key: KeyId, value: u32, sign: &mut Vec<i64>) {
        let counts = self.near.iter().zip(&template.near).chain(self.away.iter().zip(&template.away));
        let somebody = |counts: &Counts| i64::from(counts.get(value) > 0);
        sign.extend(counts.filter(|(_, term)| term.key == key).map(|(counts, _)| somebody(counts)));
        sign.push(self.keeps_away.get(&key).map_or(0, somebody));
        sign.push(self.likes.get(&key).map_or(0, |counts| counts.get(value)));
    }

    pub fn filter(&self, template: &Template, itself: &Relation, node: &NodeInfo) -> Option<Rejection> {
        let reject = |reason, preemption| Some(Rejection::new(Plugin::InterPodAffinity, reason, preemption));
        if !self.is_near(template, itself, node) {
            return reject(Reason::Near, Preemption::NoHelp);
        }
        let taken = |counts: &Counts, key: KeyId| counts.get(node.value(key)) > 0;
        if self.away.iter().zip(&template.away).any(|(counts, term)| taken(counts, term.key)) {
            return reject(Reason::Away, Preemption::MayHelp);
        }
        if self.keeps_away.iter().any(|(key, counts)| taken(counts, *key)) {
            return reject(Reason::AwayFromThis, Preemption::MayHelp);
        }
        None
    }

    fn is_near(&self, template: &Template, itself: &Relation, node: &NodeInfo) -> bool {
        let mut all = true;
        for (counts, term) in self.near.iter().zip(&template.near) {
            let value = node.value(term.key);
            if value == NONE {
                return false;
            }
            all &= counts.get(value) > 0;
        }
        // The first of a group that wants to be together may be anywhere.
        all || self.near_all == 0 && itself.near
    }

    /// Whether any score is other than zero.
    pub fn has_likes(&self) -> bool {
        !self.likes.is_empty()
    }

    /// The sum of the weights at a node, to be made relative with [`score`].
    pub fn likes(&self, node: &NodeInfo) -> i64 {
        self.likes.iter().map(|(key, counts)| counts.get(node.value(*key))).sum()
    }
}

/// The score between the least liked and the best liked node.
pub fn score(likes: i64, least: i64, most: i64) -> i64 {
    if most == least { 0 } else { (MOST as f64 * ((likes - least) as f64 / (most - least) as f64)) as i64 }
}
