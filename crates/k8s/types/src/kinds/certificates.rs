//! certificates.k8s.io: requests for certificates.

use crate::policy::Policy;

mod conditions;
mod signing_request;
#[cfg(test)]
mod tests;

pub use signing_request::signer_fault;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "CertificateSigningRequest").then_some(&signing_request::SIGNING_REQUEST)
}
