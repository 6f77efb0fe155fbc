//! What a pod of one template on some node means to a pod of another that has none yet.

use crate::model::Template;
use crate::model::namespaces::Namespaces;
use crate::model::terms::Spread;
use crate::model::topology::KeyId;

/// Weight of a pod that must be near to the new one.
const MUST_BE_NEAR: i64 = 1;

/// Nothing, for most pairs.
#[derive(Debug, Default, PartialEq)]
pub struct Relation {
    /// Which of the new pod's spreads count it.
    pub spread: Vec<bool>,
    /// It is what all of the new pod's terms of affinity want.
    pub near: bool,
    /// Which of the new pod's terms want to be away from it.
    pub away: Vec<bool>,
    /// Where it wants to be away from the new pod.
    pub keeps_away: Vec<KeyId>,
    /// What it adds to places that have the same label as its node.
    pub likes: Vec<(KeyId, i64)>,
}

impl Relation {
    pub fn new(new: &Template, spreads: &[Spread], placed: &Template, namespaces: &Namespaces) -> Relation {
        let about = |term: &crate::model::terms::Term| term.selects(&placed.namespace, &placed.labels, namespaces);
        let about_new = |term: &crate::model::terms::Term| term.selects(&new.namespace, &new.labels, namespaces);
        let same_namespace = placed.namespace == new.namespace;
        let mut likes: Vec<(KeyId, i64)> =
            new.likes.iter().filter(|(_, term)| about(term)).map(|(weight, term)| (term.key, *weight)).collect();
        likes.extend(placed.near.iter().filter(|term| about_new(term)).map(|term| (term.key, MUST_BE_NEAR)));
        likes.extend(placed.likes.iter().filter(|(_, term)| about_new(term)).map(|(weight, term)| (term.key, *weight)));
        Relation {
            spread: spreads.iter().map(|spread| same_namespace && spread.selector.matches(&placed.labels)).collect(),
            near: !new.near.is_empty() && new.near.iter().all(about),
            away: new.away.iter().map(about).collect(),
            keeps_away: placed.away.iter().filter(|term| about_new(term)).map(|term| term.key).collect(),
            likes,
        }
    }

    /// Labels whose values begin to make a difference by such a pod.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.keeps_away.iter().copied().chain(self.likes.iter().map(|(key, _)| *key))
    }

    /// Whether it means nothing at all.
    pub fn is_none(&self) -> bool {
        !self.near
            && !self.spread.contains(&true)
            && !self.away.contains(&true)
            && self.keeps_away.is_empty()
            && self.likes.is_empty()
    }
}
