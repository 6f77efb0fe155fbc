//! The rules, one file each: which nodes a pod may not have (`filter`), which it had better have (`score`).
//!
//! A rule that looks at one node only is a function. The two that look at pods elsewhere ([`inter_pod_affinity`], [`topology_spread`]) keep counts, which
//! follow the journal; what pods of one template mean to those of another is found out once ([`relation`]).

pub mod balanced_allocation;
pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_ports;
pub mod node_unschedulable;
pub mod relation;
pub mod resources_fit;
pub mod taint_toleration;
pub mod topology_spread;
pub mod volume_binding;
pub mod volume_limits;
pub mod volume_restrictions;

use std::fmt;
use std::sync::Arc;

/// The greatest score of a rule before its weight.
pub const MOST: i64 = 100;

/// A rule that can reject pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plugin {
    NodeUnschedulable,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    PodTopologySpread,
    InterPodAffinity,
    DynamicResources,
}

/// Why a node cannot be had, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    Unschedulable,
    Taint(Arc<str>, Arc<str>),
    NodeAffinity,
    Ports,
    TooManyPods,
    Insufficient(Arc<str>),
    ClaimInUse,
    VolumeLimit,
    VolumeNodeAffinity,
    NoVolume,
    NotProvisionedThere,
    SpreadLabel,
    Spread,
    Near,
    Away,
    AwayFromThis,
    /// The pod cannot be anywhere now, for a reason of its own.
    Pod(Arc<str>),
    NoVictims,
    PreemptionNoHelp,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Reason::Taint(key, value) => return write!(out, "node(s) had untolerated taint {{{key}: {value}}}"),
            Reason::Insufficient(resource) => return write!(out, "Insufficient {resource}"),
            Reason::Pod(why) => return out.write_str(why),
            Reason::Unschedulable => "node(s) were unschedulable",
            Reason::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Reason::Ports => "node(s) didn't have free ports for the requested pod ports",
            Reason::TooManyPods => "Too many pods",
            Reason::ClaimInUse => {
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
            }
            Reason::VolumeLimit => "node(s) exceed max volume count",
            Reason::VolumeNodeAffinity => "node(s) didn't match PersistentVolume's node affinity",
            Reason::NoVolume => "node(s) didn't find available persistent volumes to bind",
            Reason::NotProvisionedThere => "node(s) did not have enough free storage",
            Reason::SpreadLabel => "node(s) didn't match pod topology spread constraints (missing required label)",
            Reason::Spread => "node(s) didn't match pod topology spread constraints",
            Reason::Near => "node(s) didn't match pod affinity rules",
            Reason::Away => "node(s) didn't match pod anti-affinity rules",
            Reason::AwayFromThis => "node(s) didn't satisfy existing pods anti-affinity rules",
            Reason::NoVictims => "No preemption victims found for incoming pod",
            Reason::PreemptionNoHelp => "Preemption is not helpful for scheduling",
        };
        out.write_str(text)
    }
}

/// Whether fewer pods on the node would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preemption {
    MayHelp,
    NoHelp,
}

/// A node is not for the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub plugin: Plugin,
    pub reasons: Vec<Reason>,
    pub preemption: Preemption,
}

impl Rejection {
    pub fn new(plugin: Plugin, reason: Reason, preemption: Preemption) -> Rejection {
        Rejection { plugin, reasons: vec![reason], preemption }
    }
}
