//! Tables of contexts, amounts and credentials.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Secret};
use pods::runtime::Seccomp;
use serde_json::{Value, json};

use super::*;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec})).unwrap()
}

fn made(of_pod: Value, own: Value, image_user: &str) -> Result<Security, Error> {
    let pod = pod(json!({"securityContext": of_pod, "containers": [{"name": "c", "securityContext": own}]}));
    context::of_container(&pod, &pod.spec.as_ref().unwrap().containers[0], image_user, &[], Path::new("/profiles"))
}

#[test]
fn the_container_goes_before_the_pod() {
    for (of_pod, own, image, user) in [
        (json!({}), json!({}), "7", ""),
        (json!({"runAsUser": 5}), json!({}), "7", "5"),
        (json!({"runAsUser": 5, "runAsGroup": 6}), json!({"runAsUser": 8}), "7", "8:6"),
        (json!({"runAsGroup": 6}), json!({}), "7:9", "7:6"),
        (json!({"runAsGroup": 6}), json!({}), "", "0:6"),
    ] {
        assert_eq!(made(of_pod, own, image).unwrap().user, user);
    }
    let all = made(
        json!({"supplementalGroups": [9, 5], "fsGroup": 7, "supplementalGroupsPolicy": "Strict",
            "seccompProfile": {"type": "Unconfined"}}),
        json!({"capabilities": {"add": ["CAP_NET_ADMIN", "sys_time"], "drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false, "procMount": "Unmasked",
            "seccompProfile": {"type": "Localhost", "localhostProfile": "a/b.json"}}),
        "",
    )
    .unwrap();
    assert_eq!(all.supplemental_groups, [5, 7, 9]);
    assert!(all.strict_groups && all.read_only_root && all.no_new_privileges && all.unmasked_proc);
    assert_eq!(all.add_capabilities, ["NET_ADMIN", "SYS_TIME"]);
    assert_eq!(all.drop_capabilities, ["ALL"]);
    assert_eq!(all.seccomp, Seccomp::Localhost("/profiles/a/b.json".into()));
    assert_eq!(made(json!({}), json!({}), "").unwrap().seccomp, Seccomp::RuntimeDefault);
    assert_eq!(made(json!({}), json!({"privileged": true}), "").unwrap().seccomp, Seccomp::Unconfined);
    let outside = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}});
    assert!(made(outside, json!({}), "").is_err());
}

#[test]
fn who_must_not_be_root_is_not() {
    let strict = json!({"runAsNonRoot": true});
    for (of_pod, own, image, fault) in [
        (strict.clone(), json!({}), "1000", None),
        (strict.clone(), json!({}), "1000:0", None),
        (strict.clone(), json!({"runAsUser": 1}), "0", None),
        (strict.clone(), json!({"runAsNonRoot": false}), "0", None),
        (
            strict.clone(),
            json!({"runAsUser": 0}),
            "1",
            Some("container's runAsUser breaks non-root policy (pod: \"p_ns(u)\", container: c)"),
        ),
        (
            strict.clone(),
            json!({}),
            "0",
            Some("container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)"),
        ),
        (
            strict.clone(),
            json!({}),
            "",
            Some("container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)"),
        ),
        (
            json!({}),
            strict,
            "alice:1",
            Some(
                "container has runAsNonRoot and image has non-numeric user (alice), cannot verify user is non-root (pod: \"p_ns(u)\", container: c)",
            ),
        ),
    ] {
        assert_eq!(made(of_pod, own, image).err().map(|error| error.to_string()).as_deref(), fault);
    }
}

#[test]
fn what_the_node_has_not_is_refused() {
    let message = |spec: Value| admit(&pod(spec)).err().map(|refusal| refusal.reason);
    assert_eq!(message(json!({"containers": []})), None);
    assert_eq!(message(json!({"hostUsers": false, "containers": []})), Some("UserNamespaces"));
    let armoured = json!({"appArmorProfile": {"type": "RuntimeDefault"}});
    assert_eq!(message(json!({"containers": [{"name": "c", "securityContext": armoured}]})), Some("AppArmor"));
    let open = json!({"appArmorProfile": {"type": "Unconfined"}});
    assert_eq!(message(json!({"securityContext": open, "containers": []})), None);
}

