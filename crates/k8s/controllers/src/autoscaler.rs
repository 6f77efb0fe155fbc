//! HorizontalPodAutoscaler v2: as many replicas as the measured load of the pods asks for.
//!
//! - [`usage`]: what the pods use, from `metrics.k8s.io`
//! - [`replicas`]: how many replicas that makes, with pods that are new or silent
//! - [`pace`]: how far and how fast the number may change
//! - [`proposal`]: what the metrics of one autoscaler propose together
//! - [`sync`]: one round of one autoscaler
//!
//! Rounds are every 15 s, and only while there are autoscalers.

pub mod pace;
pub mod proposal;
pub mod replicas;
pub mod sync;
pub mod usage;

use std::time::Duration;

use k8s_client::{Informers, Queue};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;

const PERIOD: Duration = Duration::from_secs(15);

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let autoscalers = informers.get::<HorizontalPodAutoscaler>();
    autoscalers.synced().await;
    informers.get::<Pod>().synced().await;
    let queue = Queue::default();
    let added = queue.clone();
    let scaler = sync::Scaler::new(&informers, autoscalers.clone());
    let forgetting = scaler.clone();
    // A new one, or one that wants something else, has its first round at once; it goes on by itself from there.
    let _following = autoscalers.on(move |change| {
        let generation = |object: &std::sync::Arc<HorizontalPodAutoscaler>| {
            (object.metadata.uid.clone(), object.metadata.generation, object.spec.clone())
        };
        if change.new.is_none() {
            forgetting.forget(&change.key());
        } else if change.old.as_ref().map(generation) != change.new.as_ref().map(generation) {
            added.add((change.key(), forgetting.begin(&change.key())));
        }
    });
    let again = queue.clone();
    let work = |(key, round): (k8s_client::informer::Key, u64)| {
        let (scaler, again) = (scaler.clone(), again.clone());
        async move {
            // A later beginning took over, or it is gone.
            if !scaler.is_current(&key, round) {
                return Ok::<(), std::convert::Infallible>(());
            }
            if let Err(error) = scaler.sync(&key).await {
                tracing::debug!(autoscaler = ?key, %error, "no round");
            }
            again.add_after((key, round), PERIOD);
            Ok(())
        }
    };
    queue.work("autoscaler", 4, work).await;
}
