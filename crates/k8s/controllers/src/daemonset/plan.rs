//! Which pods of a daemon set come and go.

use k8s_openapi::api::apps::v1::DaemonSet;

use super::eligible::Fit;
use crate::deployment::plan::{Round, share};

/// A node and the set's pods that are on it or meant for it.
#[derive(Debug, Clone)]
pub struct Place {
    pub node: String,
    pub fit: Fit,
    pub pods: Vec<Seen>,
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub name: String,
    /// Of the newest revision.
    pub updated: bool,
    pub ended: bool,
    pub terminating: bool,
    pub assigned: bool,
    pub created: Option<jiff::Timestamp>,
    pub ready: bool,
    pub available: bool,
}

/// How a set is updated.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rolling: bool,
    /// Nodes that may have two pods.
    pub surge: usize,
    /// Nodes that may have none.
    pub unavailable: usize,
}

/// Nodes that get a pod, pods that are deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub make: Vec<String>,
    pub delete: Vec<String>,
}

impl Limits {
    pub fn of(set: &DaemonSet, places: &[Place]) -> Limits {
        let desired = places.iter().filter(|place| place.fit == Fit::Run).count() as i32;
        let strategy = set.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
        let limits = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let count = |value| share(value, desired, Round::Up).max(0) as usize;
        let surge = count(limits.and_then(|limits| limits.max_surge.as_ref()));
        let unavailable = count(limits.and_then(|limits| limits.max_unavailable.as_ref()));
        let stuck = surge == 0 && unavailable == 0;
        Limits { rolling, surge: if rolling { surge } else { 0 }, unavailable: if stuck { 1 } else { unavailable } }
    }
}

/// Every node that takes one has a pod, no other has any, and what has ended goes.
pub fn manage(limits: &Limits, places: &[Place]) -> Plan {
    let mut plan = Plan::default();
    for place in places {
        // What has ended and is being deleted is in nobody's way.
        let there: Vec<&Seen> = place.pods.iter().filter(|pod| !(pod.ended && pod.terminating)).collect();
        match place.fit {
            Fit::Run if there.is_empty() => plan.make.push(place.node.clone()),
            Fit::Run | Fit::Stay => thin_out(limits, there, &mut plan.delete),
            Fit::No => {
                let going = there.into_iter().filter(|pod| !pod.terminating);
                plan.delete.extend(going.map(|pod| pod.name.clone()));
            }
        }
    }
    plan
}

/// One node's pods: those that have ended go, and all but the oldest; with a surge one of each revision stays until the new one is available.
fn thin_out(limits: &Limits, there: Vec<&Seen>, delete: &mut Vec<String>) {
    let mut go = |pod: &Seen| delete.push(pod.name.clone());
    there.iter().filter(|pod| pod.ended && !pod.terminating).for_each(|pod| go(pod));
    let mut running: Vec<&Seen> = there.into_iter().filter(|pod| !pod.ended && !pod.terminating).collect();
    running.sort_by_key(|pod| (!pod.assigned, pod.created, pod.name.clone()));
    if limits.surge == 0 {
        running.into_iter().skip(1).for_each(go);
        return;
    }
    let (new, old): (Vec<&Seen>, Vec<&Seen>) = running.into_iter().partition(|pod| pod.updated);
    let replaced = new.first().is_some_and(|pod| pod.available);
    new.into_iter().skip(1).for_each(&mut go);
    old.into_iter().skip(if replaced { 0 } else { 1 }).for_each(go);
}

/// Pods of an old revision are replaced, as many at a time as may be.
pub fn roll(limits: &Limits, places: &[Place]) -> Plan {
    let mut plan = Plan::default();
    if !limits.rolling {
        return plan;
    }
    let (mut missing, mut doubled) = (0, 0);
    let mut candidates = Vec::new();
    for place in places.iter().filter(|place| place.fit == Fit::Run) {
        let mut there = place.pods.iter().filter(|pod| !pod.terminating && !pod.ended);
        let old = there.clone().find(|pod| !pod.updated);
        let new = there.find(|pod| pod.updated);
        match (old, new) {
            (None, Some(new)) => missing += usize::from(!new.available),
            (None, None) => missing += 1,
            (Some(old), Some(new)) if limits.surge > 0 && new.available => plan.delete.push(old.name.clone()),
            (Some(_), Some(_)) => (missing, doubled) = (missing + 1, doubled + 1),
            (Some(old), None) if !old.available => {
                missing += 1;
                replace(limits, &place.node, old, &mut plan);
            }
            (Some(old), None) => candidates.push((&place.node, old)),
        }
    }
    let free = if limits.surge > 0 {
        limits.surge.saturating_sub(doubled)
    } else {
        limits.unavailable.saturating_sub(missing)
    };
    for (node, old) in candidates.into_iter().take(free) {
        replace(limits, node, old, &mut plan);
    }
    plan
}

