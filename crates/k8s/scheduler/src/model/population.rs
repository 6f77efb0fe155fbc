//! Where the pods of each template are, and which templates can mean something to another one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::node::NodeId;
use super::template::{Template, TemplateId};

/// Where the pods of a template are.
#[derive(Debug)]
pub struct Population {
    pub template: Arc<Template>,
    /// By node: those that stay, those that are being deleted.
    pub nodes: HashMap<NodeId, [i64; 2]>,
}

/// All templates that have pods on nodes.
#[derive(Debug, Default)]
pub struct Populations {
    all: HashMap<TemplateId, Population>,
    by_namespace: HashMap<String, HashSet<TemplateId>>,
    /// Those that say something about other pods.
    with_terms: HashSet<TemplateId>,
}

impl Populations {
    /// So many pods of a template more (or less) on a node.
    pub fn count(&mut self, template: &Arc<Template>, node: NodeId, leaving: bool, by: i64) {
        if !self.all.contains_key(&template.id) {
            self.by_namespace.entry(template.namespace.clone()).or_default().insert(template.id);
            if template.has_terms() {
                self.with_terms.insert(template.id);
            }
        }
        let population = self
            .all
            .entry(template.id)
            .or_insert_with(|| Population { template: template.clone(), nodes: HashMap::new() });
        let counts = population.nodes.entry(node).or_insert([0, 0]);
        counts[usize::from(leaving)] += by;
        if *counts == [0, 0] {
            population.nodes.remove(&node);
            if population.nodes.is_empty() {
                self.forget(template);
            }
        }
    }

    fn forget(&mut self, template: &Template) {
        self.all.remove(&template.id);
        self.with_terms.remove(&template.id);
        if let Some(here) = self.by_namespace.get_mut(&template.namespace) {
            here.remove(&template.id);
            if here.is_empty() {
                self.by_namespace.remove(&template.namespace);
            }
        }
    }

    /// Those that may matter to a template: who says something about other pods, and whom it says something about itself.
    pub fn related(&self, template: &Template, spreads: bool) -> Vec<&Population> {
        let Some(mut namespaces) = template.asked_namespaces() else { return self.all.values().collect() };
        if spreads {
            namespaces.insert(&template.namespace);
        }
        let here = namespaces.into_iter().filter_map(|name| self.by_namespace.get(name)).flatten();
        let ids: BTreeSet<&TemplateId> = here.chain(&self.with_terms).collect();
        ids.into_iter().filter_map(|id| self.all.get(id)).collect()
    }
}
