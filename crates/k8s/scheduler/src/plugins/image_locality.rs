//! ImageLocality: rather where the images are already, less so for images that few nodes have, so that these do not draw all pods.

use super::MOST;
use crate::model::{Cluster, NodeInfo, Template};

const MEGABYTE: i64 = 1024 * 1024;
const LEAST: i64 = 23 * MEGABYTE;
const MOST_PER_CONTAINER: i64 = 1000 * MEGABYTE;

pub fn score(template: &Template, node: &NodeInfo, cluster: &Cluster, nodes: usize) -> i64 {
    if nodes == 0 || template.images.is_empty() {
        return 0;
    }
    let scaled = template.images.iter().filter_map(|image| {
        let spread = *cluster.images.get(image)? as f64 / nodes as f64;
        Some((*node.images.get(image)? as f64 * spread) as i64)
    });
    let most = MOST_PER_CONTAINER * template.images.len() as i64;
    let sum = scaled.sum::<i64>().clamp(LEAST, most);
    MOST * (sum - LEAST) / (most - LEAST)
}