fn replace(limits: &Limits, node: &str, old: &Seen, plan: &mut Plan) {
    match limits.surge {
        0 => plan.delete.push(old.name.clone()),
        _ => plan.make.push(node.to_owned()),
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub desired: i32,
    pub scheduled: i32,
    pub misscheduled: i32,
    pub ready: i32,
    pub available: i32,
    pub updated: i32,
}

pub fn counts(places: &[Place]) -> Counts {
    let mut counts = Counts::default();
    for place in places {
        let oldest = place.pods.iter().min_by_key(|pod| (!pod.ready, !pod.assigned, pod.created, &pod.name));
        match (place.fit, oldest) {
            (Fit::Run, pod) => {
                counts.desired += 1;
                let Some(pod) = pod else { continue };
                counts.scheduled += 1;
                counts.ready += i32::from(pod.ready);
                counts.available += i32::from(pod.available);
                counts.updated += i32::from(pod.updated);
            }
            (Fit::Stay | Fit::No, Some(_)) => counts.misscheduled += 1,
            (Fit::Stay | Fit::No, None) => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLL: Limits = Limits { rolling: true, surge: 0, unavailable: 1 };
    const SURGE: Limits = Limits { rolling: true, surge: 1, unavailable: 0 };

    /// `a: n o`; nodes `A` run, `a` stay, `-` no. Pods: `n` new, `o` old; `n-` not available, `n!` terminating, `nx` ended.
    fn places(text: &str) -> Vec<Place> {
        let place = |(at, text): (usize, &str)| {
            let (node, pods) = text.split_once(':').unwrap();
            let pods = pods.split_whitespace().enumerate().map(|(number, word)| Seen {
                name: format!("{at}{word}"),
                updated: word.starts_with('n'),
                ended: word.contains('x'),
                terminating: word.contains('!'),
                assigned: true,
                created: jiff::Timestamp::from_second(number as i64).ok(),
                ready: word.len() == 1,
                available: word.len() == 1,
            });
            let fit = match node.trim() {
                "-" => Fit::No,
                node if node.chars().all(char::is_uppercase) => Fit::Run,
                _ => Fit::Stay,
            };
            Place { node: node.trim().to_owned(), fit, pods: pods.collect() }
        };
        text.split(',').enumerate().map(place).collect()
    }

    fn said(plan: Plan) -> String {
        let make = plan.make.into_iter().map(|node| format!("+{node}"));
        make.chain(plan.delete.into_iter().map(|pod| format!("-{pod}"))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_node_has_one_pod() {
        for (limits, there, next) in [
            (ROLL, "A:, B: n, c:, -:", "+A"),
            (ROLL, "A: n!", ""),
            (ROLL, "A: nx!", "+A"),
            (ROLL, "A: nx", "-0nx"),
            (ROLL, "A: o n", "-0n"),
            (ROLL, "c: o, -: o o!", "-1o"),
            (SURGE, "A: o n-", ""),
            (SURGE, "A: o n", "-0o"),
            (SURGE, "A: o o n-", "-0o"),
        ] {
            assert_eq!(said(manage(&limits, &places(there))), next, "{limits:?} {there}");
        }
    }

    #[test]
    fn old_pods_are_replaced_a_few_at_a_time() {
        for (limits, there, next) in [
            (ROLL, "A: o, B: o, C: n", "-0o"),
            (ROLL, "A: o, B: n-, C: n", ""),
            (ROLL, "A: o, B: o-, C: n", "-1o-"),
            (Limits { unavailable: 2, ..ROLL }, "A: o, B: o, C: o", "-0o -1o"),
            (Limits { rolling: false, ..ROLL }, "A: o", ""),
            (SURGE, "A: o, B: o", "+A"),
            (SURGE, "A: o n-, B: o", ""),
            (SURGE, "A: n, B: o", "+B"),
        ] {
            assert_eq!(said(roll(&limits, &places(there))), next, "{limits:?} {there}");
        }
        let counts = counts(&places("A: n, B: o-, C:, d: o"));
        assert_eq!((counts.desired, counts.scheduled, counts.misscheduled), (3, 2, 1));
        assert_eq!((counts.ready, counts.available, counts.updated), (1, 1, 1));
    }
}
