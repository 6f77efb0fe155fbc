//! What matters of a pod to the scheduler. Pods that do not differ in it share one template, and so all that is found out about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Affinity, Container, Pod, PodSpec, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;

use super::resources::Requests;
use super::terms::{Spread, Term};
use super::topology::Topology;

/// A template's number; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId(pub u64);

/// A port of the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub address: String,
    pub protocol: String,
    pub port: i32,
}

const ANY: &str = "0.0.0.0";

impl HostPort {
    /// Whether both cannot be had at once.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || self.address == ANY || other.address == ANY)
    }
}

#[derive(Debug)]
pub struct Template {
    pub id: TemplateId,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    /// The uid of the controller.
    pub owner: Option<String>,
    /// One of the pods' specifications.
    pub spec: PodSpec,
    pub priority: i32,
    pub requests: Requests,
    pub ports: Vec<HostPort>,
    /// Pods it must be near to.
    pub near: Vec<Term>,
    /// Pods it must be away from.
    pub away: Vec<Term>,
    /// Pods it would like to be near to (or away from, with weights below zero).
    pub likes: Vec<(i64, Term)>,
    /// Spreading that must hold.
    pub spread: Vec<Spread>,
    /// Spreading that it would like; empty where the cluster's own wishes apply.
    pub spread_wished: Vec<Spread>,
    /// Images of its containers, with their tags.
    pub images: Vec<String>,
    /// Names of claims of volumes.
    pub claims: Vec<String>,
}

impl Template {
    pub fn tolerations(&self) -> &[Toleration] {
        self.spec.tolerations.as_deref().unwrap_or_default()
    }

    /// Whether the pod says itself how it is to be spread.
    pub fn says_spread(&self) -> bool {
        self.spec.topology_spread_constraints.as_ref().is_some_and(|constraints| !constraints.is_empty())
    }

    /// Whether it says something about other pods that counts when those are scheduled, too.
    pub fn has_terms(&self) -> bool {
        !(self.near.is_empty() && self.away.is_empty() && self.likes.is_empty())
    }

    /// The namespaces that its terms are about; nothing where that depends on their labels.
    pub fn asked_namespaces(&self) -> Option<BTreeSet<&str>> {
        let terms = self.near.iter().chain(&self.away).chain(self.likes.iter().map(|(_, term)| term));
        let mut all = BTreeSet::new();
        for term in terms {
            all.extend(term.namespaces()?.iter().map(String::as_str));
        }
        Some(all)
    }

    /// Whether it preempts others.
    pub fn preempts(&self) -> bool {
        self.spec.preemption_policy.as_deref() != Some("Never")
    }

    pub fn new(id: TemplateId, pod: &Pod, topology: &mut Topology) -> Template {
        let spec = pod.spec.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let mut terms = Terms { namespace: &namespace, labels: &labels, topology };
        let (near, away, likes) = terms.read(spec.affinity.as_ref());
        let (spread, spread_wished) = terms.spread(spec.topology_spread_constraints.as_deref().unwrap_or_default());
        Template {
            id,
            owner: owner(pod).map(str::to_owned),
            priority: spec.priority.unwrap_or(0),
            requests: Requests::of(&spec),
            ports: ports(&spec),
            near,
            away,
            likes,
            spread,
            spread_wished,
            images: containers(&spec).filter_map(|container| container.image.as_deref()).map(tagged).collect(),
            claims: claims(pod),
            namespace,
            labels,
            spec,
        }
    }
}

struct Terms<'a> {
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
    topology: &'a mut Topology,
}

impl Terms<'_> {
    fn read(&mut self, affinity: Option<&Affinity>) -> (Vec<Term>, Vec<Term>, Vec<(i64, Term)>) {
        let (mut near, mut away, mut likes) = (Vec::new(), Vec::new(), Vec::new());
        let mut term = |term| Term::new(term, self.namespace, self.labels, self.topology);
        if let Some(rules) = affinity.and_then(|affinity| affinity.pod_affinity.as_ref()) {
            near.extend(rules.required_during_scheduling_ignored_during_execution.iter().flatten().map(&mut term));
            let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            likes.extend(preferred.map(|wish| (i64::from(wish.weight), term(&wish.pod_affinity_term))));
        }
        if let Some(rules) = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref()) {
            away.extend(rules.required_during_scheduling_ignored_during_execution.iter().flatten().map(&mut term));
            let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            likes.extend(preferred.map(|wish| (-i64::from(wish.weight), term(&wish.pod_affinity_term))));
        }
        (near, away, likes)
    }

    fn spread(&mut self, constraints: &[TopologySpreadConstraint]) -> (Vec<Spread>, Vec<Spread>) {
        let (mut must, mut wished) = (Vec::new(), Vec::new());
        for constraint in constraints {
            let spread = Spread::new(constraint, self.labels, self.topology);
            match constraint.when_unsatisfiable.as_str() {
                "ScheduleAnyway" => wished.push(spread),
                _ => must.push(spread),
            }
        }
        (must, wished)
    }
}

