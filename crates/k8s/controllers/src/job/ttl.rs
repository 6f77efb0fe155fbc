//! Jobs that are done are deleted after a while, where they say so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};

use super::status;
use crate::owned::{self, name, namespace};

/// How long a finished job is still kept; nothing if forever.
pub fn left(job: &Job, now: Timestamp) -> Option<Duration> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let left = SignedDuration::from_secs(seconds.into()) - now.duration_since(status::finished_at(job)?);
    Some(left.try_into().unwrap_or(Duration::ZERO))
}

/// Deletes it with its pods, unless it may live longer now.
pub async fn delete(client: &Client, job: &Job, now: Timestamp) -> kube::Result<()> {
    let api = Api::<Job>::namespaced(client.clone(), namespace(&job.metadata));
    let fresh = api.get_opt(name(&job.metadata)).await?;
    let due = fresh.filter(|fresh| fresh.metadata.uid == job.metadata.uid && left(fresh, now) == Some(Duration::ZERO));
    let Some(due) = due else { return Ok(()) };
    let only = Preconditions { uid: due.metadata.uid.clone(), resource_version: due.metadata.resource_version.clone() };
    let deletion = DeleteParams::foreground().preconditions(only);
    owned::absent(api.delete(name(&due.metadata), &deletion).await).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_time_counts_from_the_end() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let job = |ttl: Option<i32>, end: Option<&str>| -> Job {
            let conditions = end.map(|end| json!([{"type": "Failed", "status": "True", "lastTransitionTime": end}]));
            let spec = json!({"template": {}, "ttlSecondsAfterFinished": ttl});
            serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": {"conditions": conditions}})).unwrap()
        };
        assert_eq!(left(&job(Some(90), Some("2026-01-01T00:00:00Z")), now), Some(Duration::from_secs(30)));
        assert_eq!(left(&job(Some(0), Some("2026-01-01T00:00:00Z")), now), Some(Duration::ZERO));
        assert_eq!(left(&job(None, Some("2026-01-01T00:00:00Z")), now), None);
        assert_eq!(left(&job(Some(0), None), now), None);
    }
}
