//! What is known about all nodes for one template: found out once, kept right by the journal. The cost of a pod is that of the nodes that changed since the
//! last one of its template, and one pass over numbers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::failure::Failure;
use crate::model::journal::Entry;
use crate::model::template::TemplateId;
use crate::model::terms::Spread;
use crate::model::{Cluster, Load, NodeId, NodeInfo, Placed, Template};
use crate::plugins::topology_spread::{Fits, Unlabelled};
use crate::plugins::{
    Plugin, Preemption, Reason, Rejection, balanced_allocation, image_locality, inter_pod_affinity, node_affinity,
    node_ports, node_unschedulable, relation::Relation, resources_fit, taint_toleration, topology_spread,
    volume_binding, volume_limits, volume_restrictions,
};

/// What depends on a node's object alone.
#[derive(Debug, Default)]
struct Fixed {
    rejection: Option<Rejection>,
    volumes: Option<Rejection>,
    advised_against: i64,
    wishes: i64,
    image: i64,
}

/// What depends on what is on the node, too.
#[derive(Debug, Default)]
struct Local {
    rejection: Option<Rejection>,
    score: i64,
}

/// What kept results are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    epoch: u64,
    volumes: u64,
    entry: u64,
}

pub struct Class {
    pub template: Arc<Template>,
    at: Option<Moment>,
    fixed: Vec<Fixed>,
    local: Vec<Local>,
    affinity: inter_pod_affinity::State,
    spread: topology_spread::State,
    relations: HashMap<TemplateId, Arc<Relation>>,
    itself: Arc<Relation>,
    pub needs: volume_binding::Needs,
    /// The pod can be nowhere.
    nowhere: Option<Rejection>,
    /// What came out at a moment in which there was no node.
    pub failed: Option<(Moment, Arc<Failure>)>,
}

impl Class {
    pub fn new(template: Arc<Template>) -> Class {
        Class {
            affinity: inter_pod_affinity::State::new(&template),
            spread: topology_spread::State::new(&[], &[], Unlabelled::Part, 0),
            template,
            at: None,
            fixed: Vec::new(),
            local: Vec::new(),
            relations: HashMap::new(),
            itself: Arc::default(),
            needs: volume_binding::Needs::default(),
            nowhere: None,
            failed: None,
        }
    }

    /// The moment that the cluster is at, as far as it matters to this template.
    pub fn moment(&self, cluster: &Cluster) -> Moment {
        let volumes = if self.template.claims.is_empty() { 0 } else { cluster.volumes.epoch() };
        Moment { epoch: cluster.epoch, volumes, entry: cluster.journal.next() }
    }

    /// Makes everything as the cluster is now.
    pub fn catch_up(&mut self, cluster: &Cluster) {
        let now = self.moment(cluster);
        let entries = match self.at {
            Some(at) if at == now => return,
            Some(at) if at.epoch == now.epoch && at.volumes == now.volumes => cluster.journal.since(at.entry),
            _ => None,
        };
        self.at = Some(now);
        let Some(entries) = entries else { return self.rebuild(cluster) };
        let mut touched = HashSet::new();
        for entry in entries {
            match entry {
                Entry::Node(id) => {
                    touched.insert(*id);
                }
                Entry::Pods { node, template, by, leaving } => {
                    touched.insert(*node);
                    if let Some(info) = cluster.info(*node) {
                        self.apply(cluster, template, *node, info, *by, *leaving);
                    }
                }
            }
        }
        for id in touched {
            if let Some(info) = cluster.info(id).filter(|info| info.node.is_some()) {
                self.local[id.index()] = self.local(cluster, info);
            }
        }
    }

