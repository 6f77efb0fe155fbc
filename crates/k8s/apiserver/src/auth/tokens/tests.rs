//! Tokens of every kind: issued and accepted, and every way in which they are refused.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use k8s_store::{Expect, Options, Store, Write};
use serde_json::json;

use super::*;
use crate::Config;
use crate::allocate::Allocator;
use crate::catalog::Catalog;
use crate::pki::PkiConfig;
use crate::registry::Call;

struct World {
    registry: Registry,
    tokens: Tokens,
    now: Arc<std::sync::atomic::AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(std::sync::atomic::AtomicI64::new(1_900_000_000));
        let mut config = PkiConfig::new(folder.path(), &[]);
        let clock = now.clone();
        config.clock = Arc::new(move || {
            std::time::UNIX_EPOCH
                + std::time::Duration::from_secs(clock.load(std::sync::atomic::Ordering::SeqCst) as u64)
        });
        let pki = Pki::open_with(config).unwrap();
        let allocator = Allocator::new(&Config::new(folder.path())).unwrap();
        let registry = Registry::new(Store::in_memory(Options::default()), Catalog::default(), allocator);
        let tokens = Tokens::new(&registry, &pki, "cluster.local");
        let world = World { registry, tokens, now, _folder: folder };
        world.put("serviceaccounts", "ServiceAccount", "a", "robot", json!({})).await;
        world
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, std::sync::atomic::Ordering::SeqCst);
    }

    /// Stores an object whose uid is its name with `-uid`, unless `more` says otherwise.
    async fn put(&self, plural: &str, kind: &str, namespace: &str, name: &str, more: Value) {
        let mut object = json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "uid": format!("{name}-uid")},
        });
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        merge(&mut object, more);
        let row = self.registry.row("", plural).unwrap();
        let bytes = k8s_types::codec::encode_json(&object);
        let write = Write::put(row.key(namespace, name), Expect::Any, bytes);
        self.registry.store().write(write).await.unwrap();
    }

    async fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let key = self.registry.row("", plural).unwrap().key(namespace, name);
        self.registry.store().write(Write::delete(key, Expect::Any)).await.unwrap();
    }

    async fn issue(&self, spec: Value) -> Result<Value, String> {
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec});
        self.tokens.issue(&Call::internal(), "a", "robot", request).await.map_err(|error| error.message)
    }

    async fn token(&self, spec: Value) -> String {
        self.issue(spec).await.unwrap()["status"]["token"].as_str().unwrap().to_owned()
    }

    async fn refusal(&self, token: &str) -> String {
        self.tokens.accept(token, &[]).await.map(|accepted| accepted.identity).unwrap_err().to_string()
    }
}

fn merge(object: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        match value {
            Value::Object(_) if object[key].is_object() => merge(&mut object[key], value.clone()),
            _ => object[key] = value.clone(),
        }
    }
}

/// The same token with other claims or another header, signed by `sign`.
fn forged(token: &str, header: Option<Value>, change: impl Fn(&mut Value)) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    change(&mut claims);
    parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
    if let Some(header) = header {
        parts[0] = URL_SAFE_NO_PAD.encode(header.to_string());
    }
    parts.join(".")
}

