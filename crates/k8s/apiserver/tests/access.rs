//! Who may what, as clients meet it: rights, impersonation, reviews, tokens, certificates.

mod world;

use std::time::Duration;

use k8s_apiserver::Identity;
use serde_json::{Value, json};
use world::World;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": rules})
}

fn binding(kind: &str, name: &str, role: (&str, &str), user: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}

fn pods(verbs: &[&str]) -> Value {
    json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}])
}

/// Asks until the answer has this code: rights take effect a moment after they are written.
async fn until(world: &World, path: &str, code: u16) -> Value {
    for _ in 0..100 {
        let answer = world.ask("GET", path, Value::Null).await;
        if answer.code == code {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never answered {code}");
}

async fn as_user(world: &mut World, user: &str) {
    world.identity = Identity::new(user, &[]);
}

async fn as_admin(world: &mut World) {
    world.identity = Identity::new("tester", &["system:masters"]);
}

#[tokio::test]
async fn rights_come_and_go_with_their_binding() {
    let mut world = World::new().await;
    let path = "/api/v1/namespaces/default/pods";
    as_user(&mut world, "u").await;
    let text =
        "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!(world.ask("GET", path, Value::Null).await.refusal(), (403, text.to_owned()));
    let text = "pods \"x\" is forbidden: User \"u\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!(world.ask("GET", &format!("{path}/x"), Value::Null).await.refusal(), (403, text.to_owned()));
    let text = "nodes is forbidden: User \"u\" cannot list resource \"nodes\" in API group \"\" at the cluster scope";
    assert_eq!(world.ask("GET", "/api/v1/nodes", Value::Null).await.refusal(), (403, text.to_owned()));
    let text = "forbidden: User \"u\" cannot get path \"/metrics\"";
    assert_eq!(world.ask("GET", "/metrics", Value::Null).await.refusal(), (403, text.to_owned()));
    as_admin(&mut world).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    world.ask("POST", &roles, role("Role", "r", pods(&["list"]))).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    world.ask("POST", &bindings, binding("RoleBinding", "b", ("Role", "r"), "u")).await.expect(201);
    as_user(&mut world, "u").await;
    until(&world, path, 200).await;
    assert_eq!(world.ask("GET", "/api/v1/namespaces/kube-system/pods", Value::Null).await.code, 403);
    assert_eq!(world.ask("GET", "/api/v1/pods", Value::Null).await.code, 403);
    as_admin(&mut world).await;
    world.ask("DELETE", &format!("{bindings}/b"), Value::Null).await.expect(200);
    as_user(&mut world, "u").await;
    until(&world, path, 403).await;
}

#[tokio::test]
async fn nobody_in_particular_sees_health_and_version_only() {
    let mut world = World::new().await;
    world.identity = Identity::anonymous();
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(world.ask("GET", path, Value::Null).await.code, 200, "{path}");
    }
    for path in ["/api", "/apis", "/openapi/v2", "/metrics", "/api/v1/namespaces", "/openid/v1/jwks"] {
        assert_eq!(world.ask("GET", path, Value::Null).await.code, 403, "{path}");
    }
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"});
    assert_eq!(world.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await.code, 403);
}

#[tokio::test]
async fn nobody_grants_what_they_lack_by_any_verb() {
    let mut world = World::new().await;
    let cluster = format!("{RBAC}/clusterrolebindings");
    world.ask("POST", &cluster, binding("ClusterRoleBinding", "a", ("ClusterRole", "admin"), "u")).await.expect(201);
    as_user(&mut world, "u").await;
    until(&world, "/api/v1/namespaces/default/pods", 200).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    world.ask("POST", &roles, role("Role", "r", pods(&["get"]))).await.expect(201);
    let nodes = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]);
    let lacks = "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}";
    let (code, text) = world.ask("POST", &roles, role("Role", "x", nodes.clone())).await.refusal();
    assert!(code == 403 && text.ends_with(lacks), "{text}");
    let (code, text) = world.ask("PUT", &format!("{roles}/r"), role("Role", "r", nodes.clone())).await.refusal();
    assert!(code == 403 && text.ends_with(lacks), "{text}");
    for kind in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
        let patch = json!({"rules": nodes});
        let answer = world.ask_as("PATCH", &format!("{roles}/r"), &[("content-type", kind)], patch).await;
        assert_eq!(answer.code, 403, "{kind}");
    }
    let apply = [("content-type", "application/apply-patch+yaml")];
    let answer =
        world.ask_as("PATCH", &format!("{roles}/new?fieldManager=m"), &apply, role("Role", "new", nodes)).await;
    assert_eq!(answer.code, 403, "{:?}", answer.json());
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let to = |role: &str| binding("RoleBinding", role, ("ClusterRole", role), "v");
    world.ask("POST", &bindings, to("view")).await.expect(201);
    assert_eq!(world.ask("POST", &bindings, to("cluster-admin")).await.code, 403);
    let (code, text) = world.ask("POST", &bindings, to("none")).await.refusal();
    assert_eq!((code, text.as_str()), (404, "clusterroles.rbac.authorization.k8s.io \"none\" not found"));
}

