//! networking.k8s.io: network policies, ingresses, service address ranges.

use crate::policy::Policy;

mod ingress;
mod ingress_class;
mod ip_address;
mod network_policy;
mod service_cidr;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "NetworkPolicy" => Some(&network_policy::NETWORK_POLICY),
        "Ingress" => Some(&ingress::INGRESS),
        "IngressClass" => Some(&ingress_class::INGRESS_CLASS),
        "IPAddress" => Some(&ip_address::IP_ADDRESS),
        "ServiceCIDR" => Some(&service_cidr::SERVICE_CIDR),
        _ => None,
    }
}
