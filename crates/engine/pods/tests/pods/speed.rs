//! How long a pod takes; not run by itself: `cargo test --workspace --test pods speed -- --ignored --nocapture`.

use std::time::Instant;

use crate::world::{container, on_a_host};

#[test]
#[ignore = "a measurement"]
fn how_fast() {
    on_a_host(|world| async move {
        world.sandbox("warm").await;
        for round in 0..10 {
            let start = Instant::now();
            let sandbox = world.sandbox(&format!("p{round}")).await;
            let ran = start.elapsed();
            let id = world.pods.containers.create(&sandbox.id, container("c", "sleep 1000")).await.unwrap();
            let created = start.elapsed();
            world.pods.containers.start(&id).await.unwrap();
            println!("run {ran:?} create {:?} start {:?}", created - ran, start.elapsed() - created);
        }
        world.end().await;
    });
}

#[test]
#[ignore = "a measurement"]
fn how_fast_a_hundred() {
    on_a_host(|world| async move {
        world.sandbox("warm").await;
        let start = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (pods, spec) = (world.pods.clone(), world.pod(&format!("p{number}")));
            running.spawn(async move {
                let sandbox = pods.sandboxes.run(spec).await.unwrap();
                let id = pods.containers.create(&sandbox.id, container("c", "sleep 1000")).await.unwrap();
                pods.containers.start(&id).await.unwrap();
            });
        }
        running.join_all().await;
        println!("a hundred: {:?}", start.elapsed());
        world.end().await;
    });
}
