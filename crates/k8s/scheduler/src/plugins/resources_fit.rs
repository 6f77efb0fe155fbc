//! NodeResourcesFit: what is asked for is there; the emptier node is the better one.

use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::model::{Load, NodeInfo, Resources, Template};

pub fn filter(template: &Template, load: &Load, node: &NodeInfo) -> Option<Rejection> {
    let reasons = lacking(&template.requests.all, load, node);
    if reasons.is_empty() {
        return None;
    }
    // What the node does not have at all, no preemption brings.
    let ever = fits_alone(template, node);
    let preemption = if ever { Preemption::MayHelp } else { Preemption::NoHelp };
    Some(Rejection { plugin: Plugin::NodeResourcesFit, reasons, preemption })
}

/// Whether the pod would fit on the node if nothing else were there.
pub fn fits_alone(template: &Template, node: &NodeInfo) -> bool {
    lacking(&template.requests.all, &Load::default(), node).is_empty()
}

fn lacking(wanted: &Resources, load: &Load, node: &NodeInfo) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if load.pods + 1 > node.most_pods {
        reasons.push(Reason::TooManyPods);
    }
    let mut check = |name: &str, wanted: i64, has: i64, used: i64| {
        if wanted > 0 && wanted > has - used {
            reasons.push(Reason::Insufficient(name.into()));
        }
    };
    let (has, used) = (&node.allocatable, &load.requested);
    check("cpu", wanted.cpu, has.cpu, used.cpu);
    check("memory", wanted.memory, has.memory, used.memory);
    check("ephemeral-storage", wanted.storage, has.storage, used.storage);
    for (name, amount) in &wanted.others {
        check(name, *amount, has.other(name), used.other(name));
    }
    reasons
}

/// LeastAllocated: the share of processors and memory that stays free.
pub fn score(template: &Template, node: &NodeInfo) -> i64 {
    let has = [node.allocatable.cpu, node.allocatable.memory];
    let (mut sum, mut resources) = (0, 0);
    for (at, has) in has.into_iter().enumerate().filter(|(_, has)| *has != 0) {
        let used = node.load.counted[at] + template.requests.counted[at];
        // Wide: bytes of a large node times a hundred are more than 64 bits hold.
        sum += if used > has { 0 } else { (i128::from(has - used) * i128::from(MOST) / i128::from(has)) as i64 };
        resources += 1;
    }
    if resources == 0 { 0 } else { sum / resources }
}
