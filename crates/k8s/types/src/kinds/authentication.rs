//! authentication.k8s.io: tokens and who somebody is. Nothing of it is stored.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::policy::Policy;
use crate::policy::read::{Read, put};

static TOKEN_REQUEST: Policy = Policy {
    defaults: |request| {
        if request["spec"].is_object() && request["spec"]["expirationSeconds"].is_null() {
            put(request, &["spec", "expirationSeconds"], 3600);
        }
    },
    validate: validate_token_request,
    ..Policy::NEUTRAL
};

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    (kind == "TokenRequest").then_some(&TOKEN_REQUEST)
}

fn validate_token_request(request: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = request["spec"]["expirationSeconds"].int().unwrap_or(0);
    if seconds < 600 {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
    } else if seconds > 1 << 32 {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
}
