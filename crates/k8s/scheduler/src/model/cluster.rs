//! Nodes, what is placed on them, and everything else that decisions look at; every change is written into the journal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::journal::{Entry, Journal};
use super::namespaces::{Namespaces, Replicas};
use super::node::{Load, NodeId, NodeInfo, Nominee, Placed};
use super::population::Populations;
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

pub struct Cluster {
    nodes: Vec<Option<NodeInfo>>,
    /// How many of them exist.
    count: usize,
    by_name: HashMap<Arc<str>, NodeId>,
    places: HashMap<Uid, NodeId>,
    nominations: HashMap<Uid, NodeId>,
    templates: HashMap<Arc<[u8]>, Arc<Template>>,
    next_template: u64,
    /// Templates that nobody has any more are looked for at this number.
    prune_at: usize,
    pub populations: Populations,
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
            count: 0,
            by_name: HashMap::new(),
            places: HashMap::new(),
            nominations: HashMap::new(),
            templates: HashMap::new(),
            next_template: 0,
            prune_at: 1024,
            populations: Populations::default(),
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

    /// How many nodes exist.
    pub fn count(&self) -> usize {
        self.count
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
        let topology = self.topology.read(node.metadata.labels.as_ref());
        let moved = std::mem::replace(&mut info.topology, topology) != info.topology;
        info.set(node);
        if change == NodeChange::New {
            self.count += 1;
        }
        if images != info.images {
            for name in count_images(&mut self.images, &images, &info.images) {
                self.journal.push(Entry::Image(name));
            }
        }
        match change {
            NodeChange::New => self.epoch += 1,
            // Another place: counts by place are others.
            NodeChange::Properties if moved => self.epoch += 1,
            NodeChange::Properties => self.journal.push(Entry::Properties(id)),
            NodeChange::Allocatable => self.journal.push(Entry::Node(id)),
            NodeChange::None => {}
        }
        change
    }

    /// A node is gone; its pods may still be told of.
    pub fn remove_node(&mut self, name: &str) {
        let Some(id) = self.find(name) else { return };
        if let Some(info) = self.nodes[id.index()].as_mut() {
            let images = std::mem::take(&mut info.images);
            count_images(&mut self.images, &images, &HashMap::new());
            self.count -= usize::from(info.node.take().is_some());
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

    /// Puts a pod on a node, or takes what changed of one that is there; returns its template.
    pub fn place(&mut self, pod: Arc<Pod>, node: &str) -> Arc<Template> {
        let uid = pod.metadata.uid.as_deref().unwrap_or("");
        let known = self.place_of(uid).and_then(|id| self.info(id)?.pods.get(uid));
        let same = known.filter(|known| template::is_same(&known.pod, &pod)).map(|known| known.template.clone());
        let template = same.unwrap_or_else(|| self.template(&pod));
        self.place_as(pod, &template, node);
        template
    }

    /// The same for a pod whose template is known.
    pub fn place_as(&mut self, pod: Arc<Pod>, template: &Arc<Template>, node: &str) {
        let uid: Uid = pod.metadata.uid.as_deref().unwrap_or("").into();
        let held = Requests::held(&pod, &template.requests);
        let leaving = pod.metadata.deletion_timestamp.is_some();
        let placed = Placed { pod, template: template.clone(), held, leaving };
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
        self.count_pod(id, &placed, 1);
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
        self.count_pod(id, &placed, -1);
        self.forget_if_empty(id);
        Some(placed)
    }

    fn count_pod(&mut self, node: NodeId, placed: &Placed, by: i64) {
        let template = &placed.template;
        self.populations.count(template, node, placed.leaving, by);
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

/// Counts the images of a node that changed; returns those whose count did.
fn count_images(
    counts: &mut HashMap<String, usize>,
    old: &HashMap<String, i64>,
    new: &HashMap<String, i64>,
) -> Vec<Arc<str>> {
    let mut changed: HashSet<&String> = HashSet::new();
    for image in new.keys().filter(|image| !old.contains_key(*image)) {
        *counts.entry(image.clone()).or_insert(0) += 1;
        changed.insert(image);
    }
    for image in old.keys().filter(|image| !new.contains_key(*image)) {
        if let Some(count) = counts.get_mut(image) {
            *count -= 1;
            if *count == 0 {
                counts.remove(image);
            }
        }
        changed.insert(image);
    }
    changed.into_iter().map(|image| image.as_str().into()).collect()
}
