//! Bootstrap tokens: secrets in kube-system by which a machine introduces itself before it has a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{TokenError, account, same};
use crate::Identity;
use crate::registry::Registry;

const NAMESPACE: &str = "kube-system";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// Id and secret of a token of the form `abcdef.0123456789abcdef`; `None` where it has another one.
pub fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret)).then_some((id, secret))
}

/// Whom a token names at `now`.
pub async fn identity(registry: &Registry, (id, secret): (&str, &str), now: i64) -> Result<Identity, TokenError> {
    let invalid = || TokenError::refused("invalid bearer token");
    let name = format!("bootstrap-token-{id}");
    let stored = account::read(registry, "secrets", NAMESPACE, &name).await?.ok_or_else(invalid)?;
    let usable = stored["metadata"]["deletionTimestamp"].is_null() && stored["type"] == SECRET_TYPE;
    if !usable || !same(data(&stored, "token-secret").as_bytes(), secret.as_bytes()) || data(&stored, "token-id") != id
    {
        return Err(invalid());
    }
    if expired(&data(&stored, "expiration"), now) || data(&stored, "usage-bootstrap-authentication") != "true" {
        return Err(invalid());
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in data(&stored, "auth-extra-groups").split(',').filter(|group| !group.is_empty()) {
        if !is_group(group) {
            tracing::warn!(secret = name, group, "bootstrap token with a group that it may not name");
            return Err(invalid());
        }
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }
    groups.sort();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    Ok(Identity::new(format!("system:bootstrap:{id}"), &groups))
}

/// No time means never, one that cannot be read means it did.
fn expired(time: &str, now: i64) -> bool {
    !time.is_empty() && time.parse::<jiff::Timestamp>().map_or(true, |time| time.as_second() <= now)
}

fn is_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=256).contains(&rest.len())
        && rest.bytes().all(|byte| plain(byte) || byte == b':' || byte == b'-')
        && rest.bytes().last().is_some_and(plain)
}

fn data(secret: &Value, key: &str) -> String {
    let bytes = secret["data"][key].as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_form_is_a_bootstrap_token() {
        assert_eq!(split("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for none in ["abcde.0123456789abcdef", "abcdef.0123456789abcde", "ABCDEF.0123456789abcdef", "abcdef0123456789"]
        {
            assert_eq!(split(none), None, "{none}");
        }
    }

    #[test]
    fn groups_are_below_the_bootstrappers() {
        for (group, want) in [
            ("system:bootstrappers:kubeadm:default-node-token", true),
            ("system:bootstrappers:", false),
            ("system:bootstrappers", false),
            ("system:bootstrappers:x-", false),
            ("system:masters", false),
        ] {
            assert_eq!(is_group(group), want, "{group}");
        }
    }

    #[test]
    fn an_unreadable_expiry_has_passed() {
        assert!(!expired("", 0) && !expired("2030-01-01T00:00:00Z", 0));
        assert!(expired("2020-01-01T00:00:00Z", 1_700_000_000) && expired("soon", 0));
    }
}
