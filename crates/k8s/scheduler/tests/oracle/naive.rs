//! A scheduler that looks at every pod on every node, every time, and is written without regard to the one that it checks.

use crate::world::{Node, Pod, Spread, Term, World};

/// The nodes that a pod may be on with their scores, sorted by name.
pub fn scores(world: &World, pod: &Pod) -> Vec<(String, i64)> {
    let nodes: Vec<&Node> = world.nodes.iter().filter(|node| may(world, pod, node)).collect();
    let mut found: Vec<(String, i64)> = nodes
        .iter()
        .map(|node| {
            let own = free_share(world, pod, node) + balance(world, pod, node) + images(world, pod, node);
            let whole = own
                + 3 * advice(&nodes, pod, node)
                + 2 * wishes(&nodes, pod, node)
                + 2 * company(world, &nodes, pod, node)
                + 2 * spreading(world, &nodes, pod, node);
            (node.name.clone(), whole)
        })
        .collect();
    found.sort();
    found
}

fn on<'a>(world: &'a World, node: &'a Node) -> impl Iterator<Item = &'a Pod> {
    world.placed.iter().filter(|(_, name)| *name == node.name).map(|(pod, _)| pod)
}

fn may(world: &World, pod: &Pod, node: &Node) -> bool {
    let cordon = ("node.kubernetes.io/unschedulable".to_owned(), String::new(), "NoSchedule".to_owned());
    (!node.cordoned || tolerated(pod, &cordon))
        && taints_allow(pod, node)
        && affinity_allows(pod, node)
        && has_room(world, pod, node)
        && spreads_allow(world, pod, node)
        && company_allows(world, pod, node)
}

fn tolerated(pod: &Pod, taint: &(String, String, String)) -> bool {
    pod.tolerations.iter().any(|(key, value, effect)| {
        let any_value = key.is_empty() || value.is_empty();
        (effect.is_empty() || *effect == taint.2)
            && (key.is_empty() || *key == taint.0)
            && (any_value || *value == taint.1)
    })
}

fn taints_allow(pod: &Pod, node: &Node) -> bool {
    node.taints.iter().all(|taint| taint.2 == "PreferNoSchedule" || tolerated(pod, taint))
}

fn affinity_allows(pod: &Pod, node: &Node) -> bool {
    if pod.disk.is_some() && node.labels.get("disk") != pod.disk.as_ref() {
        return false;
    }
    let Some((key, operator, values)) = &pod.required else { return true };
    let found = node.labels.get(key);
    match operator.as_str() {
        "In" => found.is_some_and(|found| values.contains(found)),
        "NotIn" => !found.is_some_and(|found| values.contains(found)),
        "Exists" => found.is_some(),
        _ => found.is_none(),
    }
}

fn has_room(world: &World, pod: &Pod, node: &Node) -> bool {
    let sum = |of: fn(&Pod) -> i64| on(world, node).map(of).sum::<i64>() + of(pod);
    let fits = |of: fn(&Pod) -> i64, has: i64| of(pod) == 0 || sum(of) <= has;
    on(world, node).count() < node.pods as usize
        && fits(|pod| pod.cpu, node.cpu)
        && fits(|pod| pod.memory, node.memory)
        && fits(|pod| pod.gpus, node.gpus)
        && !on(world, node).any(|other| other.port.is_some() && other.port == pod.port)
}

/// Whether a term of a pod in `from` is about another pod.
fn about(world: &World, term: &Term, from: &Pod, other: &Pod) -> bool {
    let own = term.namespaces.is_empty() && term.team.is_none() && other.namespace == from.namespace;
    let named = term.namespaces.contains(&other.namespace);
    let labels = &world.namespaces.iter().find(|(name, _)| *name == other.namespace).unwrap().1;
    let teamed = term.team.is_some() && labels.get("team") == term.team.as_ref();
    (own || named || teamed) && term.app == other.app
}

fn together(world: &World, key: &str, node: &Node, name: &str) -> bool {
    let other = world.nodes.iter().find(|node| node.name == name).unwrap();
    node.labels.contains_key(key) && node.labels.get(key) == other.labels.get(key)
}

