//! Many managers in any order, and objects of any shape.

use super::*;
use proptest::prelude::*;

/// Disjoint configurations of one object, by four managers.
fn configs() -> Vec<(String, Value)> {
    let deployment = |spec: Value, labels: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": labels}, "spec": spec});
    let containers = |list: Value| json!({"template": {"spec": {"containers": list}}});
    vec![
        ("a".into(), deployment(json!({"replicas": 3, "selector": {"matchLabels": {"x": "y"}}}), json!({"a": "1"}))),
        (
            "b".into(),
            deployment(
                containers(json!([{"name": "one", "image": "1", "env": [{"name": "B", "value": "1"}]}])),
                json!({"b": "1"}),
            ),
        ),
        (
            "c".into(),
            deployment(containers(json!([{"name": "one", "env": [{"name": "C", "value": "1"}]}])), json!({"c": "1"})),
        ),
        ("d".into(), deployment(json!({"paused": true}), json!({"d": "1"}))),
    ]
}

fn run(order: &[usize]) -> Value {
    let (ty, configs) = (ty("apps/v1", "Deployment"), configs());
    let mut live: Option<Value> = None;
    for index in order {
        let (manager, config) = &configs[*index];
        let next = write("apps/v1", "Deployment", &ty, manager).apply(live.as_ref(), config, false);
        live = Some(next.expect("no two say the same field"));
    }
    live.expect("somebody applied")
}

/// Lists of items have no order that the managers have said: sorted by name.
fn sorted(mut object: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.iter_mut().for_each(walk);
                items.sort_by_key(|item| item["name"].as_str().map(str::to_owned));
            }
            Value::Object(map) => map.values_mut().for_each(walk),
            _ => {}
        }
    }
    object::remove_metadata(&mut object, "managedFields");
    walk(&mut object);
    object
}

fn shape() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("labels"),
        Just("template"),
        Just("containers"),
        Just("name"),
        Just("ports"),
        Just("containerPort"),
        Just("selector"),
        Just("finalizers"),
        Just("env"),
        Just("status"),
        Just("conditions"),
        Just("type"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("a")),
        Just(json!("b")),
        (0i64..2).prop_map(Value::from),
        Just(json!(1.5))
    ];
    let inner = leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    inner.prop_map(|value| if value.is_object() { value } else { json!({"spec": value}) })
}

proptest! {
    #[test]
    fn any_order_gives_the_same_object_and_owners(order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(), again in prop::collection::vec(0usize..4, 0..6)) {
        let wanted = run(&[0, 1, 2, 3]);
        let all: Vec<usize> = order.into_iter().chain(again).collect();
        let got = run(&all);
        prop_assert_eq!(owners(&got), owners(&wanted));
        prop_assert_eq!(sorted(got), sorted(wanted));
    }

    #[test]
    fn who_applies_nothing_any_more_leaves_only_what_others_own(gone in 0usize..4) {
        let (ty, configs) = (ty("apps/v1", "Deployment"), configs());
        let live = run(&[0, 1, 2, 3]);
        let empty = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
        let got = write("apps/v1", "Deployment", &ty, &configs[gone].0).apply(Some(&live), &empty, false).expect("applies");
        let rest: Vec<usize> = (0..4).filter(|index| *index != gone).collect();
        prop_assert_eq!(owners(&got), owners(&run(&rest)));
        prop_assert_eq!(sorted(got), sorted(run(&rest)));
    }

    #[test]
    fn objects_of_any_shape_do_not_panic(old in shape(), new in shape(), config in shape(), kind in 0usize..3) {
        let (api_version, kind) = [("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "ConfigMap")][kind];
        let ty = ty(api_version, kind);
        let request = write(api_version, kind, &ty, "one");
        let mut live = old.clone();
        request.update(None, &mut live);
        let mut next = new;
        request.update(Some(&live), &mut next);
        let mut config = config;
        object::set_gvk(&mut config, &object::Gvk::of(api_version, kind));
        let _ = request.apply(Some(&live), &config, false);
        let _ = request.apply(None, &config, true);
        // unknown fields, as of a custom resource
        let open = Type::Any;
        let request = write(api_version, kind, &open, "one");
        let mut custom = old;
        request.update(None, &mut custom);
        if let Ok(applied) = request.apply(Some(&custom), &config, true) {
            let again = request.apply(Some(&applied), &config, false).expect("owns it all");
            prop_assert_eq!(again, applied);
        }
    }

    #[test]
    fn owners_never_own_what_is_not_there(values in prop::collection::vec(prop::collection::btree_map("[a-c]", "[0-2]", 0..3), 1..6)) {
        let ty = ty("v1", "ConfigMap");
        let mut live: Option<Value> = None;
        for (number, values) in values.into_iter().enumerate() {
            let config = data(json!(values));
            let manager = ["one", "two"][number % 2];
            let request = write("v1", "ConfigMap", &ty, manager);
            let mut next = config.clone();
            live = match number % 3 {
                0 => { request.update(live.as_ref(), &mut next); Some(next) }
                _ => Some(request.apply(live.as_ref(), &config, true).expect("forces")),
            };
        }
        let live = live.expect("was written");
        for owned in owners(&live).as_object().into_iter().flatten().flat_map(|(_, paths)| paths.as_array().cloned().unwrap_or_default()) {
            let pointer = owned.as_str().unwrap_or_default().replace('.', "/");
            // an empty map that was applied goes with its last entry, as in Kubernetes
            prop_assert!(pointer == "/data" || live.pointer(&pointer).is_some(), "{} is owned and not there: {}", pointer, live);
        }
    }
}

/// Not a test of speed: prints what the management of fields costs.
#[test]
#[ignore = "prints figures"]
fn figures() {
    let pod = ty("v1", "Pod");
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u", "labels": {"run": "p", "app": "x"}, "creationTimestamp": NOW},
        "spec": {
            "containers": [{
                "name": "c", "image": "i", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "1"}}, "terminationMessagePath": "/dev/termination-log",
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A", "value": "b"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}, "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
            "enableServiceLinks": true, "serviceAccountName": "default", "serviceAccount": "default", "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    });
    let map = ty("v1", "ConfigMap");
    let small = data(json!({"a": "1"}));
    let request = Request { reset: &[&["status"]], ..write("v1", "Pod", &pod, "kubectl") };
    let of_map = write("v1", "ConfigMap", &map, "kubectl");
    let mut live = object.clone();
    request.update(None, &mut live);
    let mut bound = live.clone();
    bound["spec"]["nodeName"] = json!("n");
    let mut applied = request.apply(None, &object, false).expect("applies");
    applied["metadata"]["uid"] = json!("u");
    let time = |what: &str, work: &mut dyn FnMut()| {
        work();
        let start = std::time::Instant::now();
        (0..2000).for_each(|_| work());
        println!("{what}: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / 2000.0);
    };
    time("clone of a pod", &mut || drop(object.clone()));
    time("create of a pod", &mut || request.update(None, &mut object.clone()));
    time("clone of a config map", &mut || drop(small.clone()));
    time("create of a config map", &mut || of_map.update(None, &mut small.clone()));
    time("clone of a live pod", &mut || drop(bound.clone()));
    time("update of a pod", &mut || request.update(Some(&live), &mut bound.clone()));
    time("apply of a pod, anew", &mut || drop(request.apply(None, &object, false)));
    time("apply of a pod, again", &mut || drop(request.apply(Some(&applied), &object, false)));
}