#[tokio::test]
async fn an_issued_token_names_its_account() {
    let world = World::new().await;
    let request = world.issue(json!({"expirationSeconds": 3600})).await.unwrap();
    assert_eq!(request["status"]["expirationTimestamp"], "2030-03-17T18:46:40Z");
    assert_eq!(request["spec"]["audiences"], json!(["https://kubernetes.default.svc.cluster.local"]));
    let accepted = world.tokens.accept(request["status"]["token"].as_str().unwrap(), &[]).await.unwrap();
    let identity = accepted.identity;
    assert_eq!((identity.name.as_str(), identity.uid.as_str()), ("system:serviceaccount:a:robot", "robot-uid"));
    assert_eq!(identity.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    assert!(identity.extra["authentication.kubernetes.io/credential-id"][0].starts_with("JTI="));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let token = world.token(json!({})).await;
    let none = forged(&token, Some(json!({"alg": "none"})), |_| {});
    let bare = none.rsplit_once('.').unwrap().0.to_owned() + ".";
    let symmetric = forged(&token, Some(json!({"alg": "HS256", "kid": world.tokens.key().id()})), |_| {});
    let critical = forged(&token, Some(json!({"alg": "ES256", "crit": ["x"]})), |_| {});
    let renamed = forged(&token, None, |claims| claims["kubernetes.io"]["serviceaccount"]["name"] = "admin".into());
    let prolonged = forged(&token, None, |claims| claims["exp"] = 4_000_000_000_u64.into());
    let foreign = other.token(json!({})).await;
    let cut = token[..token.len() - 4].to_owned();
    for token in
        [none, bare, symmetric, critical, renamed, prolonged, foreign, cut, "x".into(), "a.b.c".into(), "..".into()]
    {
        assert_eq!(world.refusal(&token).await, "invalid bearer token", "{token}");
    }
    let long = format!("{}.{}", "a".repeat(40_000), token);
    assert_eq!(world.refusal(&long).await, "invalid bearer token");
}

#[tokio::test]
async fn a_genuine_token_of_another_issuer_is_refused() {
    let world = World::new().await;
    let claims = json!({"iss": "https://elsewhere", "aud": ["https://kubernetes.default.svc.cluster.local"], "exp": 4_000_000_000_u64});
    let token = jwt::sign(world.tokens.key(), &claims).unwrap();
    assert_eq!(world.refusal(&token).await, "invalid bearer token");
}

#[tokio::test]
async fn tokens_end_and_begin() {
    let world = World::new().await;
    let token = world.token(json!({"expirationSeconds": 600})).await;
    world.pass(659);
    assert!(world.tokens.accept(&token, &[]).await.is_ok());
    world.pass(2);
    assert_eq!(world.refusal(&token).await, "service account token has expired");
    world.pass(-1000);
    assert_eq!(world.refusal(&token).await, "service account token is not valid yet");
}

#[tokio::test]
async fn audiences_are_those_asked_for() {
    let world = World::new().await;
    let vault = world.token(json!({"audiences": ["vault", "other"]})).await;
    assert!(world.refusal(&vault).await.contains("is invalid for the target audiences"));
    let wanted = ["vault".to_owned(), "third".to_owned()];
    assert_eq!(world.tokens.accept(&vault, &wanted).await.unwrap().audiences, ["vault"]);
    let own = world.token(json!({})).await;
    assert!(world.tokens.accept(&own, &wanted).await.is_err());
}

#[tokio::test]
async fn a_token_dies_with_its_account() {
    let world = World::new().await;
    let token = world.token(json!({})).await;
    world.put("serviceaccounts", "ServiceAccount", "a", "robot", json!({"metadata": {"uid": "new"}})).await;
    assert_eq!(world.refusal(&token).await, "service account UID (new) does not match claim (robot-uid)");
    world.remove("serviceaccounts", "a", "robot").await;
    assert_eq!(world.refusal(&token).await, "serviceaccounts \"robot\" not found");
    assert_eq!(world.issue(json!({})).await.unwrap_err(), "serviceaccounts \"robot\" not found");
}

#[tokio::test]
async fn a_bound_token_dies_with_its_pod() {
    let world = World::new().await;
    let spec = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}});
    assert_eq!(world.issue(spec.clone()).await.unwrap_err(), "pods \"p\" not found");
    world.put("nodes", "Node", "", "n", json!({})).await;
    world.put("pods", "Pod", "a", "p", json!({"spec": {"serviceAccountName": "other"}})).await;
    let why = "cannot bind token for serviceaccount \"robot\" to pod running with serviceaccount \"other\"";
    assert_eq!(world.issue(spec.clone()).await.unwrap_err(), why);
    world.put("pods", "Pod", "a", "p", json!({"spec": {"serviceAccountName": "robot", "nodeName": "n"}})).await;
    let token = world.token(spec).await;
    let extra = world.tokens.accept(&token, &[]).await.unwrap().identity.extra;
    for (key, value) in [("pod-name", "p"), ("pod-uid", "p-uid"), ("node-name", "n"), ("node-uid", "n-uid")] {
        assert_eq!(extra[&format!("authentication.kubernetes.io/{key}")], [value]);
    }
    let ending =
        json!({"metadata": {"deletionTimestamp": "2030-03-17T17:46:39Z"}, "spec": {"serviceAccountName": "robot"}});
    world.put("pods", "Pod", "a", "p", ending).await;
    assert!(world.tokens.accept(&token, &[]).await.is_ok(), "what ends still needs its token");
    world.pass(62);
    assert_eq!(world.refusal(&token).await, "service account token has been invalidated");
    world.put("pods", "Pod", "a", "p", json!({"metadata": {"uid": "new"}})).await;
    assert_eq!(world.refusal(&token).await, "pod UID (new) does not match service account pod ref claim (p-uid)");
    world.remove("pods", "a", "p").await;
    assert_eq!(world.refusal(&token).await, "service account token has been invalidated");
}

