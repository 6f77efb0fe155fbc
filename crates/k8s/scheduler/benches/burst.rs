//! Pods that get their node in a second, with everything between: `cargo bench --workspace --bench burst [-- nodes pods]`.
//!
//! The API server keeps its store in `TMPDIR`; it, the caches, the scheduler and the fake kubelets of all nodes share this process.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::time::Duration;

use simulation::simulate;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too: small, to see that it works.
    let whole = words.iter().any(|word| word == "--bench");
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let (nodes, pods) = match numbers[..] {
        [nodes, pods] => (nodes, pods),
        _ if whole => (1000, 10_000),
        _ => (10, 100),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(simulate(nodes, pods, Duration::from_secs(3600)));
    println!(
        "{nodes} nodes, {pods} pods through the API: {:.0} pods/s, all of them running after {:.1} s, {} MiB resident",
        outcome.rate(pods),
        outcome.running.as_secs_f64(),
        outcome.resident >> 20,
    );
}
