//! Server-side apply: ownership, conflicts, removal, and the way from client-side apply.

use super::*;

fn apply(live: Option<&Value>, config: Value, manager: &str, force: bool) -> Result<Value, ApiError> {
    let gvk = object::gvk(&config);
    let (api_version, ty) = (gvk.api_version(), ty(&gvk.api_version(), &gvk.kind));
    let request = Request { now: LATER, ..write(&api_version, &gvk.kind, &ty, manager) };
    request.apply(live, &config, force)
}

fn applied(live: Option<&Value>, config: Value, manager: &str) -> Value {
    apply(live, config, manager, false).unwrap_or_else(|error| panic!("{error}"))
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}, "spec": spec})
}

#[test]
fn who_applies_owns_what_it_says() {
    let map = applied(None, data(json!({"a": "1"})), "one");
    assert_eq!(map["data"], json!({"a": "1"}));
    assert_eq!(
        map["metadata"]["managedFields"],
        json!([{
            "manager": "one", "operation": "Apply", "apiVersion": "v1", "time": LATER, "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}},
        }])
    );
}

#[test]
fn what_is_not_said_any_more_is_removed_unless_others_own_it() {
    let map = applied(None, data(json!({"a": "1", "b": "1", "c": "1"})), "one");
    let map = applied(Some(&map), data(json!({"b": "1"})), "two");
    let map = applied(Some(&map), data(json!({"a": "1"})), "one");
    assert_eq!(map["data"], json!({"a": "1", "b": "1"}));
    assert_eq!(owners(&map), json!({"one Apply": [".data.a"], "two Apply": [".data.b"]}));
    let map = applied(Some(&map), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}), "two");
    assert_eq!((&map["data"], owners(&map)), (&json!({"a": "1"}), json!({"one Apply": [".data.a"]})));
}

#[test]
fn conflicts_name_the_fields_and_their_managers() {
    let ty = ty("apps/v1", "Deployment");
    let mut live = deployment(json!({"replicas": 1, "paused": false}));
    live["metadata"]["uid"] = json!("u");
    write("apps/v1", "Deployment", &ty, "kubectl-client-side-apply").update(None, &mut live);
    let error = apply(Some(&live), deployment(json!({"replicas": 2})), "one", false).expect_err("conflicts");
    assert_eq!(error.code, 409);
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
    );
    assert_eq!(
        error.to_value()["details"],
        json!({"causes": [{
            "reason": "FieldManagerConflict", "message": "conflict with \"kubectl-client-side-apply\" using apps/v1", "field": ".spec.replicas",
        }]})
    );
    let live = applied(Some(&live), deployment(json!({"minReadySeconds": 3})), "other");
    let error =
        apply(Some(&live), deployment(json!({"replicas": 2, "paused": true, "minReadySeconds": 4})), "one", false)
            .expect_err("conflicts");
    assert_eq!(
        error.message,
        "Apply failed with 3 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n- .spec.paused\n- .spec.replicas\n\
         conflicts with \"other\":\n- .spec.minReadySeconds"
    );
}

