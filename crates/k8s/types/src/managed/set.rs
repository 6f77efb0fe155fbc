//! Sets of fields: a tree whose steps are written as in `fieldsV1`, so that reading, writing and comparing them needs no other form.
//!
//! A step is `f:<name>` of a field or map entry, `k:<json>` of a list's item by its keys (sorted), `v:<json>` of an item by its value, `i:<n>` by its index. A
//! member of the set may have members beneath it, or not; a step that is no member has some.

mod algebra;
mod json;
#[cfg(test)]
pub(crate) mod tests;

use super::key::spoken;
pub use json::FieldsError;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) key: Box<str>,
    pub(super) member: bool,
    pub(super) below: Set,
}

impl Set {
    /// Nothing.
    pub const fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Nothing, with room for so many steps.
    pub(super) fn with_capacity(steps: usize) -> Self {
        Self { nodes: Vec::with_capacity(steps) }
    }

    /// A set of named fields, each given by the names on the way to it.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let steps: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
            set.insert(steps.iter().map(String::as_str));
        }
        set
    }

    /// Adds the field at the end of these steps.
    pub fn insert<'a>(&mut self, steps: impl IntoIterator<Item = &'a str>) {
        let mut steps = steps.into_iter().peekable();
        let mut at = self;
        while let Some(step) = steps.next() {
            let node = at.node_mut(step);
            node.member |= steps.peek().is_none();
            at = &mut node.below;
        }
    }

    /// Whether the field at the end of these steps is a member.
    pub fn has<'a>(&self, steps: impl IntoIterator<Item = &'a str>) -> bool {
        let mut at = self;
        let mut member = false;
        for step in steps {
            let Some(node) = at.get(step) else { return false };
            member = node.member;
            at = &node.below;
        }
        member
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| !node.member && node.below.is_empty())
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    /// Every member as Kubernetes prints it in conflicts, such as `.spec.containers[name="a"].image`: the members at a level before those below it.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        paths.extend(self.nodes.iter().filter(|node| node.member).map(|node| format!("{prefix}{}", spoken(&node.key))));
        for node in self.nodes.iter().filter(|node| !node.below.nodes.is_empty()) {
            node.below.collect(&format!("{prefix}{}", spoken(&node.key)), paths);
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn get(&self, step: &str) -> Option<&Node> {
        self.find(step).ok().map(|at| &self.nodes[at])
    }

    /// Adds a node whose step is not there yet. Cheap when it comes after all others.
    pub(super) fn push(&mut self, node: Node) {
        match self.nodes.last() {
            Some(last) if *last.key >= *node.key => match self.find(&node.key) {
                Ok(at) => {
                    let there = &mut self.nodes[at];
                    there.member |= node.member;
                    there.below.union_with(node.below);
                }
                Err(at) => self.nodes.insert(at, node),
            },
            _ => self.nodes.push(node),
        }
    }

    /// Puts another node of the same step in the place of one.
    pub(super) fn replace(&mut self, index: usize, node: Node) {
        self.nodes[index] = node;
    }

    fn node_mut(&mut self, step: &str) -> &mut Node {
        let at = match self.find(step) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, Node { key: step.into(), member: false, below: Self::new() });
                at
            }
        };
        &mut self.nodes[at]
    }

    fn find(&self, step: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| (*node.key).cmp(step))
    }
}

impl Node {
    /// Whether there is no reason to keep it.
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.nodes.is_empty()
    }
}
