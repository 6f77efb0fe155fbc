//! The scheduler against a naive one: thousands of random clusters, every decision compared.
//!
//! [`world`] makes random nodes and pods in a form of its own, [`naive`] says by looking at everything again what may be where and how good it is.

mod naive;
mod world;

use std::sync::Arc;

use k8s_scheduler::model::terms::selector;
use k8s_scheduler::preemption;
use k8s_scheduler::{Cluster, Decider};
use serde_json::{from_value, json};
use world::{Random, World};

/// What the scheduler says: the names of the nodes that can be had with their scores, sorted.
fn scheduler_says(decider: &mut Decider, cluster: &mut Cluster, pod: &world::Pod) -> Vec<(String, i64)> {
    let template = cluster.template(&pod.object());
    let class = decider.class(cluster, &template);
    let scores = class.scores(cluster);
    let mut named: Vec<(String, i64)> =
        scores.into_iter().map(|(id, score)| (cluster.name(id).to_string(), score)).collect();
    named.sort();
    named
}

/// A small cluster, as it is and as the scheduler sees it, without pods.
fn begin(random: &mut Random) -> (World, Cluster, Decider) {
    let world = World::random(random);
    let mut cluster = Cluster::default();
    for (name, labels) in &world.namespaces {
        cluster.namespaces.set(name, Some(labels.clone()));
    }
    for node in &world.nodes {
        cluster.set_node(Arc::new(node.object()));
    }
    (world, cluster, Decider::default())
}

/// One life of a small cluster: pods come and are placed, pods go, nodes change.
fn live(seed: u64) {
    let mut random = Random::new(seed);
    let (mut world, mut cluster, mut decider) = begin(&mut random);
    let kinds: Vec<world::Pod> = (0..6).map(|_| world::Pod::random(&mut random)).collect();
    for step in 0..30 {
        let mut pod = random.pick(&kinds).clone();
        pod.name = format!("pod-{step}");
        let want = naive::scores(&world, &pod);
        let found = scheduler_says(&mut decider, &mut cluster, &pod);
        assert_eq!(found, want, "seed {seed}, step {step}: {pod:#?}\n{world:#?}");
        let choice = decider.decide(&mut cluster, &pod.object());
        match choice {
            Ok(choice) => {
                let best = want.iter().map(|(_, score)| *score).max();
                let score = want.iter().find(|(name, _)| **name == *choice.name).map(|(_, score)| *score);
                assert_eq!(score, best, "seed {seed}, step {step}: {} is not the best", choice.name);
                cluster.place(Arc::new(pod.object()), &choice.name);
                world.placed.push((pod, choice.name.to_string()));
            }
            Err(_) => assert!(want.is_empty(), "seed {seed}, step {step}"),
        }
        change(&mut random, &mut world, &mut cluster, step);
    }
}

/// Sometimes something happens.
fn change(random: &mut Random, world: &mut World, cluster: &mut Cluster, step: usize) {
    if random.one_in(4) && !world.placed.is_empty() {
        let at = random.below(world.placed.len());
        let (pod, _) = world.placed.swap_remove(at);
        cluster.remove(&pod.name);
    }
    if random.one_in(6) && !world.placed.is_empty() {
        let at = random.below(world.placed.len());
        let (pod, node) = &mut world.placed[at];
        pod.leaving = true;
        cluster.place(Arc::new(pod.object()), node);
    }
    if random.one_in(6) {
        let at = random.below(world.nodes.len());
        let mut node = world::Node::random(random, at);
        node.name.clone_from(&world.nodes[at].name);
        cluster.set_node(Arc::new(node.object()));
        world.nodes[at] = node;
    }
    if random.one_in(3) {
        change_in_part(random, world, cluster);
    }
    if random.one_in(20) {
        let node = world::Node::random(random, 100 + step);
        cluster.set_node(Arc::new(node.object()));
        world.nodes.push(node);
    }
    if random.one_in(20) && world.nodes.len() > 2 {
        let gone = world.nodes.swap_remove(random.below(world.nodes.len()));
        // Its pods go with it, as the collector of garbage sees to.
        world.placed.retain(|(pod, node)| {
            let stays = *node != gone.name;
            if !stays {
                cluster.remove(&pod.name);
            }
            stays
        });
        cluster.remove_node(&gone.name);
    }
}

/// Only one side of a node changes, as it does when it is cordoned, has pulled an image, or offers less.
fn change_in_part(random: &mut Random, world: &mut World, cluster: &mut Cluster) {
    let other = world::Node::random(random, 0);
    let at = random.below(world.nodes.len());
    let node = &mut world.nodes[at];
    match random.below(5) {
        0 => node.taints = other.taints,
        1 => node.cordoned = !node.cordoned,
        2 => node.images = other.images,
        3 => (node.cpu, node.memory, node.pods, node.gpus) = (other.cpu, other.memory, other.pods, other.gpus),
        _ => {
            node.labels.insert("rack".to_owned(), other.cpu.to_string());
        }
    }
    cluster.set_node(Arc::new(node.object()));
}

#[test]
fn every_decision_is_that_of_a_naive_scheduler() {
    for seed in 1..=400 {
        live(seed);
    }
}

#[test]
#[ignore = "as the test above, for longer"]
fn every_decision_is_that_of_a_naive_scheduler_in_very_many_clusters() {
    for seed in 10_000..60_000 {
        live(seed);
    }
}