#[tokio::test]
async fn aggregated_roles_follow_their_parts() {
    let world = World::new().await;
    let roles = format!("{RBAC}/clusterroles");
    let mut part = role("ClusterRole", "part", pods(&["get"]));
    part["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true", "to": "whole"});
    world.ask("POST", &roles, part).await.expect(201);
    let mut whole = role("ClusterRole", "whole", json!([]));
    whole["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "whole"}}]});
    world.ask("POST", &roles, whole).await.expect(201);
    let rules = async |wanted: Value| {
        for _ in 0..100 {
            let found = world.ask("GET", &format!("{roles}/whole"), Value::Null).await.expect(200);
            if found["rules"] == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the rules never became {wanted}");
    };
    rules(pods(&["get"])).await;
    let patch = json!({"rules": pods(&["get", "list"])});
    let kind = [("content-type", "application/merge-patch+json")];
    world.ask_as("PATCH", &format!("{roles}/part"), &kind, patch).await.expect(200);
    rules(pods(&["get", "list"])).await;
}

#[tokio::test]
async fn acting_as_others_needs_the_right_to() {
    let mut world = World::new().await;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"});
    let headers = [("content-type", "application/json"), ("impersonate-user", "bob"), ("impersonate-group", "dev")];
    let answer = world.ask_as("POST", path, &headers, review.clone()).await.expect(201);
    assert_eq!(answer["status"]["userInfo"], json!({"username": "bob", "groups": ["dev", "system:authenticated"]}));
    as_user(&mut world, "u").await;
    let text = "users \"bob\" is forbidden: User \"u\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    assert_eq!(world.ask_as("POST", path, &headers, review.clone()).await.refusal(), (403, text.to_owned()));
    let alone = [("content-type", "application/json"), ("impersonate-group", "system:masters")];
    assert_eq!(world.ask_as("POST", path, &alone, review).await.code, 400);
}

#[tokio::test]
async fn reviews_answer_as_requests_would() {
    let world = World::new().await;
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let ask = async |spec: Value| {
        let review = json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec});
        world.ask("POST", path, review).await
    };
    let get = json!({"verb": "get", "resource": "pods", "namespace": "a"});
    let answer = ask(json!({"user": "u", "resourceAttributes": get})).await.expect(201);
    assert_eq!(answer["status"], json!({"allowed": false}));
    let answer = ask(json!({"user": "u", "groups": ["system:masters"], "resourceAttributes": get})).await.expect(201);
    assert_eq!(answer["status"]["allowed"], true);
    let version = json!({"verb": "get", "path": "/version"});
    let answer = ask(json!({"groups": ["system:unauthenticated"], "nonResourceAttributes": version})).await.expect(201);
    assert_eq!(answer["status"]["allowed"], true);
    for spec in [json!({"user": "u"}), json!({"resourceAttributes": get})] {
        assert_eq!(ask(spec).await.code, 422);
    }
    let rules =
        json!({"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "spec": {"namespace": "a"}});
    let answer = world.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules).await.expect(201);
    assert_eq!(answer["status"]["incomplete"], false);
    let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert!(answer["status"]["resourceRules"].as_array().unwrap().contains(&all));
}

#[tokio::test]
async fn tokens_are_issued_and_reviewed() {
    let world = World::new().await;
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "robot"}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    world.ask("POST", accounts, account).await.expect(201);
    let request = |spec: Value| json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec});
    let path = format!("{accounts}/robot/token");
    let issued = world.ask("POST", &path, request(json!({"audiences": ["vault"]}))).await.expect(201);
    let token = issued["status"]["token"].as_str().unwrap();
    let review = json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token, "audiences": ["vault"]},
    });
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = world.ask("POST", reviews, review.clone()).await.expect(201);
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:robot");
    let mut foreign = review.clone();
    foreign["spec"]["audiences"] = json!(["other"]);
    let answer = world.ask("POST", reviews, foreign).await.expect(201);
    assert!(answer["status"]["authenticated"].is_null() && answer["status"]["error"].is_string());
    assert_eq!(world.ask("POST", &path, request(json!({"expirationSeconds": 60}))).await.code, 422);
    let nobody = format!("{accounts}/nobody/token");
    assert_eq!(world.ask("POST", &nobody, request(json!({}))).await.code, 404);
    world.ask("DELETE", &format!("{accounts}/robot"), Value::Null).await.expect(200);
    let answer = world.ask("POST", reviews, review).await.expect(201);
    assert_eq!(answer["status"]["error"], "serviceaccounts \"robot\" not found");
}

fn certificate_request(common_name: &str, organization: &str, signer: &str, usages: &[&str]) -> Value {
    use base64::Engine as _;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "request"},
        "spec": {
            "request": base64::engine::general_purpose::STANDARD.encode(pem), "signerName": signer, "usages": usages,
            "username": "forged",
        },
    })
}