#[test]
fn sysctls_are_the_pods_own() {
    let config = Config { unsafe_sysctls: vec!["kernel.msg*".into()], ..Config::new("n", "/x".into()) };
    let set = |name: &str, more: Value| {
        let mut spec = json!({"containers": [], "securityContext": {"sysctls": [{"name": name, "value": "1"}]}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sysctls(&config, &pod(spec)).map(|all| all.into_keys().next().unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(set("net.ipv4.tcp_syncookies", json!({})).as_deref(), Ok("net.ipv4.tcp_syncookies"));
    assert_eq!(set("net/ipv4/tcp_syncookies", json!({})).as_deref(), Ok("net.ipv4.tcp_syncookies"));
    assert_eq!(set("kernel.msgmax", json!({})).as_deref(), Ok("kernel.msgmax"));
    let forbidden = set("kernel.sem", json!({})).unwrap_err();
    assert_eq!(forbidden, "forbidden sysctl: \"kernel.sem\" not allowlisted");
    set("vm.swappiness", json!({})).unwrap_err();
    set("net.ipv4.tcp_syncookies", json!({"hostNetwork": true})).unwrap_err();
    set("kernel.msgmax", json!({"hostIPC": true})).unwrap_err();
}

fn resources(requests: Value, limits: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

#[test]
fn amounts_become_limits() {
    let one = |container: Value| {
        let pod = pod(json!({"containers": [container]}));
        super::resources::of_container(&pod, &pod.spec.as_ref().unwrap().containers[0], 1 << 30)
    };
    let best = one(resources(json!({}), json!({})));
    assert_eq!((best.cpu_shares, best.cpu_quota, best.memory, best.oom_score_adj), (2, None, None, 1000));
    let burst = one(resources(json!({"cpu": "250m", "memory": "256Mi"}), json!({"memory": "512Mi"})));
    assert_eq!((burst.cpu_shares, burst.cpu_quota, burst.memory), (256, None, Some(512 << 20)));
    assert_eq!(burst.oom_score_adj, 750);
    let sure = one(resources(json!({"cpu": "1m", "memory": "1Gi"}), json!({"cpu": "1m", "memory": "1Gi"})));
    assert_eq!((sure.cpu_shares, sure.cpu_quota, sure.oom_score_adj), (2, Some(1000), -997));
    let huge = one(resources(json!({}), json!({"hugepages-2Mi": "4Mi"})));
    assert_eq!(huge.hugepages["2Mi"], 4 << 20);
}

#[test]
fn a_pod_is_limited_where_all_its_containers_are() {
    let whole = |spec: Value| super::resources::of_pod(&pod(spec));
    let limited = resources(json!({"cpu": "100m"}), json!({"cpu": "200m", "memory": "10Mi"}));
    let open = resources(json!({"cpu": "300m"}), json!({"memory": "20Mi"}));
    let two = whole(json!({"containers": [limited, open]}));
    assert_eq!((two.cpu_shares, two.cpu_quota, two.memory), (409, None, Some(30 << 20)));
    let init = json!({"name": "i", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "100Mi"}}});
    let with_init = whole(json!({"containers": [limited], "initContainers": [init]}));
    assert_eq!((with_init.cpu_shares, with_init.cpu_quota, with_init.memory), (2048, Some(200_000), Some(100 << 20)));
    let own = whole(
        json!({"containers": [open], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}}),
    );
    assert_eq!((own.cpu_shares, own.cpu_quota, own.memory), (1024, Some(100_000), Some(1 << 30)));
}

#[test]
fn quality_of_service() {
    let of = |containers: Value| qos(&pod(json!({"containers": containers})));
    assert_eq!(of(json!([resources(json!({}), json!({}))])), Qos::BestEffort);
    let sure = resources(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "1000m", "memory": "1Gi"}));
    assert_eq!(of(json!([sure])), Qos::Guaranteed);
    assert_eq!(of(json!([sure, resources(json!({}), json!({}))])), Qos::Burstable);
    assert_eq!(of(json!([resources(json!({"cpu": "1"}), json!({}))])), Qos::Burstable);
    assert_eq!(cgroup_parent(Qos::Burstable, "u"), "/kubepods/burstable/podu");
}

fn with_resources(resources: &[&str]) -> Pod {
    let container = |(n, text): (usize, &&str)| json!({"name": format!("c{n}"), "resources": serde_json::from_str::<Value>(text).unwrap()});
    pod(json!({"containers": resources.iter().enumerate().map(container).collect::<Vec<_>>()}))
}

