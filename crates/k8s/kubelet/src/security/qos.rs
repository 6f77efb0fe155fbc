//! The quality of service of a pod, and where its control group is.

use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use k8s_types::amounts::Amounts;

use super::resources::amounts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub fn name(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

/// As the API server has put it into the status; computed where it has not.
pub fn qos(pod: &Pod) -> Qos {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => Qos::Guaranteed,
        Some("Burstable") => Qos::Burstable,
        Some("BestEffort") => Qos::BestEffort,
        _ => computed(pod),
    }
}

/// Beneath the controllers' mounts: `/kubepods/burstable/pod<uid>`.
pub fn cgroup_parent(qos: Qos, uid: &str) -> String {
    match qos {
        Qos::Guaranteed => format!("/kubepods/pod{uid}"),
        Qos::Burstable => format!("/kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

fn computed(pod: &Pod) -> Qos {
    let Some(spec) = &pod.spec else { return Qos::BestEffort };
    let whole = spec.resources.as_ref().filter(|whole| whole.limits.is_some() || whole.requests.is_some());
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let all: Vec<Option<&ResourceRequirements>> = match whole {
        Some(whole) => vec![Some(whole)],
        None => containers.map(|container| container.resources.as_ref()).collect(),
    };
    let counted = |list: Option<&_>| {
        let mut amounts: Amounts = amounts(list);
        amounts.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && amount.sign() > 0);
        amounts
    };
    let mut any = false;
    let mut guaranteed = true;
    for resources in all {
        let limits = counted(resources.and_then(|resources| resources.limits.as_ref()));
        let requests = counted(resources.and_then(|resources| resources.requests.as_ref()));
        any |= !limits.is_empty() || !requests.is_empty();
        guaranteed &= limits.len() == 2;
        guaranteed &= requests.iter().all(|(name, amount)| limits.get(name) == Some(amount));
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}
