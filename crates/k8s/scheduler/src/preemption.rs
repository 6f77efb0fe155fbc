//! DefaultPreemption: which less important pods go so that a pod finds room, as few and as unimportant as can be.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_types::selector::label::LabelSelector;

use crate::class::Class;
use crate::failure::{Failure, summary};
use crate::model::{Cluster, Load, NodeId, NodeInfo, Placed};
use crate::plugins::Reason;

/// At least so many nodes with victims are compared, and a tenth of all.
const COMPARED: usize = 100;

/// What a disruption budget allows.
#[derive(Debug, Clone)]
pub struct Budget {
    pub namespace: String,
    pub selector: LabelSelector,
    pub allowed: i64,
    /// Pods that are being disrupted already, by name.
    pub disrupted: BTreeSet<String>,
}

/// Who goes from where.
#[derive(Debug, Clone)]
pub struct Plan {
    pub node: NodeId,
    pub name: Arc<str>,
    pub victims: Vec<Arc<Pod>>,
    /// How many of them their budgets would not let go.
    pub violations: usize,
}

/// Looks for victims; the error is what is told after `preemption: `.
pub fn plan(
    class: &mut Class,
    cluster: &Cluster,
    failure: &Failure,
    budgets: &[Budget],
    kept: Option<NodeId>,
) -> Result<Plan, String> {
    if !class.template.preempts() {
        return Err("not eligible due to preemptionPolicy=Never.".to_owned());
    }
    let priority = class.template.priority;
    let leaving = |info: &NodeInfo| info.pods.values().any(|p| p.leaving && p.template.priority < priority);
    if kept.and_then(|id| cluster.info(id)).is_some_and(leaving) {
        return Err("not eligible due to a terminating pod on the nominated node.".to_owned());
    }
    let helped: BTreeSet<NodeId> = failure.preemptible().collect();
    let enough = COMPARED.max(failure.nodes / 10);
    let mut candidates = Vec::new();
    let mut reasons = vec![Reason::PreemptionNoHelp; failure.rejections.len() - helped.len()];
    for id in helped {
        let Some(info) = cluster.info(id) else { continue };
        match victims(class, cluster, id, info, budgets) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => reasons.extend(why),
        }
        if candidates.len() >= enough {
            break;
        }
    }
    let best = candidates.into_iter().min_by_key(Candidate::cost);
    let Some(best) = best else { return Err(summary(failure.nodes, reasons.iter())) };
    let victims = best.victims.iter().map(|placed| placed.pod.clone()).collect();
    Ok(Plan { node: best.node, name: cluster.name(best.node), victims, violations: best.violations })
}

struct Candidate {
    node: NodeId,
    /// The most important first.
    victims: Vec<Placed>,
    violations: usize,
}

impl Candidate {
    /// Fewest violated budgets, least important victims, then those that ran for the shortest time.
    fn cost(&self) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
        let priority = |placed: &Placed| placed.template.priority;
        let highest = self.victims.iter().map(priority).max().unwrap_or(i32::MIN);
        // Shifted above zero, so that more victims never cost less.
        let sum = self.victims.iter().map(|placed| i64::from(priority(placed)) + (1 << 31)).sum();
        let earliest = self.victims.iter().filter(|placed| priority(placed) == highest).map(Placed::started).min();
        (self.violations, highest, sum, self.victims.len(), Reverse(earliest.unwrap_or(Timestamp::MAX)))
    }
}

/// The fewest pods of a node without which the pod fits: all less important ones go, then as many as possible come back, the important first.
fn victims(
    class: &mut Class,
    cluster: &Cluster,
    id: NodeId,
    info: &NodeInfo,
    budgets: &[Budget],
) -> Result<Candidate, Vec<Reason>> {
    let priority = class.template.priority;
    let mut lower: Vec<&Placed> = info.pods.values().filter(|placed| placed.template.priority < priority).collect();
    if lower.is_empty() {
        return Err(vec![Reason::NoVictims]);
    }
    lower.sort_by_cached_key(|placed| {
        (Reverse(placed.template.priority), placed.started(), placed.pod.metadata.uid.clone())
    });
    let mut load = cluster.load(info, priority).unwrap_or_else(|| info.load.clone());
    for placed in &lower {
        go(class, cluster, placed, id, info, &mut load);
    }
    let outcome = match class.supposed(cluster, info, &load) {
        Some(rejection) => Err(rejection.reasons),
        None => {
            let (violating, other) = split(&lower, budgets);
            let mut candidate = Candidate { node: id, victims: Vec::new(), violations: 0 };
            for (placed, violates) in
                violating.into_iter().map(|p| (p, true)).chain(other.into_iter().map(|p| (p, false)))
            {
                come(class, cluster, placed, id, info, &mut load);
                if class.supposed(cluster, info, &load).is_some() {
                    go(class, cluster, placed, id, info, &mut load);
                    candidate.violations += usize::from(violates);
                    candidate.victims.push(placed.clone());
                }
            }
            Ok(candidate)
        }
    };
    // Everything as it was.
    match &outcome {
        Ok(candidate) => candidate.victims.iter().for_each(|placed| class.suppose(cluster, placed, id, info, 1)),
        Err(_) => lower.iter().for_each(|placed| class.suppose(cluster, placed, id, info, 1)),
    }
    outcome
}

fn go(class: &mut Class, cluster: &Cluster, placed: &Placed, id: NodeId, info: &NodeInfo, load: &mut Load) {
    load.sub(placed.requests(), &placed.template.ports);
    class.suppose(cluster, placed, id, info, -1);
}

fn come(class: &mut Class, cluster: &Cluster, placed: &Placed, id: NodeId, info: &NodeInfo, load: &mut Load) {
    load.add(placed.requests(), &placed.template.ports);
    class.suppose(cluster, placed, id, info, 1);
}

/// Those whose going their budgets do not allow, and the others.
fn split<'a>(pods: &[&'a Placed], budgets: &[Budget]) -> (Vec<&'a Placed>, Vec<&'a Placed>) {
    let mut left: Vec<i64> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.iter().partition(|placed| {
        let mut violates = false;
        let name = placed.pod.metadata.name.as_deref().unwrap_or("");
        for (budget, left) in budgets.iter().zip(&mut left) {
            let covers = budget.namespace == placed.template.namespace
                && !budget.selector.is_everything()
                && budget.selector.matches(&placed.template.labels)
                && !budget.disrupted.contains(name);
            if covers {
                *left -= 1;
                violates |= *left < 0;
            }
        }
        violates
    })
}
