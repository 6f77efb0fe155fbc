//! What is known about all nodes for one template: found out once, kept right by the journal. The cost of a pod is that of the nodes that changed since the
//! last one of its template, and one look at each group of nodes that are alike ([`crate::rank`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::alike::Alike;
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

/// More relations than this are found out again rather than kept.
const RELATIONS: usize = 4096;

/// What depends on a node's object alone.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    rejection: Option<Box<Rejection>>,
    volumes: Option<Box<Rejection>>,
    pub advised_against: i64,
    pub wishes: i64,
    pub image: i64,
}

/// What depends on what is on the node, too.
#[derive(Debug, Default)]
pub(crate) struct Local {
    rejection: Option<Box<Rejection>>,
    pub score: i64,
}

/// What kept results are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    epoch: u64,
    volumes: u64,
    replicas: u64,
    entry: u64,
}

pub struct Class {
    pub template: Arc<Template>,
    at: Option<Moment>,
    pub(crate) fixed: Vec<Fixed>,
    pub(crate) local: Vec<Local>,
    pub(crate) alike: Alike,
    pub(crate) affinity: inter_pod_affinity::State,
    pub(crate) spread: topology_spread::State,
    relations: HashMap<TemplateId, Arc<Relation>>,
    itself: Arc<Relation>,
    pub needs: volume_binding::Needs,
    /// The pod can be nowhere.
    pub(crate) nowhere: Option<Rejection>,
    /// What came out at a moment in which there was no node.
    pub failed: Option<(Moment, Arc<Failure>)>,
    /// Why preemption did not help then.
    pub hopeless: Option<(Moment, Arc<str>)>,
}

