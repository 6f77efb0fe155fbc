//! The JSON that clients read.

use super::*;
use crate::field::{Error, Errors, Path};
use crate::object::{GroupKind, GroupResource};
use serde_json::json;

#[test]
fn not_found_is_what_clients_expect() {
    let error = ApiError::not_found(&GroupResource::new("apps", "deployments"), "web");
    assert_eq!(
        error.to_value(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "deployments.apps \"web\" not found", "reason": "NotFound",
            "details": {"name": "web", "group": "apps", "kind": "deployments"}, "code": 404,
        })
    );
}

#[test]
fn invalid_lists_a_cause_for_every_field() {
    let spec = Path::new("spec");
    let errors: Errors =
        [Error::required(&spec.child("a"), ""), Error::invalid(&spec.child("b"), 3, "odd")].into_iter().collect();
    let error = ApiError::invalid(&GroupKind::new("", "Pod"), "x", &errors);
    assert_eq!(error.message, r#"Pod "x" is invalid: [spec.a: Required value, spec.b: Invalid value: 3: odd]"#);
    assert_eq!(
        error.to_value()["details"],
        json!({"name": "x", "kind": "Pod", "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
            {"reason": "FieldValueInvalid", "message": "Invalid value: 3: odd", "field": "spec.b"},
        ]})
    );
}

#[test]
fn forbidden_names_what_it_can() {
    let none = GroupResource::default();
    let pods = GroupResource::new("", "pods");
    assert_eq!(ApiError::forbidden(&none, "", "no").message, "forbidden: no");
    assert_eq!(ApiError::forbidden(&pods, "", "no").message, "pods is forbidden: no");
    assert_eq!(ApiError::forbidden(&pods, "x", "no").message, "pods \"x\" is forbidden: no");
}

#[test]
fn waiting_times_are_in_the_details() {
    assert_eq!(ApiError::timeout("x", 3).retry_after(), Some(3));
    assert_eq!(ApiError::bad_request("x").retry_after(), None);
    let late = ApiError::resource_version_too_large(9, 4);
    assert_eq!((late.code, late.message.as_str()), (504, "Timeout: Too large resource version: 9, current: 4"));
    assert_eq!(late.details.map(|details| details.causes.len()), Some(1));
}
