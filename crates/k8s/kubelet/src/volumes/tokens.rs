//! Tokens of service accounts: asked for, kept, and asked for again before they end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};

use super::error::Fault;
use super::payload::TokenWish;

/// However long it holds, a token is not used for longer than this.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// The next attempt is after this long at the soonest.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// What time it is.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    /// Returns when that time has come.
    fn until(&self, time: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The node's own clock.
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn until(&self, time: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // In short steps: the clock may jump, and a sleep does not count while the node sleeps.
            while let Ok(left) = Duration::try_from(time.duration_since(Timestamp::now())) {
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            }
        })
    }
}

/// Tokens by pod; a cheap handle.
#[derive(Clone)]
pub struct Tokens {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<HashMap<String, HashMap<TokenWish, Kept>>>>,
}

#[derive(Clone)]
struct Kept {
    token: String,
    expires: Timestamp,
    renew: Timestamp,
}

impl Tokens {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Tokens {
        Tokens { client, clock, kept: Arc::default() }
    }

    /// A token for a pod's service account that is bound to the pod, and when it is to be replaced. A token that is due but cannot be had again is used until it ends.
    ///
    /// # Errors
    /// When there is none that holds.
    pub async fn get(&self, pod: &Pod, wish: &TokenWish) -> Result<(String, Timestamp), Fault> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let now = self.clock.now();
        let kept = self.lock().get(&uid).and_then(|all| all.get(wish)).cloned();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.renew) {
            return Ok((kept.token.clone(), kept.renew));
        }
        match self.request(pod, wish).await {
            Ok(new) => {
                let answer = (new.token.clone(), new.renew);
                self.lock().entry(uid).or_default().insert(wish.clone(), new);
                Ok(answer)
            }
            Err(error) => match kept.filter(|kept| now < kept.expires) {
                Some(kept) => {
                    tracing::warn!(%error, "a token cannot be renewed yet");
                    Ok((kept.token, now.checked_add(AGAIN).unwrap_or(now)))
                }
                None => Err(error),
            },
        }
    }

    /// Forgets those of a pod.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<TokenWish, Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request(&self, pod: &Pod, wish: &TokenWish) -> Result<Kept, Fault> {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.as_deref()).filter(|name| !name.is_empty());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: wish.audience.clone().map(|audience| vec![audience]),
                expiration_seconds: Some(wish.seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: meta.name.clone(),
                    uid: meta.uid.clone(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), meta.namespace.as_deref().unwrap_or_default());
        let asked = api.create_token_request(account.unwrap_or("default"), &PostParams::default(), &request).await;
        let status = asked.map_err(|error| Fault::Token(error.to_string()))?.status.unwrap_or_default();
        let (Some(token), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err(Fault::Token("the answer has no token".to_owned()));
        };
        let expires = expires.0;
        let renew = renewal(expires, wish.seconds, self.clock.now());
        Ok(Kept { token, expires, renew })
    }
}

/// After 80 % of its life, and after a day at the latest. Never at once: the server's clock may be far behind.
fn renewal(expires: Timestamp, seconds: i64, now: Timestamp) -> Timestamp {
    let life = SignedDuration::from_secs(seconds);
    let due = expires.checked_sub(life / 5).unwrap_or(expires);
    let after = |span| now.checked_add(span).unwrap_or(due);
    due.min(after(LONGEST)).max(after(AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_after_four_fifths_of_their_life_or_a_day() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-01-01T00:00:00Z");
        assert_eq!(renewal(time("2026-01-01T00:10:00Z"), 600, now), time("2026-01-01T00:08:00Z"));
        assert_eq!(renewal(time("2026-01-11T00:00:00Z"), 864_000, now), time("2026-01-02T00:00:00Z"));
        assert_eq!(renewal(time("2025-12-31T00:00:00Z"), 600, now), time("2026-01-01T00:01:00Z"));
    }
}