fn company_allows(world: &World, pod: &Pod, node: &Node) -> bool {
    let wanted = |other: &Pod| pod.near.iter().all(|term| about(world, term, pod, other));
    if !pod.near.is_empty() {
        if !pod.near.iter().all(|term| node.labels.contains_key(&term.key)) {
            return false;
        }
        let found = pod
            .near
            .iter()
            .all(|term| world.placed.iter().any(|(other, at)| wanted(other) && together(world, &term.key, node, at)));
        let nobody = !world.placed.iter().any(|(other, at)| {
            let there = world.nodes.iter().find(|node| node.name == *at).unwrap();
            wanted(other) && pod.near.iter().any(|term| there.labels.contains_key(&term.key))
        });
        if !(found || nobody && wanted(pod)) {
            return false;
        }
    }
    world.placed.iter().all(|(other, at)| {
        !pod.away.iter().any(|term| about(world, term, pod, other) && together(world, &term.key, node, at))
            && !other.away.iter().any(|term| about(world, term, other, pod) && together(world, &term.key, node, at))
    })
}

/// Nodes that take part in a spread.
fn part<'a>(world: &'a World, pod: &Pod, spread: &Spread) -> Vec<&'a Node> {
    let same: Vec<&Spread> = pod.spreads.iter().filter(|other| other.must == spread.must).collect();
    let takes = |node: &&Node| {
        same.iter().all(|spread| node.labels.contains_key(&spread.key))
            && (!spread.honour_affinity || affinity_allows(pod, node))
            && (!spread.honour_taints || taints_allow(pod, node))
    };
    world.nodes.iter().filter(takes).collect()
}

fn count(world: &World, pod: &Pod, spread: &Spread, value: &str) -> i64 {
    let nodes = part(world, pod, spread).into_iter().filter(|node| node.labels[&spread.key] == value);
    let counted = |other: &&Pod| other.app == spread.app && other.namespace == pod.namespace && !other.leaving;
    nodes.map(|node| on(world, node).filter(counted).count() as i64).sum()
}

fn spreads_allow(world: &World, pod: &Pod, node: &Node) -> bool {
    pod.spreads.iter().filter(|spread| spread.must).all(|spread| {
        let Some(value) = node.labels.get(&spread.key) else { return false };
        let mut values: Vec<&String> =
            part(world, pod, spread).into_iter().map(|node| &node.labels[&spread.key]).collect();
        values.sort();
        values.dedup();
        let mut least = values.iter().map(|value| count(world, pod, spread, value)).min().unwrap_or(i64::MAX);
        if (values.len() as i64) < spread.min_domains.unwrap_or(1) {
            least = 0;
        }
        let itself = i64::from(spread.app == pod.app);
        count(world, pod, spread, value) + itself - least <= spread.max_skew
    })
}

fn asks(pod: &Pod) -> [i64; 2] {
    let or = |amount: i64, default: i64| if amount == 0 { default } else { amount };
    [or(pod.cpu, 100), or(pod.memory, 200 * 1024 * 1024)]
}

fn free_share(world: &World, pod: &Pod, node: &Node) -> i64 {
    let share = |at: usize, has: i64| {
        let used = on(world, node).map(|pod| asks(pod)[at]).sum::<i64>() + asks(pod)[at];
        if used > has { 0 } else { (has - used) * 100 / has }
    };
    (share(0, node.cpu) + share(1, node.memory)) / 2
}

fn balance(world: &World, pod: &Pod, node: &Node) -> i64 {
    if pod.cpu == 0 && pod.memory == 0 && pod.gpus == 0 {
        return 0;
    }
    let cpu = on(world, node).map(|pod| pod.cpu).sum::<i64>() + pod.cpu;
    let memory = on(world, node).map(|pod| pod.memory).sum::<i64>() + pod.memory;
    let (cpu, memory) = ((cpu as f64 / node.cpu as f64).min(1.0), (memory as f64 / node.memory as f64).min(1.0));
    ((1.0 - ((cpu - memory) / 2.0).abs()) * 100.0) as i64
}

fn images(world: &World, pod: &Pod, node: &Node) -> i64 {
    let Some((_, size)) = node.images.iter().find(|(name, _)| *name == pod.image) else { return 0 };
    let having = world.nodes.iter().filter(|node| node.images.iter().any(|(name, _)| *name == pod.image)).count();
    let scaled = (*size as f64 * (having as f64 / world.nodes.len() as f64)) as i64;
    let (least, most) = (23 * 1024 * 1024, 1000 * 1024 * 1024);
    100 * (scaled.clamp(least, most) - least) / (most - least)
}

