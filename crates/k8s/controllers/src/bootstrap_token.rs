//! Deletes bootstrap tokens when they have expired.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::{Client, ResourceExt};

use k8s_client::follow::{self, Event, Meta};
use k8s_client::queue::Queue;

const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const EXPIRATION: &str = "expiration";

/// Runs until dropped.
pub async fn run(client: Client) {
    let queue: Queue<String> = Queue::default();
    let meta = Api::<Meta<Secret>>::namespaced(client.clone(), NAMESPACE);
    let api = Api::<Secret>::namespaced(client, NAMESPACE);
    tokio::join!(
        follow::objects(meta, follow::config().fields(&format!("type={TYPE}")), |event| {
            if let Event::Apply(secret) | Event::InitApply(secret) = event {
                queue.add(secret.name_any());
            }
        }),
        queue.clone().work("bootstrap-token-cleaner", 1, |name| clean(api.clone(), queue.clone(), name)),
    );
}

async fn clean(api: Api<Secret>, queue: Queue<String>, name: String) -> kube::Result<()> {
    let Some(secret) = api.get_opt(&name).await? else { return Ok(()) };
    let Some(left) = left(&secret, Timestamp::now()) else { return Ok(()) };
    if !left.is_zero() {
        queue.add_after(name, left);
        return Ok(());
    }
    let only = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
    crate::ignore_absent(api.delete(&name, &DeleteParams::default().preconditions(only)).await)
}

/// How long the token still holds; nothing if it does not expire.
fn left(secret: &Secret, now: Timestamp) -> Option<Duration> {
    let text = secret.data.as_ref()?.get(EXPIRATION)?;
    let end: Timestamp = std::str::from_utf8(&text.0).ok()?.parse().ok()?;
    Some(end.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn what_is_left_is_counted_from_now() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let secret = |text: &str| {
            let data = [(EXPIRATION.to_owned(), ByteString(text.as_bytes().to_vec()))].into();
            Secret { data: Some(data), ..Secret::default() }
        };
        assert_eq!(left(&secret("2026-01-01T00:01:00Z"), now), Some(Duration::from_secs(60)));
        assert_eq!(left(&secret("2025-01-01T00:00:00Z"), now), Some(Duration::ZERO));
        assert_eq!(left(&secret("soon"), now), None);
        assert_eq!(left(&Secret::default(), now), None);
    }
}
