//! A cluster of fake nodes on the real API server: every pod gets a node, no node gets more than it has.

mod simulation;

use std::time::Duration;

use simulation::simulate;

async fn run(nodes: usize, pods: usize, patience: u64) {
    let outcome = simulate(nodes, pods, Duration::from_secs(patience)).await;
    println!(
        "{nodes} nodes, {pods} pods through the API: {:.0} pods/s, all of them running after {:.1} s, {} MiB resident",
        outcome.rate(pods),
        outcome.running.as_secs_f64(),
        outcome.resident >> 20,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pod_of_a_cluster_gets_a_node_and_no_node_too_much() {
    run(100, 1000, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand nodes and fifty thousand pods take minutes in a debug build"]
async fn every_pod_of_a_large_cluster_gets_a_node_and_no_node_too_much() {
    run(1000, 50_000, 3600).await;
}