/// The uid of the controller of a pod.
fn owner(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let host = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let text = |field: &Option<String>, default: &str| {
            field.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        Some(HostPort { address: text(&port.host_ip, ANY), protocol: text(&port.protocol, "TCP"), port: number })
    });
    host.collect()
}

fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || name.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// The claims of a pod; those of ephemeral volumes have the pod's name in theirs.
fn claims(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let name = pod.metadata.name.as_deref().unwrap_or("");
    volumes
        .filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{name}-{}", volume.name)),
            (None, None) => None,
        })
        .collect()
}

/// What two pods must have in common to share a template.
#[derive(Serialize)]
struct Relevant<'a> {
    namespace: Option<&'a str>,
    labels: Option<&'a BTreeMap<String, String>>,
    owner: Option<&'a str>,
    selector: Option<&'a BTreeMap<String, String>>,
    affinity: Option<&'a Affinity>,
    tolerations: &'a Option<Vec<Toleration>>,
    spread: &'a Option<Vec<TopologySpreadConstraint>>,
    priority: Option<i32>,
    preemption: Option<&'a str>,
    overhead: Option<&'a BTreeMap<String, Quantity>>,
    own: Option<&'a BTreeMap<String, Quantity>>,
    containers: Vec<Part<'a>>,
    claims: Vec<String>,
    resource_claims: usize,
}

#[derive(Serialize)]
struct Part<'a> {
    image: Option<&'a str>,
    sidecar: bool,
    requests: Option<&'a BTreeMap<String, Quantity>>,
    ports: Vec<(i32, Option<&'a str>, Option<&'a str>)>,
}

impl<'a> Part<'a> {
    fn new(container: &'a Container) -> Part<'a> {
        let ports = container.ports.iter().flatten();
        Part {
            image: container.image.as_deref(),
            sidecar: container.restart_policy.as_deref() == Some("Always"),
            requests: container.resources.as_ref().and_then(|resources| resources.requests.as_ref()),
            ports: ports
                .filter_map(|port| Some((port.host_port?, port.host_ip.as_deref(), port.protocol.as_deref())))
                .collect(),
        }
    }
}

/// Whether a pod that changed certainly has the template it had; compares what [`key`] would write.
pub fn is_same(old: &Pod, new: &Pod) -> bool {
    let (meta, spec) = ((&old.metadata, &new.metadata), old.spec.as_ref().zip(new.spec.as_ref()));
    let Some((old, new)) = spec else { return false };
    meta.0.namespace == meta.1.namespace
        && meta.0.name == meta.1.name
        && meta.0.labels == meta.1.labels
        && meta.0.owner_references == meta.1.owner_references
        && old.containers == new.containers
        && old.init_containers == new.init_containers
        && old.node_selector == new.node_selector
        && old.affinity == new.affinity
        && old.tolerations == new.tolerations
        && old.topology_spread_constraints == new.topology_spread_constraints
        && old.priority == new.priority
        && old.preemption_policy == new.preemption_policy
        && old.overhead == new.overhead
        && old.resources == new.resources
        && old.volumes == new.volumes
        && old.resource_claims == new.resource_claims
}

/// A text that is the same for pods that share a template. A node that was given afterwards is no part of it.
pub fn key(pod: &Pod) -> Arc<[u8]> {
    let default = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&default);
    let relevant = Relevant {
        namespace: pod.metadata.namespace.as_deref(),
        labels: pod.metadata.labels.as_ref(),
        owner: owner(pod),
        selector: spec.node_selector.as_ref(),
        affinity: spec.affinity.as_ref(),
        tolerations: &spec.tolerations,
        spread: &spec.topology_spread_constraints,
        priority: spec.priority,
        preemption: spec.preemption_policy.as_deref(),
        overhead: spec.overhead.as_ref(),
        own: spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()),
        containers: spec
            .init_containers
            .iter()
            .flatten()
            .map(Part::new)
            .chain([Part { image: None, sidecar: false, requests: None, ports: Vec::new() }])
            .chain(spec.containers.iter().map(Part::new))
            .collect(),
        claims: claims(pod),
        resource_claims: spec.resource_claims.as_ref().map_or(0, Vec::len),
    };
    serde_json::to_vec(&relevant).unwrap_or_default().into()
}