/// Waits until the request's status has what is wanted.
async fn settled(world: &World, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..150 {
        let found = world.ask("GET", &format!("{REQUESTS}/request"), Value::Null).await.expect(200);
        if wanted(&found["status"]) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the request never came to what was waited for");
}

async fn approve(world: &World) -> world::Answer {
    let mut request = world.ask("GET", &format!("{REQUESTS}/request"), Value::Null).await.expect(200);
    request["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "Test"}]});
    world.ask("PUT", &format!("{REQUESTS}/request/approval"), request).await
}

#[tokio::test]
async fn approved_requests_are_signed() {
    let mut world = World::new().await;
    let request = certificate_request("alice", "dev", "kubernetes.io/kube-apiserver-client", &["client auth"]);
    let made = world.ask("POST", REQUESTS, request).await.expect(201);
    assert_eq!(made["spec"]["username"], "tester", "what the client says of itself does not count");
    let rule = json!([{"apiGroups": ["certificates.k8s.io"], "resources": ["*"], "verbs": ["get", "update"]}]);
    world.ask("POST", &format!("{RBAC}/clusterroles"), role("ClusterRole", "r", rule)).await.expect(201);
    let bindings = format!("{RBAC}/clusterrolebindings");
    world.ask("POST", &bindings, binding("ClusterRoleBinding", "b", ("ClusterRole", "r"), "u")).await.expect(201);
    as_user(&mut world, "u").await;
    until(&world, &format!("{REQUESTS}/request"), 200).await;
    let text = "certificatesigningrequests.certificates.k8s.io \"request\" is forbidden: user not permitted to approve requests \
                with signerName \"kubernetes.io/kube-apiserver-client\"";
    assert_eq!(approve(&world).await.refusal(), (403, text.to_owned()));
    as_admin(&mut world).await;
    approve(&world).await.expect(200);
    let signed = settled(&world, |status| status["certificate"].is_string()).await;
    assert_eq!(signed["status"]["conditions"][0]["type"], "Approved");
}

#[tokio::test]
async fn requests_that_a_signer_does_not_take_fail() {
    let world = World::new().await;
    let request = certificate_request("alice", "dev", "kubernetes.io/kube-apiserver-client", &["server auth"]);
    world.ask("POST", REQUESTS, request).await.expect(201);
    approve(&world).await.expect(200);
    let failed = settled(&world, |status| status["conditions"].as_array().is_some_and(|c| c.len() == 2)).await;
    assert_eq!(failed["status"]["conditions"][1]["message"], "invalid usage for client certificate: server auth");
}

#[tokio::test]
async fn kubelets_are_approved_by_themselves() {
    let mut world = World::new().await;
    let role = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient";
    let bindings = format!("{RBAC}/clusterrolebindings");
    let to = |role: &str, name: &str| binding("ClusterRoleBinding", name, ("ClusterRole", role), "system:node:a");
    world.ask("POST", &bindings, to(role, "1")).await.expect(201);
    world.ask("POST", &bindings, to("system:node-bootstrapper", "2")).await.expect(201);
    world.identity = Identity::new("system:node:a", &["system:nodes"]);
    until(&world, REQUESTS, 200).await;
    let signer = "kubernetes.io/kube-apiserver-client-kubelet";
    let request = certificate_request("system:node:a", "system:nodes", signer, &["client auth", "digital signature"]);
    world.ask("POST", REQUESTS, request).await.expect(201);
    let signed = settled(&world, |status| status["certificate"].is_string()).await;
    assert_eq!(signed["status"]["conditions"][0]["reason"], "AutoApproved");
}

#[tokio::test]
async fn nobody_asks_for_the_masters() {
    let world = World::new().await;
    let request = certificate_request("me", "system:masters", "kubernetes.io/kube-apiserver-client", &["client auth"]);
    let (code, text) = world.ask("POST", REQUESTS, request).await.refusal();
    assert!(code == 403 && text.contains("with system:masters group is not allowed"), "{text}");
}

#[tokio::test]
async fn secrets_of_accounts_get_their_token() {
    let world = World::new().await;
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "robot"}});
    world.ask("POST", "/api/v1/namespaces/default/serviceaccounts", account).await.expect(201);
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    });
    let made = world.ask("POST", "/api/v1/namespaces/default/secrets", secret).await.expect(201);
    assert!(made["data"]["token"].is_string() && made["data"]["ca.crt"].is_string(), "{made}");
}

#[tokio::test]
async fn token_secrets_follow_their_account() {
    let world = World::new().await;
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "late"}},
    });
    let secrets = "/api/v1/namespaces/default/secrets";
    let made = world.ask("POST", secrets, secret).await.expect(201);
    assert!(made["data"]["token"].is_null());
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "late"}});
    world.ask("POST", accounts, account).await.expect(201);
    for _ in 0..100 {
        if world.ask("GET", &format!("{secrets}/s"), Value::Null).await.json()["data"]["token"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let filled = world.ask("GET", &format!("{secrets}/s"), Value::Null).await.expect(200);
    assert!(filled["data"]["token"].is_string(), "{filled}");
    world.ask("DELETE", &format!("{accounts}/late"), Value::Null).await.expect(200);
    until(&world, &format!("{secrets}/s"), 404).await;
}
