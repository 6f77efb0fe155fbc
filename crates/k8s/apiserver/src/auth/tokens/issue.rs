//! `serviceaccounts/token`: issues a token for a service account, bound to a pod, secret or node where that is asked for.

use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::{Map, Value, json};

use super::{Tokens, jwt, random_id};
use crate::admission::DryRun;
use crate::registry::Call;

/// What the kubelet and the service account admission ask for; such tokens live longer, since old clients read their
/// file once, and say when that should have ended.
const INJECTED_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 86_400;

impl Tokens {
    /// Answers a `TokenRequest`.
    pub async fn issue(&self, call: &Call, namespace: &str, name: &str, mut request: Value) -> Result<Value, ApiError> {
        let account = self.core("serviceaccounts", namespace, name).await?;
        check_names(&request, namespace, name, &account)?;
        if request["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
            request["spec"]["audiences"] = json!([self.issuer()]);
        }
        let mut own = json!({
            "namespace": namespace,
            "serviceaccount": { "name": name, "uid": account["metadata"]["uid"] },
        });
        self.bind(&mut own, &request["spec"]["boundObjectRef"], namespace, name).await?;
        let asked = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        let now = self.pki.now();
        let lifetime = match asked == INJECTED_SECONDS && request["spec"]["audiences"] == json!([self.issuer()]) {
            true => {
                own["warnafter"] = (now + asked).into();
                EXTENDED_SECONDS
            }
            false => asked,
        };
        let failed = || ApiError::internal("failed to generate token: no random numbers");
        let claims = json!({
            "iss": self.issuer(),
            "sub": format!("{}{namespace}:{name}", super::super::rbac::ACCOUNT_PREFIX),
            "aud": request["spec"]["audiences"],
            "iat": now, "nbf": now, "exp": now + lifetime,
            "jti": random_id().ok_or_else(failed)?,
            "kubernetes.io": own,
        });
        let token = match call.dry_run {
            DryRun::No => jwt::sign(self.key(), &claims).ok_or_else(failed)?,
            DryRun::All => String::new(),
        };
        let metadata = &mut request["metadata"];
        metadata["name"] = name.into();
        metadata["namespace"] = namespace.into();
        metadata["creationTimestamp"] = time(now).into();
        request["status"] = json!({ "token": token, "expirationTimestamp": time(now + asked) });
        Ok(request)
    }

    /// Adds the object a token is to be bound to.
    async fn bind(&self, own: &mut Value, bound: &Value, namespace: &str, account: &str) -> Result<(), ApiError> {
        if bound.is_null() {
            return Ok(());
        }
        let field = |field: &str| bound[field].as_str().unwrap_or_default();
        let (kind, name) = (field("kind"), field("name"));
        let object = match (field("apiVersion"), kind) {
            ("v1", "Pod") => {
                let pod = self.core("pods", namespace, name).await?;
                let runs_as = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
                if runs_as != account {
                    return Err(ApiError::bad_request(format!(
                        "cannot bind token for serviceaccount {account:?} to pod running with serviceaccount {runs_as:?}"
                    )));
                }
                if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
                    let found = self.registry.get(&self.registry.row("", "nodes")?, "", node).await?;
                    let mut reference = Map::from_iter([("name".to_owned(), node.into())]);
                    if let Some(found) = found {
                        reference.insert("uid".to_owned(), found["metadata"]["uid"].clone());
                    }
                    own["node"] = reference.into();
                }
                pod
            }
            ("v1", "Secret") => self.core("secrets", namespace, name).await?,
            ("v1", "Node") => self.core("nodes", "", name).await?,
            (version, kind) => {
                let (group, version) = version.split_once('/').unwrap_or(("", version));
                let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
                return Err(ApiError::bad_request(text));
            }
        };
        let (wanted, uid) = (field("uid"), object["metadata"]["uid"].as_str().unwrap_or_default());
        if !wanted.is_empty() && wanted != uid {
            return Err(ApiError::conflict(
                &GroupResource::new("", kind),
                name,
                format!(
                    "the UID in the bound object reference ({wanted}) does not match the UID in record ({uid}). \
                     The object might have been deleted and then recreated"
                ),
            ));
        }
        own[kind.to_lowercase()] = json!({ "name": name, "uid": uid });
        Ok(())
    }

    async fn core(&self, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
        let found = self.registry.get(&self.registry.row("", plural)?, namespace, name).await?;
        found.ok_or_else(|| ApiError::not_found(&GroupResource::new("", plural), name))
    }
}

fn check_names(request: &Value, namespace: &str, name: &str, account: &Value) -> Result<(), ApiError> {
    let own = |field: &str| request["metadata"][field].as_str().unwrap_or_default();
    if !own("name").is_empty() && own("name") != name {
        let text = format!("the name of the object ({}) does not match the name on the URL ({name})", own("name"));
        return Err(ApiError::bad_request(text));
    }
    if !own("namespace").is_empty() && own("namespace") != namespace {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(text));
    }
    let (wanted, uid) = (own("uid"), account["metadata"]["uid"].as_str().unwrap_or_default());
    if !wanted.is_empty() && wanted != uid {
        let text =
            format!("the UID in the token request ({wanted}) does not match the UID of the service account ({uid})");
        return Err(ApiError::conflict(&GroupResource::new("", "serviceaccounts"), name, text));
    }
    Ok(())
}

/// Seconds since 1970 as an API time.
fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