fn advice(nodes: &[&Node], pod: &Pod, node: &Node) -> i64 {
    let against = |node: &Node| {
        let soft = node.taints.iter().filter(|taint| taint.2 == "PreferNoSchedule");
        soft.filter(|taint| !tolerated(pod, taint)).count() as i64
    };
    let most = nodes.iter().map(|node| against(node)).max().unwrap();
    if most == 0 { 100 } else { 100 - 100 * against(node) / most }
}

fn wishes(nodes: &[&Node], pod: &Pod, node: &Node) -> i64 {
    let sum = |node: &Node| {
        let granted = pod.preferred.iter().filter(|(_, key, value)| node.labels.get(key) == Some(value));
        granted.map(|(weight, ..)| weight).sum::<i64>()
    };
    let most = nodes.iter().map(|node| sum(node)).max().unwrap();
    if most == 0 { 0 } else { 100 * sum(node) / most }
}

fn company(world: &World, nodes: &[&Node], pod: &Pod, node: &Node) -> i64 {
    let sum = |node: &Node| {
        let mut sum = 0;
        for (other, at) in &world.placed {
            let mut add = |term: &Term, weight: i64, from: &Pod, to: &Pod| {
                if about(world, term, from, to) && together(world, &term.key, node, at) {
                    sum += weight;
                }
            };
            pod.likes.iter().for_each(|(weight, term)| add(term, *weight, pod, other));
            other.likes.iter().for_each(|(weight, term)| add(term, *weight, other, pod));
            other.near.iter().for_each(|term| add(term, 1, other, pod));
        }
        sum
    };
    let least = nodes.iter().map(|node| sum(node)).min().unwrap();
    let most = nodes.iter().map(|node| sum(node)).max().unwrap();
    if least == most { 0 } else { (100.0 * ((sum(node) - least) as f64 / (most - least) as f64)) as i64 }
}

fn spreading(world: &World, nodes: &[&Node], pod: &Pod, node: &Node) -> i64 {
    let wished: Vec<&Spread> = pod.spreads.iter().filter(|spread| !spread.must).collect();
    if wished.is_empty() {
        return 0;
    }
    let labelled = |node: &Node| wished.iter().all(|spread| node.labels.contains_key(&spread.key));
    if !labelled(node) {
        return 0;
    }
    let nodes: Vec<&Node> = nodes.iter().copied().filter(|node| labelled(node)).collect();
    let full = |node: &Node| {
        let of = |spread: &&Spread| {
            let mut values: Vec<&String> = nodes.iter().map(|node| &node.labels[&spread.key]).collect();
            values.sort();
            values.dedup();
            let weight = ((values.len() + 2) as f64).ln();
            count(world, pod, spread, &node.labels[&spread.key]) as f64 * weight + (spread.max_skew - 1) as f64
        };
        wished.iter().map(of).sum::<f64>().round() as i64
    };
    let least = nodes.iter().map(|node| full(node)).min().unwrap();
    let most = nodes.iter().map(|node| full(node)).max().unwrap();
    if most == 0 { 100 } else { 100 * (most + least - full(node)) / most }
}

/// Whether a pod may be on a node when these others are gone.
pub fn fits_without(world: &World, pod: &Pod, node: &str, gone: &[String]) -> bool {
    let mut without = world.clone();
    without.placed.retain(|(pod, _)| !gone.contains(&pod.name));
    let node = without.nodes.iter().find(|other| other.name == node).unwrap();
    may(&without, pod, node)
}

/// The highest priority among the victims on the node where that is lowest, tried by every set of victims.
pub fn least_important_victims(world: &World, pod: &Pod) -> Option<i32> {
    let mut best: Option<i32> = None;
    for node in &world.nodes {
        let lower: Vec<&Pod> = on(world, node).filter(|other| other.priority < pod.priority).collect();
        for set in 1..1_u32 << lower.len() {
            let victims = || lower.iter().enumerate().filter(move |(at, _)| set & (1 << at) != 0).map(|(_, pod)| *pod);
            let highest = victims().map(|pod| pod.priority).max();
            if best.is_some() && highest >= best {
                continue;
            }
            let names: Vec<String> = victims().map(|pod| pod.name.clone()).collect();
            if fits_without(world, pod, &node.name, &names) {
                best = highest;
            }
        }
    }
    best
}
