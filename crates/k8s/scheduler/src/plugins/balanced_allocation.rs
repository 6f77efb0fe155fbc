//! NodeResourcesBalancedAllocation: the better node is one where processors and memory are used up alike.

use super::MOST;
use crate::model::{NodeInfo, Template};

pub fn score(template: &Template, node: &NodeInfo) -> i64 {
    let wanted = &template.requests.all;
    if wanted.is_zero() {
        return 0;
    }
    let parts = [
        (node.load.requested.cpu + wanted.cpu, node.allocatable.cpu),
        (node.load.requested.memory + wanted.memory, node.allocatable.memory),
    ];
    let mut parts =
        parts.into_iter().filter(|(_, has)| *has != 0).map(|(used, has)| (used as f64 / has as f64).min(1.0));
    let apart = match (parts.next(), parts.next()) {
        (Some(one), Some(other)) => ((one - other) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - apart) * MOST as f64) as i64
}
