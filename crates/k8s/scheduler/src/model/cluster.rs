//! Nodes, what is placed on them, and everything else that decisions look at; every change is written into the journal.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::journal::{Entry, Journal};
use super::namespaces::{Namespaces, Replicas};
use super::node::{Load, NodeId, NodeInfo, Nominee, Placed};
use super::resources::Requests;
use super::template::{self, Template, TemplateId};
use super::topology::Topology;
use super::volumes::Volumes;

/// A pod's uid.
pub type Uid = Arc<str>;

/// What of a node became other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// It was not there.
    New,
    /// Labels, taints, images, or whether pods may be sent there.
    Properties,
    /// Only what it offers.
    Allocatable,
    /// Nothing that matters here.
    None,
}

/// Where the pods of a template are.
#[derive(Debug)]
pub struct Population {
    pub template: Arc<Template>,
    /// By node: those that stay, those that are being deleted.
    pub nodes: HashMap<NodeId, [i64; 2]>,
}

pub struct Cluster {
    nodes: Vec<Option<NodeInfo>>,
    by_name: HashMap<Arc<str>, NodeId>,
    places: HashMap<Uid, NodeId>,
    nominations: HashMap<Uid, NodeId>,
    templates: HashMap<Arc<[u8]>, Arc<Template>>,
    next_template: u64,
    /// Templates that nobody has any more are looked for at this number.
    prune_at: usize,
    pub population: HashMap<TemplateId, Population>,
    pub topology: Topology,
    pub namespaces: Namespaces,
    pub replicas: Replicas,
    pub volumes: Volumes,
    pub journal: Journal,
    /// On how many nodes an image is.
    pub images: HashMap<String, usize>,
    /// How many pods on nodes have a claim, by namespace and name.
    pub claims: HashMap<(String, String), i64>,
    /// What is kept from another epoch is of no use.
    pub epoch: u64,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            nodes: Vec::new(),
            by_name: HashMap::new(),
            places: HashMap::new(),
            nominations: HashMap::new(),
            templates: HashMap::new(),
            next_template: 0,
            prune_at: 1024,
            population: HashMap::new(),
            topology: Topology::default(),
            namespaces: Namespaces::default(),
            replicas: Replicas::default(),
            volumes: Volumes::default(),
            journal: Journal::default(),
            images: HashMap::new(),
            claims: HashMap::new(),
            epoch: 0,
        }
    }
}

impl Cluster {
    /// How many places for nodes there are, some of them empty.
    pub fn places(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes that exist.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeInfo)> {
        let all = self.nodes.iter().enumerate();
        all.filter_map(|(at, info)| Some((NodeId(at as u32), info.as_ref().filter(|info| info.node.is_some())?)))
    }

    /// A node's state; of one that only its pods tell of, too.
    pub fn info(&self, id: NodeId) -> Option<&NodeInfo> {
        self.nodes.get(id.index())?.as_ref()
    }

    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    pub fn name(&self, id: NodeId) -> Arc<str> {
        self.info(id).map_or_else(|| "".into(), |info| info.name.clone())
    }

    /// Where a pod is placed.
    pub fn place_of(&self, uid: &str) -> Option<NodeId> {
        self.places.get(uid).copied()
    }

    /// The template of a pod, made if it is the first of its kind.
    pub fn template(&mut self, pod: &Pod) -> Arc<Template> {
        let key = template::key(pod);
        if let Some(template) = self.templates.get(&key) {
            return template.clone();
        }
        if self.templates.len() >= self.prune_at {
            self.templates.retain(|_, template| Arc::strong_count(template) > 1);
            self.prune_at = (2 * self.templates.len()).max(1024);
        }
        let id = TemplateId(self.next_template);
        self.next_template += 1;
        let keys = self.topology.len();
        let template = Arc::new(Template::new(id, pod, &mut self.topology));
        if self.topology.len() != keys {
            self.read_topology();
        }
        self.templates.insert(key, template.clone());
        template
    }

    fn read_topology(&mut self) {
        for info in self.nodes.iter_mut().flatten() {
            let labels = info.node.as_ref().and_then(|node| node.metadata.labels.as_ref());
            info.topology = self.topology.read(labels);
        }
    }

    fn slot(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let mut info = NodeInfo::new(name);
        info.topology = self.topology.read(None);
        let free = self.nodes.iter().position(Option::is_none).filter(|_| self.by_name.len() < self.nodes.len());
        let id = NodeId(free.unwrap_or(self.nodes.len()) as u32);
        self.by_name.insert(info.name.clone(), id);
        match free {
            Some(at) => self.nodes[at] = Some(info),
            None => self.nodes.push(Some(info)),
        }
        id
    }

    /// Takes a node as it is now.
    pub fn set_node(&mut self, node: Arc<Node>) -> NodeChange {
        let id = self.slot(node.metadata.name.as_deref().unwrap_or(""));
        let Some(info) = self.nodes[id.index()].as_mut() else { return NodeChange::None };
        let change = match &info.node {
            None => NodeChange::New,
            Some(old) => compare(old, &node),
        };
        let images = std::mem::take(&mut info.images);
        info.topology = self.topology.read(node.metadata.labels.as_ref());
        info.set(node);
        if images.len() != info.images.len() || images != info.images {
            count_images(&mut self.images, images.keys(), info.images.keys());
        }
        match change {
            NodeChange::New | NodeChange::Properties => self.epoch += 1,
            NodeChange::Allocatable => self.journal.push(Entry::Node(id)),
            NodeChange::None => {}
        }
        change
    }

