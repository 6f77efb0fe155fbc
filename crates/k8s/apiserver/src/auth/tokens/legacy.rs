//! Tokens that do not expire, kept in secrets of type `kubernetes.io/service-account-token`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::account::{self, Reference};
use super::{TokenError, Tokens, jwt, same};
use crate::Identity;
use crate::registry::Registry;

/// Who issues them.
pub const ISSUER: &str = "kubernetes/serviceaccount";
/// The type of their secrets.
pub const SECRET_TYPE: &str = "kubernetes.io/service-account-token";

/// Annotation of secrets: the account's name.
pub const NAME: &str = "kubernetes.io/service-account.name";
/// Annotation of secrets: the account's uid.
pub const UID: &str = "kubernetes.io/service-account.uid";

/// Whom a genuine token names. It holds as long as its secret does.
pub async fn identity(registry: &Registry, claims: &Value, token: &str) -> Result<Identity, TokenError> {
    let claim = |name: &str| claims[format!("kubernetes.io/serviceaccount/{name}")].as_str().unwrap_or_default();
    let (namespace, secret) = (claim("namespace"), claim("secret.name"));
    let account =
        Reference { name: claim("service-account.name").to_owned(), uid: claim("service-account.uid").to_owned() };
    for (what, value) in [
        ("namespace", namespace),
        ("secretName", secret),
        ("serviceAccountName", &account.name),
        ("serviceAccountUID", &account.uid),
    ] {
        if value.is_empty() {
            return Err(TokenError::refused(format!("{what} claim is missing")));
        }
    }
    if claims["sub"] != format!("system:serviceaccount:{namespace}:{}", account.name) {
        return Err(TokenError::refused("sub claim is invalid"));
    }
    let stored = account::read(registry, "secrets", namespace, secret).await?;
    let stored = stored.filter(|secret| secret["metadata"]["deletionTimestamp"].is_null());
    let kept = stored.as_ref().and_then(|secret| STANDARD.decode(secret["data"]["token"].as_str()?).ok());
    match kept {
        None => return Err(TokenError::refused("service account token has been invalidated")),
        Some(kept) if !same(&kept, token.as_bytes()) => {
            return Err(TokenError::refused("service account token does not match server's copy"));
        }
        Some(_) => {}
    }
    // Deleted accounts take their tokens along at once.
    account::check_account(registry, namespace, &account, i64::MAX / 2).await?;
    Ok(account::of_account(namespace, &account.name, &account.uid))
}

impl Tokens {
    /// Fills in a secret of this type, when its account is there: token, authority, namespace and the account's uid.
    /// What it has already stays.
    pub async fn fill_secret(&self, secret: &mut Value, namespace: &str, name: &str) -> Result<(), TokenError> {
        if secret["type"] != SECRET_TYPE {
            return Ok(());
        }
        let annotation = |key: &str| secret["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        let (account, uid) = (annotation(NAME), annotation(UID));
        let Some(found) = account::read(&self.registry, "serviceaccounts", namespace, &account).await? else {
            return Ok(());
        };
        let own = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if !uid.is_empty() && uid != own {
            return Ok(());
        }
        if secret["data"]["token"].as_str().is_none_or(str::is_empty) && !name.is_empty() {
            let claims = json!({
                "iss": ISSUER,
                "sub": format!("system:serviceaccount:{namespace}:{account}"),
                "kubernetes.io/serviceaccount/namespace": namespace,
                "kubernetes.io/serviceaccount/secret.name": name,
                "kubernetes.io/serviceaccount/service-account.name": account,
                "kubernetes.io/serviceaccount/service-account.uid": own,
            });
            let token = jwt::sign(self.key(), &claims)
                .ok_or_else(|| TokenError::refused("failed to generate token: no random numbers"))?;
            secret["data"]["token"] = STANDARD.encode(token).into();
        }
        secret["metadata"]["annotations"][UID] = own.into();
        secret["data"]["ca.crt"] = STANDARD.encode(self.pki.authority_pem()).into();
        secret["data"]["namespace"] = STANDARD.encode(namespace).into();
        Ok(())
    }
}
