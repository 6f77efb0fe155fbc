//! Union, intersection and two kinds of difference.

use super::{Node, Set};
use std::cmp::Ordering;

impl Set {
    /// Adds the members of another set.
    pub fn union_with(&mut self, other: Self) {
        if self.nodes.is_empty() {
            *self = other;
            return;
        }
        if other.nodes.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.nodes.len() + other.nodes.len());
        let mut theirs = other.nodes.into_iter().peekable();
        for mut node in std::mem::take(&mut self.nodes) {
            while let Some(before) = theirs.next_if(|other| other.key < node.key) {
                merged.push(before);
            }
            if let Some(same) = theirs.next_if(|other| other.key == node.key) {
                node.member |= same.member;
                node.below.union_with(same.below);
            }
            merged.push(node);
        }
        merged.extend(theirs);
        self.nodes = merged;
    }

    /// The members of both.
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.union_with(other.clone());
        union
    }

    /// The members that both have.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (mine, theirs) in self.pairs(other) {
            if let Some(theirs) = theirs {
                let member = mine.member && theirs.member;
                let node = Node { key: mine.key.clone(), member, below: mine.below.intersection(&theirs.below) };
                if !node.is_empty() {
                    both.nodes.push(node);
                }
            }
        }
        both
    }

    /// The members that the other does not have. A member stays when only something beneath it goes.
    pub fn difference(&self, other: &Self) -> Self {
        self.without(other, false)
    }

    /// The members that the other does not have and that are not beneath one of its members.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.without(other, true)
    }

    fn without(&self, other: &Self, recursive: bool) -> Self {
        if other.nodes.is_empty() {
            return self.clone();
        }
        let mut rest = Self::new();
        for (mine, theirs) in self.pairs(other) {
            let node = match theirs {
                None => mine.clone(),
                Some(theirs) if recursive && theirs.member => continue,
                Some(theirs) => Node {
                    key: mine.key.clone(),
                    member: mine.member && !theirs.member,
                    below: mine.below.without(&theirs.below, recursive),
                },
            };
            if !node.is_empty() {
                rest.nodes.push(node);
            }
        }
        rest
    }

    /// Whether every member is one of the other, too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.pairs(other).all(|(mine, theirs)| match theirs {
            None => mine.below.is_empty() && !mine.member,
            Some(theirs) => (!mine.member || theirs.member) && mine.below.is_subset(&theirs.below),
        })
    }

    /// Every node of this set with that of the other of the same step.
    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a Node, Option<&'a Node>)> {
        let mut theirs = other.nodes.as_slice();
        self.nodes.iter().map(move |mine| {
            while let [first, rest @ ..] = theirs {
                match first.key.cmp(&mine.key) {
                    Ordering::Less => theirs = rest,
                    Ordering::Equal => return (mine, Some(first)),
                    Ordering::Greater => break,
                }
            }
            (mine, None)
        })
    }
}
