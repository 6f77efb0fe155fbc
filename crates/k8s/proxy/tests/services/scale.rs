//! Ten thousand services: how long they take, and what a connection costs among them. The figures are printed, not judged. Needs root.

use std::time::Instant;

use crate::world::{Pod, World, at, fetch, here, isolated, nft};

/// Connections with a question and an answer each, in the best of a few rounds: others use the machine, too.
fn connections(pod: &Pod) -> f64 {
    const EACH: usize = 300;
    let round = || {
        let start = Instant::now();
        for _ in 0..EACH {
            fetch("10.43.0.5:80").unwrap();
        }
        EACH as f64 / start.elapsed().as_secs_f64()
    };
    pod.inside(|| (0..7).map(|_| round()).fold(0.0, f64::max))
}

/// Kilobytes of the kernel's own memory.
fn slab() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let of = |name: &str| -> i64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    of("Slab:") + of("Percpu:")
}

#[test]
fn ten_thousand_services() {
    isolated(|| {
        let mut world = World::new();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        world.service("web", at("10.43.0.5"), here(&[&pod]));
        let few = connections(&client);
        let memory = slab();
        let endpoints: serde_json::Value =
            (2..5).map(|n| serde_json::json!({"addresses": [format!("10.42.0.{n}")], "nodeName": "here"})).collect();
        let start = Instant::now();
        for n in 0..10_000u32 {
            let spec = at(&format!("10.43.{}.{}", 1 + n / 250, n % 250));
            world.note(&format!("s{n}"), spec, endpoints.clone());
        }
        let planned = start.elapsed();
        let written = world.balancer.commit().unwrap();
        println!(
            "10,000 services of 3 endpoints: planned in {planned:?}, {written} elements after {:?}",
            start.elapsed()
        );
        println!("kernel memory: {} kB", slab() - memory);
        let many = connections(&client);
        println!("connections/s with 1 service: {few:.0}, with 10,001: {many:.0}, {:.1} %", 100.0 * many / few - 100.0);
        let two = here(&[&pod, &client]);
        for (what, endpoints) in [("another number of endpoints", two), ("the same number", here(&[&client, &pod]))] {
            let start = Instant::now();
            world.service("web", at("10.43.0.5"), endpoints);
            println!("a change to {what}: {:?}", start.elapsed());
        }
        world.restart();
        let start = Instant::now();
        world.service("web", at("10.43.0.5"), here(&[&pod]));
        println!("adopted with one service left: {:?}", start.elapsed());
        assert!(client.fetch("10.43.0.5:80").is_ok());
        assert!(!nft(&["list", "ruleset"]).contains("10.43.7.7"));
    });
}