#[test]
fn force_takes_and_equal_values_are_shared() {
    let map = applied(None, data(json!({"a": "1", "b": "1"})), "one");
    let map = applied(Some(&map), data(json!({"a": "1"})), "two");
    assert_eq!(owners(&map), json!({"one Apply": [".data.a", ".data.b"], "two Apply": [".data.a"]}));
    assert!(apply(Some(&map), data(json!({"a": "2"})), "two", false).is_err());
    let map = apply(Some(&map), data(json!({"a": "2"})), "two", true).expect("forces");
    assert_eq!(map["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(owners(&map), json!({"one Apply": [".data.b"], "two Apply": [".data.a"]}));
}

#[test]
fn items_are_told_apart_by_their_keys() {
    let containers = |containers: Value| deployment(json!({"template": {"spec": {"containers": containers}}}));
    let live = applied(None, containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])), "one");
    let live =
        applied(Some(&live), containers(json!([{"name": "c", "image": "1"}, {"name": "b", "tty": true}])), "two");
    let names = |object: &Value| -> Vec<String> {
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        containers
            .into_iter()
            .flatten()
            .map(|container| container["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names(&live), ["a", "c", "b"]);
    assert_eq!(
        live.pointer("/spec/template/spec/containers/2"),
        Some(&json!({"name": "b", "image": "1", "tty": true}))
    );
    let live = applied(Some(&live), containers(json!([{"name": "a", "image": "2"}])), "one");
    assert_eq!(names(&live), ["a", "c", "b"]);
    assert_eq!(
        live.pointer("/spec/template/spec/containers/2"),
        Some(&json!({"name": "b", "tty": true})),
        "one's image of b is gone, two's item is not"
    );
    let error =
        apply(Some(&live), containers(json!([{"name": "c", "image": "9"}])), "one", false).expect_err("conflicts");
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"two\": .spec.template.spec.containers[name=\"c\"].image"
    );
}

#[test]
fn atomic_values_are_owned_as_one() {
    let live = applied(None, deployment(json!({"selector": {"matchLabels": {"a": "1"}}})), "one");
    assert_eq!(owners(&live), json!({"one Apply": [".spec.selector"]}));
    let error = apply(Some(&live), deployment(json!({"selector": {"matchLabels": {"b": "1"}}})), "two", false)
        .expect_err("conflicts");
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.selector");
    let live = applied(Some(&live), deployment(json!({"selector": {"matchLabels": {"b": "1"}}})), "one");
    assert_eq!(live["spec"]["selector"], json!({"matchLabels": {"b": "1"}}));
}

#[test]
fn sets_of_values_are_shared() {
    let finalizers =
        |list: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "finalizers": list}});
    let live = applied(None, finalizers(json!(["x/a", "x/b"])), "one");
    let live = applied(Some(&live), finalizers(json!(["x/c", "x/b"])), "two");
    assert_eq!(live["metadata"]["finalizers"], json!(["x/a", "x/c", "x/b"]));
    let live = applied(Some(&live), finalizers(json!([])), "one");
    assert_eq!(live["metadata"]["finalizers"], json!(["x/c", "x/b"]));
    assert_eq!(
        owners(&live),
        json!({"two Apply": [".metadata.finalizers[=\"x/b\"]", ".metadata.finalizers[=\"x/c\"]"]})
    );
}

#[test]
fn what_was_there_before_the_first_apply_has_a_manager() {
    let mut live = data(json!({"a": "1", "b": "1"}));
    live["metadata"]["uid"] = json!("u");
    let error = apply(Some(&live), data(json!({"a": "2"})), "one", false).expect_err("conflicts");
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
    let map = applied(Some(&live), data(json!({"c": "2"})), "one");
    assert_eq!(
        owners(&map),
        json!({"one Apply": [".data.c"], "before-first-apply Update": [".data", ".data.a", ".data.b"]})
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_on_its_own_side() {
    let ty = ty("v1", "ConfigMap");
    let mut config = data(json!({"a": "1", "b": "1"}));
    let mut live = config.clone();
    live["metadata"]["annotations"] = json!({LAST_APPLIED: config.to_string()});
    live["metadata"]["uid"] = json!("u");
    write("v1", "ConfigMap", &ty, "kubectl-client-side-apply").update(None, &mut live);
    config["data"]["a"] = json!("2");
    let map = applied(Some(&live), config.clone(), "kubectl");
    assert_eq!(map["data"]["a"], json!("2"));
    let annotation = object::annotation(&map, LAST_APPLIED).expect("is kept");
    assert_eq!(serde_json::from_str::<Value>(annotation).expect("is JSON"), config, "the annotation follows");
    assert!(apply(Some(&live), config.clone(), "someone", false).is_err(), "only for kubectl");
    live["data"]["a"] = json!("changed since");
    let error = apply(Some(&live), config, "kubectl", false).expect_err("conflicts");
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a"
    );
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let config =
        deployment(json!({"replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "1"}]}}}));
    let live = applied(None, config.clone(), "one");
    assert_eq!(applied(Some(&live), config, "one"), live);
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    for (config, code, message) in [
        (
            deployment(json!({"foo": 1})),
            500,
            "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema",
        ),
        (
            deployment(json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}})),
            500,
            "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            deployment(json!({"template": {"spec": {"containers": [{"image": "a"}]}}})),
            500,
            "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: element 0: associative list with keys \
             has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)",
        ),
        (
            deployment(json!({"replicas": "x"})),
            500,
            "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string",
        ),
    ] {
        let error = apply(None, config, "one", false).expect_err("is refused");
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
    let ty = ty("v1", "ConfigMap");
    config_map(&ty, "one", |request| {
        let error = request.apply(None, &deployment(json!({})), false).expect_err("is refused");
        assert_eq!((error.code, error.message.as_str()), (400, "invalid object type: apps/v1, Kind=Deployment"));
        let mut config = data(json!({}));
        config["metadata"]["managedFields"] = json!([]);
        assert_eq!(
            request.apply(None, &config, false).expect_err("is refused").message,
            "metadata.managedFields must be nil"
        );
    });
}
