//! What classes, drivers and attachments are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("storage.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn classes() {
    assert_eq!(faults("StorageClass", json!({})), "provisioner: Required value");
    let expected = "parameters: Required value: must contain at least one key/value pair";
    assert_eq!(faults("VolumeAttributesClass", json!({"driverName": "csi.example.com"})), expected);
}

#[test]
fn a_class_keeps_what_volumes_were_made_by() {
    let old = json!({"provisioner": "a", "parameters": {"a": "b"}, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"});
    let mut new = old.clone();
    new["parameters"] = json!({"a": "c"});
    new["volumeBindingMode"] = "WaitForFirstConsumer".into();
    let mut errors = Errors::new();
    (policy::of("storage.k8s.io", "StorageClass").validate_update)(&new, &old, &mut errors);
    let expected = "[parameters: Forbidden: updates to parameters are forbidden., \
        volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable]";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn attachments() {
    let attachment = json!({"spec": {"attacher": "csi.example.com", "nodeName": "n", "source": {}}});
    let expected = "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    assert_eq!(faults("VolumeAttachment", attachment), expected);
}

#[test]
fn drivers_get_their_defaults() {
    let mut driver = json!({"metadata": {"name": "csi.example.com"}, "spec": {}});
    (policy::of("storage.k8s.io", "CSIDriver").defaults)(&mut driver);
    assert_eq!(driver["spec"]["attachRequired"], true);
    assert_eq!(driver["spec"]["volumeLifecycleModes"], json!(["Persistent"]));
    assert_eq!(faults("CSIDriver", driver), "[]");
    let node = json!({"spec": {"drivers": [{"name": "a", "nodeID": "n"}, {"name": "a", "nodeID": "n"}]}});
    assert_eq!(faults("CSINode", node), "spec.drivers[1].name: Duplicate value: \"a\"");
}