    /// A node is gone; its pods may still be told of.
    pub fn remove_node(&mut self, name: &str) {
        let Some(id) = self.find(name) else { return };
        if let Some(info) = self.nodes[id.index()].as_mut() {
            count_images(&mut self.images, info.images.keys(), std::iter::empty());
            info.node = None;
            info.images.clear();
            info.topology = self.topology.read(None);
            self.epoch += 1;
        }
        self.forget_if_empty(id);
    }

    fn forget_if_empty(&mut self, id: NodeId) {
        let empty =
            self.info(id).is_some_and(|info| info.node.is_none() && info.pods.is_empty() && info.nominees.is_empty());
        if empty && let Some(info) = self.nodes[id.index()].take() {
            self.by_name.remove(&info.name);
            self.epoch += 1;
        }
    }

    /// Puts a pod on a node, or takes what changed of one that is there.
    pub fn place(&mut self, pod: Arc<Pod>, node: &str) {
        let uid: Uid = pod.metadata.uid.as_deref().unwrap_or("").into();
        let template = self.template(&pod);
        let held = Requests::held(&pod, &template.requests);
        let leaving = pod.metadata.deletion_timestamp.is_some();
        let placed = Placed { pod, template, held, leaving };
        let id = self.slot(node);
        if self.places.get(&uid) == Some(&id)
            && let Some(old) = self.nodes[id.index()].as_mut().and_then(|info| info.pods.get_mut(&uid))
            && old.leaving == placed.leaving
            && old.held == placed.held
            && old.template.id == placed.template.id
        {
            old.pod = placed.pod;
            return;
        }
        self.remove(&uid);
        let id = self.slot(node);
        self.clear_nomination(&uid);
        self.count(id, &placed, 1);
        if let Some(info) = self.nodes[id.index()].as_mut() {
            info.load.add(placed.requests(), &placed.template.ports);
            info.pods.insert(uid.clone(), placed);
        }
        self.places.insert(uid, id);
    }

    /// Takes a pod away.
    pub fn remove(&mut self, uid: &str) -> Option<Placed> {
        let id = self.places.remove(uid)?;
        let info = self.nodes[id.index()].as_mut()?;
        let placed = info.pods.remove(uid)?;
        info.load.sub(placed.requests(), &placed.template.ports);
        self.count(id, &placed, -1);
        self.forget_if_empty(id);
        Some(placed)
    }

    fn count(&mut self, node: NodeId, placed: &Placed, by: i64) {
        let template = &placed.template;
        let population = self
            .population
            .entry(template.id)
            .or_insert_with(|| Population { template: template.clone(), nodes: HashMap::new() });
        let counts = population.nodes.entry(node).or_insert([0, 0]);
        counts[usize::from(placed.leaving)] += by;
        if *counts == [0, 0] {
            population.nodes.remove(&node);
            if population.nodes.is_empty() {
                self.population.remove(&template.id);
            }
        }
        for claim in &template.claims {
            let key = (template.namespace.clone(), claim.clone());
            let users = self.claims.entry(key.clone()).or_insert(0);
            *users += by;
            if *users == 0 {
                self.claims.remove(&key);
            }
            self.volumes.touch();
        }
        let entry = Entry::Pods { node, template: template.clone(), by, leaving: placed.leaving };
        self.journal.push(entry);
    }

    /// Keeps room on a node for a pod.
    pub fn nominate(&mut self, uid: &str, template: &Arc<Template>, node: &str) {
        self.clear_nomination(uid);
        let Some(id) = self.find(node) else { return };
        if let Some(info) = self.nodes[id.index()].as_mut() {
            info.nominees.push(Nominee { uid: uid.into(), template: template.clone() });
            self.nominations.insert(uid.into(), id);
            self.journal.push(Entry::Node(id));
        }
    }

    /// Where room is kept for a pod.
    pub fn nomination(&self, uid: &str) -> Option<NodeId> {
        self.nominations.get(uid).copied()
    }

    pub fn clear_nomination(&mut self, uid: &str) -> Option<NodeId> {
        let id = self.nominations.remove(uid)?;
        if let Some(info) = self.nodes[id.index()].as_mut() {
            info.nominees.retain(|nominee| &*nominee.uid != uid);
            self.journal.push(Entry::Node(id));
        }
        self.forget_if_empty(id);
        Some(id)
    }

    /// What is used of a node for a pod of this priority: also what is kept for those that are at least as important.
    pub fn load(&self, info: &NodeInfo, priority: i32) -> Option<Load> {
        let mut kept = info.nominees.iter().filter(|nominee| nominee.template.priority >= priority).peekable();
        kept.peek()?;
        let mut load = info.load.clone();
        kept.for_each(|nominee| load.add(&nominee.template.requests, &nominee.template.ports));
        Some(load)
    }
}

fn compare(old: &Node, new: &Node) -> NodeChange {
    let spec = |node: &Node| {
        let spec = node.spec.as_ref();
        (spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(), spec.and_then(|spec| spec.unschedulable))
    };
    let status = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    if old.metadata.labels != new.metadata.labels
        || spec(old) != spec(new)
        || super::node::images(old) != super::node::images(new)
    {
        NodeChange::Properties
    } else if status(old) != status(new) {
        NodeChange::Allocatable
    } else {
        NodeChange::None
    }
}

fn count_images<'a>(
    counts: &mut HashMap<String, usize>,
    old: impl Iterator<Item = &'a String>,
    new: impl Iterator<Item = &'a String>,
) {
    for image in new {
        *counts.entry(image.clone()).or_insert(0) += 1;
    }
    for image in old {
        if let Some(count) = counts.get_mut(image) {
            *count -= 1;
            if *count == 0 {
                counts.remove(image);
            }
        }
    }
}