/// Everything that the naive scheduler does not know: services whose pods are spread, rooms that are kept, labels of namespaces.
fn change_around(random: &mut Random, cluster: &mut Cluster, kinds: &[world::Pod]) {
    let namespace = if random.one_in(2) { "x" } else { "y" };
    if random.one_in(4) {
        let pod = random.pick(kinds);
        let wanted = from_value(json!({"matchLabels": {"app": pod.app}})).unwrap();
        let wanted = (!random.one_in(3)).then(|| selector(Some(&wanted)));
        cluster.replicas.set_service((pod.namespace.clone(), "service".to_owned()), wanted);
    }
    if random.one_in(5) {
        let mut pod = random.pick(kinds).clone();
        pod.name = format!("nominee-{}", random.below(3));
        let template = cluster.template(&pod.object());
        match random.one_in(2) {
            true => cluster.nominate(&pod.name, &template, &format!("node-{}", random.below(6))),
            false => drop(cluster.clear_nomination(&pod.name)),
        }
    }
    if random.one_in(10) {
        let team = if random.one_in(2) { "red" } else { "blue" };
        let labels = world::Labels::from([("team".to_owned(), team.to_owned())]);
        if cluster.namespaces.set(namespace, Some(labels)) {
            cluster.epoch += 1;
        }
    }
}

/// One life in which results that are kept are compared with those found out anew.
fn keep(seed: u64) {
    let mut random = Random::new(seed);
    let (mut world, mut cluster, mut decider) = begin(&mut random);
    let mut kinds: Vec<world::Pod> = (0..6).map(|_| world::Pod::random(&mut random)).collect();
    // Some say nothing about how they are spread: their services do.
    kinds.iter_mut().take(3).for_each(|pod| pod.spreads.clear());
    for step in 0..40 {
        let mut pod = random.pick(&kinds).clone();
        pod.name = format!("pod-{step}");
        let template = cluster.template(&pod.object());
        let kept = decider.class(&cluster, &template);
        let kept = (kept.scores(&cluster), kept.rejections(&cluster), kept.best(&cluster));
        let mut fresh = Decider::default();
        let fresh = fresh.class(&cluster, &template);
        let fresh = (fresh.scores(&cluster), fresh.rejections(&cluster), fresh.best(&cluster));
        assert_eq!(kept, fresh, "seed {seed}, step {step}: {pod:#?}\n{world:#?}");
        if let Ok(choice) = decider.decide(&mut cluster, &pod.object()) {
            assert_eq!(Some(choice.node), fresh.2, "seed {seed}, step {step}");
            cluster.place(Arc::new(pod.object()), &choice.name);
            world.placed.push((pod, choice.name.to_string()));
        }
        change(&mut random, &mut world, &mut cluster, step);
        change_around(&mut random, &mut cluster, &kinds);
    }
}

#[test]
fn what_is_kept_is_what_would_be_found_out_anew() {
    for seed in 1..=300 {
        keep(seed);
    }
}

/// Preemption where fewer pods never hurt: the least important victims, all of them needed.
fn preempt(seed: u64) -> bool {
    let mut random = Random::new(seed);
    let (mut world, mut cluster, mut decider) = begin(&mut random);
    for at in 0..25 {
        let mut pod = world::Pod::monotone(&mut random);
        pod.name = format!("pod-{at}");
        if let Ok(choice) = decider.decide(&mut cluster, &pod.object()) {
            cluster.place(Arc::new(pod.object()), &choice.name);
            world.placed.push((pod, choice.name.to_string()));
        }
    }
    let mut pod = world::Pod::monotone(&mut random);
    (pod.name, pod.priority) = ("important".to_owned(), 5);
    let Err(failure) = decider.decide(&mut cluster, &pod.object()) else { return false };
    let template = cluster.template(&pod.object());
    let before = scheduler_says(&mut decider, &mut cluster, &pod);
    let class = decider.class(&cluster, &template);
    let plan = preemption::plan(class, &cluster, &failure, &[], None);
    assert_eq!(scheduler_says(&mut decider, &mut cluster, &pod), before, "seed {seed}: trying leaves no trace");
    let best = naive::least_important_victims(&world, &pod);
    let Ok(plan) = plan else {
        assert_eq!(best, None, "seed {seed}: there were victims");
        return false;
    };
    let victims: Vec<String> = plan.victims.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
    let priority = |name: &String| world.placed.iter().find(|(pod, _)| pod.name == *name).unwrap().0.priority;
    let highest = victims.iter().map(priority).max();
    assert_eq!(highest, best, "seed {seed}: {victims:?} on {}", plan.name);
    assert!(naive::fits_without(&world, &pod, &plan.name, &victims), "seed {seed}: {victims:?} are not enough");
    for spared in &victims {
        let others: Vec<String> = victims.iter().filter(|name| *name != spared).cloned().collect();
        assert!(!naive::fits_without(&world, &pod, &plan.name, &others), "seed {seed}: {spared} need not go");
    }
    true
}

#[test]
fn the_victims_of_preemption_are_the_least_important_and_all_needed() {
    let preempted = (1..=300).filter(|seed| preempt(*seed)).count();
    assert!(preempted > 20, "only {preempted} clusters had something to preempt");
}
