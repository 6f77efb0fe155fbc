//! apiregistration.k8s.io: which server answers for a group and version.

use crate::policy::Policy;

mod api_service;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "APIService").then_some(&api_service::API_SERVICE)
}
