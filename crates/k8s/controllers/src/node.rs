//! The life of nodes: addresses for their pods, whether they are heard of, taints that say so, and pods that leave nodes they cannot stay on.
//!
//! - [`addresses`]: `spec.podCIDR`, one range of the cluster's pod addresses a node
//! - [`health`]: conditions become Unknown when nothing is heard of the node; taints follow the conditions
//! - [`evict`]: `NoExecute` taints make pods leave, at once or when their tolerations end
//! - [`conditions`], [`taints`]: what `health` decides with, without input or output

pub mod addresses;
pub mod conditions;
pub mod evict;
pub mod health;
pub mod taints;

use k8s_client::Informers;

/// Runs until dropped.
pub async fn run(informers: Informers) {
    tokio::join!(addresses::run(&informers), health::run(&informers), evict::run(&informers));
}