#[tokio::test]
async fn tokens_are_bound_to_what_is_meant() {
    let world = World::new().await;
    world.put("secrets", "Secret", "a", "s", json!({})).await;
    let spec =
        |kind: &str, uid: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": "s", "uid": uid}});
    let why = "Operation cannot be fulfilled on Secret \"s\": the UID in the bound object reference (other) does not match \
               the UID in record (s-uid). The object might have been deleted and then recreated";
    assert_eq!(world.issue(spec("Secret", "other")).await.unwrap_err(), why);
    let why = "cannot bind token to object of type /v1, Kind=ConfigMap";
    assert_eq!(world.issue(spec("ConfigMap", "")).await.unwrap_err(), why);
    let token = world.token(spec("Secret", "s-uid")).await;
    assert!(world.tokens.accept(&token, &[]).await.is_ok());
    world.remove("secrets", "a", "s").await;
    assert_eq!(world.refusal(&token).await, "service account token has been invalidated");
}

#[tokio::test]
async fn injected_tokens_live_longer_than_they_say() {
    let world = World::new().await;
    let token = world.token(json!({"expirationSeconds": 3607})).await;
    world.pass(300 * 86_400);
    assert!(world.tokens.accept(&token, &[]).await.is_ok());
}

#[tokio::test]
async fn a_legacy_token_lives_as_long_as_its_secret_and_account() {
    let world = World::new().await;
    let annotations = json!({"kubernetes.io/service-account.name": "robot"});
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "s", "namespace": "a", "annotations": annotations},
    });
    world.tokens.fill_secret(&mut secret, "a", "s").await.unwrap();
    assert_eq!(secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"], "robot-uid");
    assert_eq!(secret["data"]["namespace"], STANDARD.encode("a"));
    let token = String::from_utf8(STANDARD.decode(secret["data"]["token"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(world.refusal(&token).await, "service account token has been invalidated");
    world.put("secrets", "Secret", "a", "s", secret.clone()).await;
    assert_eq!(world.tokens.accept(&token, &[]).await.unwrap().identity.name, "system:serviceaccount:a:robot");
    assert!(world.tokens.accept(&token, &["vault".to_owned()]).await.is_err());
    world.put("secrets", "Secret", "a", "s", json!({"data": {"token": STANDARD.encode("other")}})).await;
    assert_eq!(world.refusal(&token).await, "service account token does not match server's copy");
    world.put("secrets", "Secret", "a", "s", secret).await;
    world.remove("serviceaccounts", "a", "robot").await;
    assert!(world.refusal(&token).await.contains("not found"));
}

#[tokio::test]
async fn secrets_of_other_types_and_accounts_stay_as_they_are() {
    let world = World::new().await;
    for secret in [
        json!({"type": "Opaque", "metadata": {"annotations": {"kubernetes.io/service-account.name": "robot"}}}),
        json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"kubernetes.io/service-account.name": "nobody"}}}),
    ] {
        let mut filled = secret.clone();
        world.tokens.fill_secret(&mut filled, "a", "s").await.unwrap();
        assert_eq!(filled, secret);
    }
}

#[tokio::test]
async fn bootstrap_tokens_introduce_machines() {
    let world = World::new().await;
    let data = |pairs: &[(&str, &str)]| {
        let mut data = json!({
            "token-id": STANDARD.encode("abcdef"), "token-secret": STANDARD.encode("0123456789abcdef"),
            "usage-bootstrap-authentication": STANDARD.encode("true"),
        });
        for (key, value) in pairs {
            data[*key] = STANDARD.encode(value).into();
        }
        json!({"type": "bootstrap.kubernetes.io/token", "data": data})
    };
    let token = "abcdef.0123456789abcdef";
    assert_eq!(world.refusal(token).await, "invalid bearer token");
    let put = async |pairs: &[(&str, &str)]| {
        world.put("secrets", "Secret", "kube-system", "bootstrap-token-abcdef", data(pairs)).await;
    };
    put(&[("auth-extra-groups", "system:bootstrappers:kubeadm:nodes")]).await;
    let identity = world.tokens.accept(token, &[]).await.unwrap().identity;
    assert_eq!(identity.name, "system:bootstrap:abcdef");
    assert_eq!(identity.groups, ["system:bootstrappers", "system:bootstrappers:kubeadm:nodes", "system:authenticated"]);
    for pairs in [
        [("token-secret", "fedcba9876543210")],
        [("token-id", "other0")],
        [("usage-bootstrap-authentication", "false")],
        [("expiration", "2020-01-01T00:00:00Z")],
        [("auth-extra-groups", "system:masters")],
    ] {
        put(&pairs).await;
        assert_eq!(world.refusal(token).await, "invalid bearer token", "{pairs:?}");
    }
    put(&[("expiration", "2031-01-01T00:00:00Z")]).await;
    assert!(world.tokens.accept(token, &[]).await.is_ok());
}
