//! Creates, updates, patches.

use super::*;

#[test]
fn a_created_config_map_belongs_to_its_creator() {
    let ty = ty("v1", "ConfigMap");
    config_map(&ty, "kubectl-create", |request| {
        let mut map = data(json!({"a": "1"}));
        map["metadata"]["labels"] = json!({"app": "x"});
        map["metadata"]["uid"] = json!("u");
        request.update(None, &mut map);
        assert_eq!(
            map["metadata"]["managedFields"],
            json!([{
                "manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:data": {".": {}, "f:a": {}},
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                },
            }])
        );
    });
}

#[test]
fn a_created_pod_belongs_to_its_creator_as_in_kubernetes() {
    let ty = ty("v1", "Pod");
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"run": "p"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "i", "imagePullPolicy": "Always", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A", "value": "b"}],
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
        "status": {},
    });
    write("v1", "Pod", &ty, "kubectl-run").update(None, &mut pod);
    assert_eq!(
        pod["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:run": {}}},
            "f:spec": {
                "f:containers": {
                    "k:{\"name\":\"c\"}": {
                        ".": {}, "f:env": {".": {}, "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}, "f:image": {}, "f:imagePullPolicy": {},
                        "f:name": {}, "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                        "f:resources": {}, "f:terminationMessagePath": {},
                    },
                },
                "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {},
            },
        })
    );
}

#[test]
fn a_created_deployment_owns_its_selector_as_one() {
    let ty = ty("apps/v1", "Deployment");
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]}},
        },
        "status": {},
    });
    write("apps/v1", "Deployment", &ty, "m").update(None, &mut deployment);
    assert_eq!(
        deployment["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:spec": {
                "f:replicas": {}, "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}}},
                },
            },
        })
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    let ty = ty("v1", "ConfigMap");
    let mut map = data(json!({"a": "1", "b": "1", "c": "1"}));
    write("v1", "ConfigMap", &ty, "one").update(None, &mut map);
    let live = map.clone();
    map["data"] = json!({"a": "1", "b": "2", "d": "1"});
    write("v1", "ConfigMap", &ty, "two").update(Some(&live), &mut map);
    assert_eq!(owners(&map), json!({"one Update": [".data", ".data.a"], "two Update": [".data.b", ".data.d"]}));
    let (live, mut same) = (map.clone(), map.clone());
    write("v1", "ConfigMap", &ty, "three").update(Some(&live), &mut same);
    assert_eq!(same, live, "an update that changes nothing leaves no trace");
}

#[test]
fn a_status_is_owned_apart() {
    let ty = ty("apps/v1", "Deployment");
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "uid": "u"}, "spec": {"replicas": 1}, "status": {"replicas": 7},
    });
    let request = Request { reset: &[&["status"]], ..write("apps/v1", "Deployment", &ty, "user") };
    request.update(None, &mut deployment);
    let live = deployment.clone();
    deployment["status"] = json!({"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]});
    let request = Request {
        reset: &[&["spec"]],
        subresource: "status",
        now: LATER,
        ..write("apps/v1", "Deployment", &ty, "controller")
    };
    request.update(Some(&live), &mut deployment);
    assert_eq!(
        owners(&deployment),
        json!({
            "user Update": [".spec.replicas"],
            "controller Update status": [
                ".status.conditions", ".status.replicas", ".status.conditions[type=\"Available\"]", ".status.conditions[type=\"Available\"].status",
                ".status.conditions[type=\"Available\"].type",
            ],
        })
    );
    assert_eq!(deployment["metadata"]["managedFields"][1]["subresource"], json!("status"));
}

#[test]
fn clients_may_forget_managers_and_may_not_spoil_them() {
    let ty = ty("v1", "ConfigMap");
    let mut live = data(json!({"a": "1"}));
    write("v1", "ConfigMap", &ty, "one").update(None, &mut live);
    let update = |given: Option<Value>| {
        let mut new = data(json!({"a": "2"}));
        if let Some(given) = given {
            new["metadata"]["managedFields"] = given;
        }
        write("v1", "ConfigMap", &ty, "two").update(Some(&live), &mut new);
        owners(&new)
    };
    let kept = json!({"one Update": [".data"], "two Update": [".data.a"]});
    assert_eq!(update(None), kept, "a client that does not know them keeps them");
    assert_eq!(update(Some(json!([{"operation": "Odd"}]))), kept, "nor does one that writes nonsense");
    assert_eq!(update(Some(json!([]))), json!({}));
    assert_eq!(update(Some(json!([{}]))), json!({}));
}

#[test]
fn the_oldest_updaters_are_merged() {
    let ty = ty("v1", "ConfigMap");
    let mut map = data(json!({}));
    let mut live = None;
    for number in 0..15 {
        map["data"][format!("k{number:02}")] = json!("1");
        let (manager, now) = (format!("m{number:02}"), format!("2026-01-02T03:04:{number:02}Z"));
        Request { now: &now, ..write("v1", "ConfigMap", &ty, &manager) }.update(live.as_ref(), &mut map);
        live = Some(map.clone());
    }
    let owners = owners(&map);
    assert_eq!(owners.as_object().map(serde_json::Map::len), Some(10));
    assert_eq!(owners["ancient-changes Update"].as_array().map(Vec::len), Some(7));
    assert_eq!(owners["m14 Update"], json!([".data.k14"]));
}

#[test]
fn times_are_kept_when_nothing_else_changed() {
    let ty = ty("v1", "ConfigMap");
    let mut old = data(json!({"a": "1"}));
    write("v1", "ConfigMap", &ty, "one").update(None, &mut old);
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = json!(LATER);
    let mut changed = new.clone();
    changed["data"]["b"] = json!("1");
    let before = changed.clone();
    keep_times(&old, &mut new);
    keep_times(&old, &mut changed);
    assert_eq!(new, old);
    assert_eq!(changed, before);
}

#[test]
fn managers_are_named_by_parameter_or_user_agent() {
    assert_eq!(manager_name("me", "kubectl/v1.37"), "me");
    assert_eq!(manager_name("", "kubectl/v1.37 (linux/amd64)"), "kubectl");
    assert_eq!(manager_name("", "a\u{0}b"), "ab");
    assert_eq!(manager_name("", &"é".repeat(100)).len(), 128);
    let errors = check_manager_name("a\n", &Path::new("fieldManager"));
    assert_eq!(errors.to_string(), "fieldManager: Invalid value: \"a\\n\": invalid character U+000A (at position 1)");
}

#[test]
fn replicas_taken_through_scale_are_taken_from_the_object() {
    let paths: scale::Paths<'_> = &[("apps/v1", &["spec", "replicas"])];
    let ty = ty("apps/v1", "Deployment");
    let mut parent = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1, "paused": true}});
    write("apps/v1", "Deployment", &ty, "one").update(None, &mut parent);
    let mut in_scale = scale::to_scale(object::managed_fields(&parent), paths).expect("reads");
    assert_eq!(in_scale[0]["apiVersion"], json!("autoscaling/v1"));
    in_scale[0] = json!({
        "manager": "kubectl", "operation": "Update", "subresource": "scale", "apiVersion": "autoscaling/v1", "fieldsType": "FieldsV1", "time": LATER,
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    });
    let fields = scale::to_parent(object::managed_fields(&parent), &in_scale, paths, "apps/v1").expect("reads");
    object::set_metadata(&mut parent, "managedFields", fields);
    assert_eq!(owners(&parent), json!({"one Update": [".spec.paused"], "kubectl Update scale": [".spec.replicas"]}));
}
