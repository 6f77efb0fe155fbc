//! Containers, the daemon and the supervisor are killed at random; in the end everything is as it was asked for, and nothing is left over.
//!
//! `SAMPAN_CHAOS_SECONDS` says for how long (40 by default), `SAMPAN_CHAOS_SEED` what happens.

use std::time::{Duration, Instant};

use e2e::cluster::Cluster;
use e2e::leaks::Inventory;

use crate::workloads::says;

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, chaos: "yes"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: box:1, command: [sleep, "36000"]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, chaos: "yes"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: box:1, command: [sleep, "36000"]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent, chaos: "yes"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: box:1, command: [sleep, "36000"]}
"#;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Numbers that look like chance, and are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// kill -9 of the process of one of the containers of pods, whichever chance says.
fn kill_container(cluster: &Cluster, chance: &mut Chance) {
    let listed = cluster.docker(["ps", "-q", "--filter", "label=io.kubernetes.container.name=c"]).out;
    let ids: Vec<&str> = listed.split_whitespace().collect();
    if let Some(id) = ids.get(chance.below(ids.len())) {
        let pid = cluster.docker(["inspect", "-f", "{{.State.Pid}}", id]).out;
        if pid.trim().parse::<u32>().is_ok_and(|pid| pid > 1) {
            cluster.shell(&format!("kill -9 {}", pid.trim()));
        }
    }
}

fn kill_supervisor(cluster: &Cluster) {
    for pid in cluster.processes(&["supervisor"]) {
        cluster.shell(&format!("kill -9 {pid}"));
    }
}

fn delete_pod(cluster: &Cluster, chance: &mut Chance) {
    let listed = cluster.kubectl(["get", "pods", "-l", "chaos=yes", "-o", "name"]).out;
    let pods: Vec<&str> = listed.lines().collect();
    if let Some(pod) = pods.get(chance.below(pods.len())) {
        cluster.kubectl(["delete", "--wait=false", pod]);
    }
}

/// Everything is there that is asked for, runs, and is all there is.
fn settled(cluster: &Cluster) {
    for (words, wanted) in [
        (["get", "deployment", "web", "-o", "jsonpath={.status.replicas} {.status.availableReplicas}"], "3 3"),
        (["get", "statefulset", "db", "-o", "jsonpath={.status.replicas} {.status.availableReplicas}"], "2 2"),
        (
            ["get", "daemonset", "agent", "-o", "jsonpath={.status.currentNumberScheduled} {.status.numberAvailable}"],
            "1 1",
        ),
    ] {
        patient(cluster, &words, wanted);
    }
    let phases = ["get", "pods", "-l", "chaos=yes", "-o", "jsonpath={.items[*].status.phase}"];
    patient(cluster, &phases, "Running Running Running Running Running Running");
    let running = || cluster.docker(["ps", "-q", "--filter", "label=io.kubernetes.container.name=c"]).out;
    cluster.until("six containers run, no more", || running().split_whitespace().count() == 6);
}

/// A container that was killed often waits long before it is started again.
#[track_caller]
fn patient(cluster: &Cluster, words: &[&str], wanted: &str) {
    let start = Instant::now();
    while cluster.kubectl(words.iter().copied()).out.trim() != wanted && start.elapsed() < Duration::from_secs(360) {
        std::thread::sleep(Duration::from_millis(200));
    }
    says(cluster, words, wanted);
}

#[test]
fn after_random_deaths_everything_is_as_it_was_asked_for() {
    let seed = number("SAMPAN_CHAOS_SEED", 20);
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut cluster = Cluster::with_node();
    // What the first pods make once is there before stock is taken.
    cluster.apply(WORKLOADS);
    settled(&cluster);
    remove(&cluster);
    let before = Inventory::of(&cluster);
    cluster.apply(WORKLOADS);
    settled(&cluster);
    let (start, length) = (Instant::now(), Duration::from_secs(number("SAMPAN_CHAOS_SECONDS", 40)));
    let mut deaths = [0; 4];
    while start.elapsed() < length {
        let what = [0, 0, 0, 3, 3, 1, 2][chance.below(7)];
        match what {
            0 => kill_container(&cluster, &mut chance),
            1 => cluster.crash(),
            2 => kill_supervisor(&cluster),
            _ => delete_pod(&cluster, &mut chance),
        }
        deaths[what] += 1;
        std::thread::sleep(Duration::from_millis(chance.below(1500) as u64));
    }
    println!(
        "seed {seed}: {} containers, {} daemons, {} supervisors killed, {} pods deleted",
        deaths[0], deaths[1], deaths[2], deaths[3]
    );
    settled(&cluster);
    remove(&cluster);
    // What a daemon makes at the first use, the last one makes too.
    cluster.docker(["run", "--rm", "box:1", "true"]).ok();
    before.is_back(&cluster);
}

fn remove(cluster: &Cluster) {
    cluster.kubectl(["delete", "deployment/web", "statefulset/db", "daemonset/agent", "--timeout=60s"]).ok();
    says(cluster, &["get", "pods", "-l", "chaos=yes", "-o", "name"], "");
    let left = || cluster.docker(["ps", "-aq", "--filter", "label=io.kubernetes.pod.name"]).out;
    cluster.until("no container of a pod is left", || left().trim().is_empty());
}