    fn rebuild(&mut self, cluster: &Cluster) {
        let template = self.template.clone();
        self.relations.clear();
        self.affinity = inter_pod_affinity::State::new(&template);
        let wished = self.wished(cluster);
        let unlabelled = if template.says_spread() { Unlabelled::Last } else { Unlabelled::Part };
        self.spread = topology_spread::State::new(&template.spread, &wished, unlabelled, cluster.places());
        self.itself = Arc::new(Relation::new(&template, &self.spread.spreads, &template, &cluster.namespaces));
        self.find_needs(cluster);
        let count = cluster.nodes().count();
        self.fixed.clear();
        self.fixed.resize_with(cluster.places(), Fixed::default);
        self.local.clear();
        self.local.resize_with(cluster.places(), Local::default);
        for (id, info) in cluster.nodes() {
            self.fixed[id.index()] = self.fixed(cluster, id, info, count);
        }
        for (id, info) in cluster.nodes() {
            self.local[id.index()] = self.local(cluster, info);
        }
        for population in cluster.population.values() {
            let relation = self.relation(cluster, &population.template);
            if relation.is_none() {
                continue;
            }
            for (id, counts) in &population.nodes {
                if let Some(info) = cluster.info(*id) {
                    self.affinity.apply(&template, &relation, info, counts[0] + counts[1]);
                    self.spread.apply(&relation, *id, info, counts[0]);
                }
            }
        }
    }

    fn wished(&self, cluster: &Cluster) -> Vec<Spread> {
        let template = &self.template;
        if template.says_spread() {
            return template.spread_wished.clone();
        }
        let replicas = cluster.replicas.of(&template.namespace, &template.labels, template.owner.as_deref());
        replicas.map(|selector| Spread::wished(&selector, &template.labels)).unwrap_or_default()
    }

