//! The texts are those of Kubernetes.

use super::*;
use serde_json::json;

#[test]
fn errors_print_as_kubernetes_prints_them() {
    let image = Path::new("spec").child("containers").index(0).child("image");
    let label = Path::new("metadata").child("labels").key("a/b");
    for (error, text) in [
        (Error::required(&image, ""), "spec.containers[0].image: Required value"),
        (Error::required(&image, "must be set"), "spec.containers[0].image: Required value: must be set"),
        (Error::invalid(&label, "x\n", "bad"), "metadata.labels[a/b]: Invalid value: \"x\\n\": bad"),
        (Error::invalid(&image, 7, "bad"), "spec.containers[0].image: Invalid value: 7: bad"),
        (Error::invalid(&image, 1e21, ""), "spec.containers[0].image: Invalid value: 1e+21"),
        (
            Error::invalid(&image, json!({"b": 1, "a": "<"}), ""),
            r#"spec.containers[0].image: Invalid value: {"a":"\u003c","b":1}"#,
        ),
        (Error::invalid(&image, json!(null), ""), "spec.containers[0].image: Invalid value: null"),
        (
            Error::not_supported(&image, "x", &["A", "B"]),
            r#"spec.containers[0].image: Unsupported value: "x": supported values: "A", "B""#,
        ),
        (Error::forbidden(&image, "no"), "spec.containers[0].image: Forbidden: no"),
        (Error::duplicate(&image, "x"), "spec.containers[0].image: Duplicate value: \"x\""),
        (Error::not_found(&image, "x"), "spec.containers[0].image: Not found: \"x\""),
        (Error::too_long(&image, 63), "spec.containers[0].image: Too long: may not be more than 63 bytes"),
        (Error::too_many(&image, 3, 1), "spec.containers[0].image: Too many: 3: must have at most 1 item"),
        (Error::internal(&Path::root(), "x"), "<nil>: Internal error: x"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn several_errors_print_as_a_list_without_repetitions() {
    let path = Path::new("spec");
    let mut errors = Errors::new();
    errors.push(Error::required(&path, ""));
    errors.push(Error::required(&path, ""));
    assert_eq!(errors.to_string(), "spec: Required value");
    errors.push(Error::forbidden(&path, "x"));
    assert_eq!(errors.to_string(), "[spec: Required value, spec: Forbidden: x]");
}

#[test]
fn floats_print_as_go_prints_them() {
    for (number, text) in [
        (0.0, "0"),
        (1.5, "1.5"),
        (1e20, "1e+20"),
        (123456.5, "123456.5"),
        (1e-5, "1e-05"),
        (-2.5e100, "-2.5e+100"),
        (1e6, "1e+06"),
    ] {
        assert_eq!(float(number), text);
    }
}

#[test]
fn a_very_long_path_is_dropped_without_recursion() {
    let mut path = Path::new("a");
    for _ in 0..200_000 {
        path = path.index(0);
    }
    drop(path);
}
