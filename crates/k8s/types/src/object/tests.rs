//! Accessors never fail on what is absent or of another type.

use super::*;
use serde_json::json;

#[test]
fn kinds_and_resources_print_as_in_kubernetes_errors() {
    assert_eq!(GroupResource::new("apps", "deployments").to_string(), "deployments.apps");
    assert_eq!(GroupResource::new("", "pods").to_string(), "pods");
    assert_eq!(Gvk::of("apps/v1", "Deployment").to_string(), "apps/v1, Kind=Deployment");
    assert_eq!(Gvk::of("v1", "Pod").to_string(), "/v1, Kind=Pod");
    assert_eq!(Gvk::of("v1", "Pod").api_version(), "v1");
    assert_eq!(Gvr::new("", "v1", "pods").to_string(), "/v1, Resource=pods");
}

#[test]
fn metadata_of_any_shape_reads_as_empty() {
    for object in
        [json!(null), json!([]), json!({}), json!({"metadata": 3}), json!({"metadata": {"name": 1, "finalizers": {}}})]
    {
        assert_eq!(name(&object), "");
        assert_eq!(finalizers(&object).count(), 0);
        assert_eq!(deletion(&object), None);
        assert_eq!(generation(&object), 0);
    }
}

#[test]
fn labels_are_written_into_objects_without_metadata() {
    let mut object = json!({"metadata": null});
    set_label(&mut object, "a", "b");
    assert_eq!(label(&object, "a"), Some("b"));
    set_metadata(&mut object, "generation", 4);
    assert_eq!(generation(&object), 4);
    assert_eq!(remove_metadata(&mut object, "generation"), Some(json!(4)));
}