#[test]
fn classes_follow_requests_and_limits() {
    let class = |resources: &[&str]| qos(&with_resources(resources));
    assert_eq!(class(&["{}", "{}"]), Qos::BestEffort);
    assert_eq!(class(&[r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#]), Qos::Guaranteed);
    assert_eq!(class(&[r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#, "{}"]), Qos::Burstable);
    assert_eq!(class(&[r#"{"requests":{"cpu":"1"}}"#]), Qos::Burstable);
}

#[test]
fn a_container_gets_shares_quota_and_score() {
    let pod =
        with_resources(&[r#"{"requests":{"cpu":"250m","memory":"1Gi"},"limits":{"cpu":"1500m","memory":"2Gi"}}"#]);
    let got = super::resources::of_container(&pod, &pod.spec.as_ref().unwrap().containers[0], 8 << 30);
    assert_eq!((got.cpu_shares, got.cpu_quota, got.memory), (256, Some(150_000), Some(2 << 30)));
    assert_eq!(got.oom_score_adj, 875);
    assert_eq!(cgroup_parent(qos(&pod), "u"), "/kubepods/burstable/podu");
}

#[test]
fn a_pod_is_limited_only_when_all_its_containers_are() {
    let one = r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#;
    let whole = |resources: &[&str]| super::resources::of_pod(&with_resources(resources));
    assert_eq!(whole(&[one, one]).memory, Some(2 << 30));
    assert_eq!(whole(&[one, "{}"]).memory, None);
    assert_eq!(whole(&[one, one]).cpu_shares, 2048);
}

#[test]
fn sidecars_are_ended_after_those_they_serve() {
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"memory": "1Mi"}}});
    let main = json!({"name": "c", "resources": {"requests": {"memory": "512Mi"}}});
    let pod = pod(json!({"containers": [main], "initContainers": [sidecar]}));
    let init = &pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap()[0];
    assert_eq!(super::resources::oom_score_adj(&pod, init, 1 << 30), 500);
}

fn secret(auths: Value) -> Secret {
    let text = json!({"auths": auths}).to_string();
    serde_json::from_value(json!({"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64(&text)}}))
    .unwrap()
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn pull_secrets_match_by_host_and_path() {
    let entry = |name: &str| json!({"username": name, "password": "p"});
    let users = |places: &[&str], image: &str| -> Vec<String> {
        let auths: serde_json::Map<String, Value> =
            places.iter().map(|place| ((*place).to_owned(), entry(place))).collect();
        pull_secrets::pull_auths([&secret(auths.into())], image).into_iter().map(|auth| auth.username).collect()
    };
    for (places, image, wanted) in [
        (&["127.0.0.1:5000"][..], "127.0.0.1:5000/app:1", &["127.0.0.1:5000"][..]),
        (&["127.0.0.1:5000"], "127.0.0.1:5001/app", &[]),
        (&["https://r.example/v1/"], "r.example/a/b@sha256:0", &["https://r.example/v1/"]),
        (&["*.example", "r.example/a"], "r.example/a/b", &["r.example/a", "*.example"]),
        (&["*.example"], "r.s.example/a", &[]),
        (&["r.example/x"], "r.example/a", &[]),
        (&["https://index.docker.io/v1/"], "busybox", &["https://index.docker.io/v1/"]),
        (&["docker.io"], "user/app:2", &["docker.io"]),
        (&["https://index.docker.io/v1/"], "r.example/app", &[]),
        (&["localhost"], "localhost/app", &["localhost"]),
    ] {
        assert_eq!(users(places, image), wanted, "{places:?} for {image}");
    }
}

#[test]
fn both_formats_of_pull_secrets_are_read() {
    let text = json!({"r.example": {"auth": base64("me:pass:word")}}).to_string();
    let old: Secret = serde_json::from_value(json!({"metadata": {}, "type": "kubernetes.io/dockercfg",
        "data": {".dockercfg": base64(&text)}}))
    .unwrap();
    let found = pull_secrets::pull_auths([&old], "r.example/app");
    assert_eq!((found[0].username.as_str(), found[0].password.as_str()), ("me", "pass:word"));
    let broken: Secret = serde_json::from_value(json!({"metadata": {}, "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64("{")}}))
    .unwrap();
    assert!(pull_secrets::pull_auths([&broken], "r.example/app").is_empty());
}
