//! Tokens of service accounts: what they say is compared with the objects they are bound to, at every use.

use serde_json::Value;

use super::TokenError;
use crate::Identity;
use crate::registry::Registry;

/// Clocks differ, and what is being deleted still needs its token for a while: as kube-apiserver allows.
const LEEWAY: i64 = 60;

/// Prefix of keys in a user's extra.
const EXTRA: &str = "authentication.kubernetes.io/";

/// Those of the wanted audiences that a token is for.
pub fn audiences(claims: &Value, wanted: &[String]) -> Result<Vec<String>, TokenError> {
    let own: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let both: Vec<_> = wanted.iter().filter(|audience| own.contains(&audience.as_str())).cloned().collect();
    match both.is_empty() {
        true => {
            Err(TokenError::refused(format!("token audiences {own:?} is invalid for the target audiences {wanted:?}")))
        }
        false => Ok(both),
    }
}

/// Whom the claims of a genuine token name at `now`.
pub async fn identity(registry: &Registry, claims: &Value, now: i64) -> Result<Identity, TokenError> {
    check_time(claims, now)?;
    let own = &claims["kubernetes.io"];
    let namespace = text(&own["namespace"]);
    let account = Reference::read(&own["serviceaccount"]);
    check_account(registry, namespace, &account, now).await?;
    let mut identity = of_account(namespace, &account.name, &account.uid);
    let mut extra = |key: &str, value: &str| {
        identity.extra.insert(format!("{EXTRA}{key}"), vec![value.to_owned()]);
    };
    let bound = |kind: &str| own.get(kind).map(Reference::read);
    if let Some(secret) = bound("secret") {
        check_bound(registry, "secrets", namespace, &secret, now).await?;
    }
    if let Some(pod) = bound("pod") {
        check_bound(registry, "pods", namespace, &pod, now).await?;
        extra("pod-name", &pod.name);
        extra("pod-uid", &pod.uid);
    }
    if let Some(node) = bound("node") {
        // With a pod it only says where that runs; the pod is what it is bound to.
        if own.get("pod").is_none() {
            check_bound(registry, "nodes", "", &node, now).await?;
        }
        extra("node-name", &node.name);
        if !node.uid.is_empty() {
            extra("node-uid", &node.uid);
        }
    }
    if let Some(id) = claims["jti"].as_str() {
        extra("credential-id", &format!("JTI={id}"));
    }
    Ok(identity)
}

/// A service account as a user.
pub fn of_account(namespace: &str, name: &str, uid: &str) -> Identity {
    let local = format!("system:serviceaccounts:{namespace}");
    let mut identity = Identity::new(
        format!("{}{namespace}:{name}", super::super::rbac::ACCOUNT_PREFIX),
        &["system:serviceaccounts", &local],
    );
    identity.uid = uid.to_owned();
    identity
}

/// Refuses a token of an account that is not there, or not the one it was.
pub async fn check_account(
    registry: &Registry,
    namespace: &str,
    account: &Reference,
    now: i64,
) -> Result<(), TokenError> {
    let Some(found) = read(registry, "serviceaccounts", namespace, &account.name).await? else {
        return Err(TokenError::refused(format!("serviceaccounts \"{}\" not found", account.name)));
    };
    if gone(&found, now) {
        return Err(TokenError::refused(format!("service account {namespace}/{} has been deleted", account.name)));
    }
    let uid = text(&found["metadata"]["uid"]);
    match uid == account.uid {
        true => Ok(()),
        false => {
            Err(TokenError::refused(format!("service account UID ({uid}) does not match claim ({})", account.uid)))
        }
    }
}

async fn check_bound(
    registry: &Registry,
    plural: &str,
    namespace: &str,
    bound: &Reference,
    now: i64,
) -> Result<(), TokenError> {
    let found = read(registry, plural, namespace, &bound.name).await?.filter(|found| !gone(found, now));
    let Some(found) = found else { return Err(TokenError::refused("service account token has been invalidated")) };
    let uid = text(&found["metadata"]["uid"]);
    if uid == bound.uid {
        return Ok(());
    }
    let kind = plural.trim_end_matches('s');
    let why = format!("{kind} UID ({uid}) does not match service account {kind} ref claim ({})", bound.uid);
    Err(TokenError::refused(why))
}

/// An object of the core group.
pub async fn read(registry: &Registry, plural: &str, namespace: &str, name: &str) -> Result<Option<Value>, TokenError> {
    if name.is_empty() || (namespace.is_empty() && plural != "nodes") || name.contains('/') || namespace.contains('/') {
        return Ok(None);
    }
    let row = registry.row("", plural).map_err(TokenError::Unchecked)?;
    registry.get(&row, namespace, name).await.map_err(TokenError::Unchecked)
}

fn check_time(claims: &Value, now: i64) -> Result<(), TokenError> {
    let time = |claim: &str| claims[claim].as_f64().map(|seconds| seconds as i64);
    match time("exp") {
        None => return Err(TokenError::refused("service account token has no expiry")),
        Some(end) if now > end + LEEWAY => return Err(TokenError::refused("service account token has expired")),
        Some(_) => {}
    }
    match time("nbf").is_some_and(|begin| now + LEEWAY < begin) {
        true => Err(TokenError::refused("service account token is not valid yet")),
        false => Ok(()),
    }
}

fn gone(object: &Value, now: i64) -> bool {
    let deleted =
        object["metadata"]["deletionTimestamp"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    deleted.is_some_and(|time| time.as_second() < now - LEEWAY)
}

/// Name and uid of an object that a token is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub uid: String,
}

impl Reference {
    fn read(value: &Value) -> Reference {
        Reference { name: text(&value["name"]).to_owned(), uid: text(&value["uid"]).to_owned() }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
