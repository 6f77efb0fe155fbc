//! NodeVolumeLimits: no more volumes of a driver than it says it can attach to a node.

use std::collections::{HashMap, HashSet};

use super::{Plugin, Preemption, Reason, Rejection};
use crate::model::{Cluster, NodeInfo, Template};

pub fn filter(template: &Template, node: &NodeInfo, cluster: &Cluster) -> Option<Rejection> {
    let drivers = cluster.volumes.drivers.get(&*node.name)?;
    let mut volumes: HashMap<&str, HashSet<&str>> = HashMap::new();
    for template in node.pods.values().map(|placed| &*placed.template) {
        attached(template, cluster, &mut volumes);
    }
    let before: HashMap<&str, usize> = volumes.iter().map(|(driver, volumes)| (*driver, volumes.len())).collect();
    attached(template, cluster, &mut volumes);
    let over = drivers.spec.drivers.iter().any(|driver| {
        let most = driver.allocatable.as_ref().and_then(|resources| resources.count);
        let count = volumes.get(driver.name.as_str()).map_or(0, HashSet::len);
        most.is_some_and(|most| {
            count > usize::try_from(most).unwrap_or(0) && count > before.get(driver.name.as_str()).copied().unwrap_or(0)
        })
    });
    over.then(|| Rejection::new(Plugin::NodeVolumeLimits, Reason::VolumeLimit, Preemption::MayHelp))
}

fn attached<'a>(template: &Template, cluster: &'a Cluster, into: &mut HashMap<&'a str, HashSet<&'a str>>) {
    for name in &template.claims {
        let claim = cluster.volumes.claims.get(&(template.namespace.clone(), name.clone()));
        let volume = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.as_ref());
        let volume = volume.and_then(|name| cluster.volumes.volumes.get(name));
        if let Some(csi) = volume.and_then(|volume| volume.spec.as_ref()?.csi.as_ref()) {
            into.entry(csi.driver.as_str()).or_default().insert(csi.volume_handle.as_str());
        }
    }
}
