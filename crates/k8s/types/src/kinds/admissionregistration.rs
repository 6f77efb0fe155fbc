//! admissionregistration.k8s.io: webhooks and policies that judge requests. They are kept and answered; this server does not call them yet.

use crate::policy::Policy;

mod matching;
mod policies;
#[cfg(test)]
mod tests;
mod webhooks;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "ValidatingWebhookConfiguration" => Some(&webhooks::VALIDATING),
        "MutatingWebhookConfiguration" => Some(&webhooks::MUTATING),
        "ValidatingAdmissionPolicy" => Some(&policies::VALIDATING),
        "ValidatingAdmissionPolicyBinding" => Some(&policies::VALIDATING_BINDING),
        "MutatingAdmissionPolicy" => Some(&policies::MUTATING),
        "MutatingAdmissionPolicyBinding" => Some(&policies::MUTATING_BINDING),
        _ => None,
    }
}