/// What has to be looked at again.
#[derive(Default)]
struct Stale {
    /// These nodes.
    nodes: BTreeSet<NodeId>,
    /// How good it is on each node that images are there.
    images: bool,
    /// Which nodes are alike.
    groups: bool,
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
            alike: Alike::default(),
            relations: HashMap::new(),
            itself: Arc::default(),
            needs: volume_binding::Needs::default(),
            nowhere: None,
            failed: None,
            hopeless: None,
        }
    }

    /// The moment that the cluster is at, as far as it matters to this template.
    pub fn moment(&self, cluster: &Cluster) -> Moment {
        let volumes = if self.template.claims.is_empty() { 0 } else { cluster.volumes.epoch() };
        let replicas = if self.template.says_spread() { 0 } else { cluster.replicas.epoch() };
        Moment { epoch: cluster.epoch, volumes, replicas, entry: cluster.journal.next() }
    }

    /// Makes everything as the cluster is now.
    pub fn catch_up(&mut self, cluster: &Cluster) {
        let now = self.moment(cluster);
        let at = self.at.replace(now);
        if at == Some(now) {
            return;
        }
        let same = |at: &Moment| {
            at.epoch == now.epoch
                && at.volumes == now.volumes
                && (at.replicas == now.replicas || self.spread.wishes_are(&self.wished(cluster)))
        };
        match at.filter(same).and_then(|at| cluster.journal.since(at.entry)) {
            Some(entries) => self.follow(cluster, entries),
            None => self.rebuild(cluster),
        }
    }

    fn follow<'a>(&mut self, cluster: &Cluster, entries: impl Iterator<Item = &'a Entry>) {
        let mut stale = Stale::default();
        for entry in entries {
            match entry {
                Entry::Node(id) => {
                    stale.nodes.insert(*id);
                }
                Entry::Properties(id) => {
                    let Some(info) = cluster.info(*id).filter(|info| info.node.is_some()) else { continue };
                    let (fixed, fits) = self.fixed(cluster, info, cluster.count());
                    if !self.spread.is_unchanged(*id, info, fits) {
                        return self.rebuild(cluster);
                    }
                    self.fixed[id.index()] = fixed;
                    stale.nodes.insert(*id);
                }
                Entry::Image(name) => {
                    stale.images |= self.template.images.iter().any(|image| **image == **name);
                }
                Entry::Pods { node, template, by, leaving } => {
                    stale.nodes.insert(*node);
                    if let Some(info) = cluster.info(*node) {
                        self.apply(cluster, template, *node, info, *by, *leaving);
                        let relation = self.relations.get(&template.id);
                        stale.groups |= relation.is_some_and(|relation| !self.alike.knows(relation.keys()));
                    }
                }
            }
        }
        self.refresh(cluster, stale);
    }

    fn refresh(&mut self, cluster: &Cluster, stale: Stale) {
        for id in &stale.nodes {
            if let Some(info) = cluster.info(*id).filter(|info| info.node.is_some()) {
                self.local[id.index()] = self.local(cluster, info);
                if !stale.images && !stale.groups {
                    self.group(*id, info);
                }
            }
        }
        if stale.images {
            for (id, info) in cluster.nodes() {
                self.fixed[id.index()].image = image_locality::score(&self.template, info, cluster, cluster.count());
                self.group(id, info);
            }
        }
        if stale.groups {
            self.group_all(cluster);
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
        self.fixed.clear();
        self.fixed.resize_with(cluster.places(), Fixed::default);
        self.local.clear();
        self.local.resize_with(cluster.places(), Local::default);
        for (id, info) in cluster.nodes() {
            let (fixed, fits) = self.fixed(cluster, info, cluster.count());
            self.spread.add_node(id, info, fits);
            self.fixed[id.index()] = fixed;
            self.local[id.index()] = self.local(cluster, info);
        }
        for population in cluster.populations.related(&template, !self.spread.spreads.is_empty()) {
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
        self.group_all(cluster);
    }

    fn group_all(&mut self, cluster: &Cluster) {
        let spreads = self.spread.spreads.iter().map(|spread| spread.key);
        let keys = spreads.chain(self.affinity.keys(&self.template)).collect();
        self.alike = Alike::new(cluster, keys);
        for (id, info) in cluster.nodes() {
            self.group(id, info);
        }
    }

    /// Puts a node among those that are like it, or among none where it cannot be had as it is.
    fn group(&mut self, id: NodeId, info: &NodeInfo) {
        if self.known_rejection(id).is_some() {
            return self.alike.put(id, None);
        }
        let (fixed, local) = (&self.fixed[id.index()], &self.local[id.index()]);
        let mut sign = vec![local.score + fixed.image, fixed.advised_against, fixed.wishes];
        self.alike.sign(info, &mut sign, |key, value, sign| {
            self.spread.sign(key, value, sign);
            self.affinity.sign(&self.template, key, value, sign);
        });
        self.alike.put(id, Some(&sign));
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

    fn fixed(&self, cluster: &Cluster, info: &NodeInfo, count: usize) -> (Fixed, Fits) {
        let template = &*self.template;
        let Some(node) = &info.node else { return (Fixed::default(), Fits { affinity: false, taints: false }) };
        let taints = taint_toleration::filter(template, node);
        let affinity = node_affinity::filter(template, node);
        let fits = Fits { affinity: affinity.is_none(), taints: taints.is_none() };
        let volumes = if self.needs.is_empty() { None } else { self.needs.filter(node, &cluster.volumes) };
        let fixed = Fixed {
            rejection: node_unschedulable::filter(template, node).or(taints).or(affinity).map(Box::new),
            volumes: volumes.map(Box::new),
            advised_against: taint_toleration::advises_against(template, node),
            wishes: node_affinity::wishes(template, node),
            image: image_locality::score(template, info, cluster, count),
        };
        (fixed, fits)
    }

    fn local(&self, cluster: &Cluster, info: &NodeInfo) -> Local {
        let template = &self.template;
        let kept = cluster.load(info, template.priority);
        let score = resources_fit::score(template, info) + balanced_allocation::score(template, info);
        let rejection = self.fits(cluster, info, kept.as_ref().unwrap_or(&info.load));
        Local { rejection: rejection.map(Box::new), score }
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
        if self.relations.len() >= RELATIONS {
            self.relations.clear();
        }
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

    /// Why a node cannot be had, as far as that does not depend on pods elsewhere.
    fn known_rejection(&self, id: NodeId) -> Option<&Rejection> {
        let (fixed, local) = (&self.fixed[id.index()], &self.local[id.index()]);
        let known = [&fixed.rejection, &local.rejection, &fixed.volumes];
        self.nowhere.as_ref().or_else(|| known.into_iter().find_map(Option::as_deref))
    }

    /// Why a node cannot be had because of pods elsewhere; `least` is that of the spread.
    pub(crate) fn rejection_by_others(&self, info: &NodeInfo, least: &[i64]) -> Option<Rejection> {
        self.spread.filter(least, info).or_else(|| self.affinity.filter(&self.template, &self.itself, info))
    }

    fn reject(&self, id: NodeId, info: &NodeInfo, least: &[i64]) -> Option<Rejection> {
        self.known_rejection(id).cloned().or_else(|| self.rejection_by_others(info, least))
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
}