    fn find_needs(&mut self, cluster: &Cluster) {
        (self.needs, self.nowhere) = match volume_binding::needs(&self.template, cluster) {
            Ok(needs) => (needs, volume_restrictions::filter(&self.template, cluster)),
            Err(rejection) => (volume_binding::Needs::default(), Some(rejection)),
        };
        if self.template.spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
            let why = Reason::Pod("pod has resource claims, which are not allocated here".into());
            self.nowhere = Some(Rejection::new(Plugin::DynamicResources, why, Preemption::NoHelp));
        }
    }

    fn fixed(&mut self, cluster: &Cluster, id: NodeId, info: &NodeInfo, count: usize) -> Fixed {
        let template = &*self.template;
        let Some(node) = &info.node else { return Fixed::default() };
        let taints = taint_toleration::filter(template, node);
        let affinity = node_affinity::filter(template, node);
        let fits = Fits { affinity: affinity.is_none(), taints: taints.is_none() };
        self.spread.add_node(id, info, fits);
        Fixed {
            rejection: node_unschedulable::filter(template, node).or(taints).or(affinity),
            volumes: if self.needs.is_empty() { None } else { self.needs.filter(node, &cluster.volumes) },
            advised_against: taint_toleration::advises_against(template, node),
            wishes: node_affinity::wishes(template, node),
            image: image_locality::score(template, info, cluster, count),
        }
    }

    fn local(&self, cluster: &Cluster, info: &NodeInfo) -> Local {
        let template = &self.template;
        let kept = cluster.load(info, template.priority);
        let score = resources_fit::score(template, info) + balanced_allocation::score(template, info);
        Local { rejection: self.fits(cluster, info, kept.as_ref().unwrap_or(&info.load)), score }
    }

    fn fits(&self, cluster: &Cluster, info: &NodeInfo, load: &Load) -> Option<Rejection> {
        let template = &self.template;
        node_ports::filter(template, load)
            .or_else(|| resources_fit::filter(template, load, info))
            .or_else(|| (!template.claims.is_empty()).then(|| volume_limits::filter(template, info, cluster)).flatten())
    }

    fn relation(&mut self, cluster: &Cluster, placed: &Arc<Template>) -> Arc<Relation> {
        if let Some(relation) = self.relations.get(&placed.id) {
            return relation.clone();
        }
        let relation = Relation::new(&self.template, &self.spread.spreads, placed, &cluster.namespaces);
        let relation = Arc::new(relation);
        self.relations.insert(placed.id, relation.clone());
        relation
    }

    fn apply(
        &mut self,
        cluster: &Cluster,
        placed: &Arc<Template>,
        id: NodeId,
        info: &NodeInfo,
        by: i64,
        leaving: bool,
    ) {
        let relation = self.relation(cluster, placed);
        if relation.is_none() {
            return;
        }
        self.affinity.apply(&self.template, &relation, info, by);
        if !leaving {
            self.spread.apply(&relation, id, info, by);
        }
    }

    /// Takes a pod of a node into account, or not, to see what would be; to be undone by the opposite.
    pub fn suppose(&mut self, cluster: &Cluster, placed: &Placed, id: NodeId, info: &NodeInfo, by: i64) {
        self.apply(cluster, &placed.template, id, info, by, placed.leaving);
    }

    /// Why the pod cannot be on a node if so much of it were used; what does not change with its pods is taken as it is.
    pub fn supposed(&self, cluster: &Cluster, info: &NodeInfo, load: &Load) -> Option<Rejection> {
        let least = self.spread.least();
        self.fits(cluster, info, load)
            .or_else(|| self.spread.filter(&least, info))
            .or_else(|| self.affinity.filter(&self.template, &self.itself, info))
    }

    /// Why a node cannot be had; `least` is that of the spread.
    fn reject(&self, id: NodeId, info: &NodeInfo, least: &[i64]) -> Option<Rejection> {
        let (fixed, local) = (&self.fixed[id.index()], &self.local[id.index()]);
        for known in [&self.nowhere, &fixed.rejection, &local.rejection, &fixed.volumes] {
            if known.is_some() {
                return known.clone();
            }
        }
        self.spread.filter(least, info).or_else(|| self.affinity.filter(&self.template, &self.itself, info))
    }

    /// Whether a node can be had.
    pub fn is_feasible(&self, id: NodeId, info: &NodeInfo) -> bool {
        self.reject(id, info, &self.spread.least()).is_none()
    }

    /// Why each node cannot be had.
    pub fn rejections(&self, cluster: &Cluster) -> Vec<(NodeId, Rejection)> {
        let least = self.spread.least();
        cluster.nodes().filter_map(|(id, info)| Some((id, self.reject(id, info, &least)?))).collect()
    }

    /// The nodes that can be had with their scores, in their order.
    pub fn scores(&self, cluster: &Cluster) -> Vec<(NodeId, i64)> {
        let least = self.spread.least();
        let feasible: Vec<(NodeId, &NodeInfo)> =
            cluster.nodes().filter(|(id, info)| self.reject(*id, info, &least).is_none()).collect();
        let fixed = |id: NodeId| &self.fixed[id.index()];
        let most_advised = feasible.iter().map(|(id, _)| fixed(*id).advised_against).max().unwrap_or(0);
        let most_wishes = feasible.iter().map(|(id, _)| fixed(*id).wishes).max().unwrap_or(0);
        let mut scores: Vec<(NodeId, i64)> = feasible
            .iter()
            .map(|(id, _)| {
                let fixed = fixed(*id);
                let advised = taint_toleration::score(fixed.advised_against, most_advised);
                let wishes = node_affinity::score(fixed.wishes, most_wishes);
                let own = self.local[id.index()].score + fixed.image;
                (*id, own + advised * taint_toleration::WEIGHT + wishes * node_affinity::WEIGHT)
            })
            .collect();
        self.add_likes(&feasible, &mut scores);
        self.add_spread(&feasible, &mut scores);
        scores
    }

    fn add_likes(&self, feasible: &[(NodeId, &NodeInfo)], scores: &mut [(NodeId, i64)]) {
        if !self.affinity.has_likes() {
            return;
        }
        let likes: Vec<i64> = feasible.iter().map(|(_, info)| self.affinity.likes(info)).collect();
        let (least, most) = (likes.iter().min().copied().unwrap_or(0), likes.iter().max().copied().unwrap_or(0));
        for ((_, score), likes) in scores.iter_mut().zip(likes) {
            *score += inter_pod_affinity::score(likes, least, most) * inter_pod_affinity::WEIGHT;
        }
    }

    fn add_spread(&self, feasible: &[(NodeId, &NodeInfo)], scores: &mut [(NodeId, i64)]) {
        if !self.spread.has_wishes() {
            return;
        }
        let part = feasible.iter().map(|(_, info)| *info).filter(|info| !self.spread.is_last(info));
        let weights = self.spread.weights(part);
        let full: Vec<Option<i64>> = feasible
            .iter()
            .map(|(_, info)| (!self.spread.is_last(info)).then(|| self.spread.fullness(&weights, info)))
            .collect();
        let known = full.iter().flatten();
        let (least, most) = (known.clone().min().copied().unwrap_or(0), known.max().copied().unwrap_or(0));
        for ((_, score), fullness) in scores.iter_mut().zip(full) {
            let spread = fullness.map_or(0, |fullness| topology_spread::score(fullness, least, most));
            *score += spread * topology_spread::WEIGHT;
        }
    }
}
