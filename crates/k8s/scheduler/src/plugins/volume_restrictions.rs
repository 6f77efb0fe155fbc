//! VolumeRestrictions: a claim with the access mode ReadWriteOncePod is had by one pod.

use super::{Plugin, Preemption, Reason, Rejection};
use crate::model::{Cluster, Template};

pub fn filter(template: &Template, cluster: &Cluster) -> Option<Rejection> {
    let taken = template.claims.iter().any(|name| {
        let key = (template.namespace.clone(), name.clone());
        let modes = cluster.volumes.claims.get(&key).and_then(|claim| claim.spec.as_ref()?.access_modes.as_ref());
        modes.is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteOncePod"))
            && cluster.claims.contains_key(&key)
    });
    taken.then(|| Rejection::new(Plugin::VolumeRestrictions, Reason::ClaimInUse, Preemption::NoHelp))
}
