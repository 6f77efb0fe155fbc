//! How long a job waits after failures before it makes more pods.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::tally::Tally;
use crate::pods;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// Failures since the last success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    last: Option<Timestamp>,
}

impl Backoff {
    /// Takes in the pods that ended and were not counted before.
    pub fn learn(&mut self, tally: &Tally) {
        let failed = tally.new_failed.iter().map(|pod| (finished(pod), false));
        let succeeded = tally.new_succeeded.iter().map(|pod| (finished(pod), true));
        let mut ended: Vec<_> = failed.chain(succeeded).collect();
        ended.sort();
        for (time, success) in ended {
            (self.failures, self.last) = if success { (0, None) } else { (self.failures + 1, self.last.max(time)) };
        }
    }

    /// How long is still to be waited.
    pub fn left(&self, now: Timestamp) -> Duration {
        left(self.failures, self.last, now)
    }
}

/// After so many failures, the last of which was then.
pub fn left(failures: u32, last: Option<Timestamp>, now: Timestamp) -> Duration {
    let (Some(last), 1..) = (last, failures) else { return Duration::ZERO };
    let pause = FIRST.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST);
    let waited = now.duration_since(last).max(SignedDuration::ZERO);
    pause.saturating_sub(waited.try_into().unwrap_or(Duration::ZERO))
}

/// When a pod ended, as well as can be told.
pub fn finished(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref();
    let containers = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ended = containers.filter_map(|status| status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let ended = ended.map(|time| time.0).max();
    let unready = pods::condition(pod, "Ready").filter(|ready| ready.status == "False");
    let unready = unready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0);
    let deleted = pod.metadata.deletion_timestamp.as_ref().map(|time| {
        let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
        time.0.checked_sub(grace).unwrap_or(time.0)
    });
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    ended.or(unready).or(deleted).or(created)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let last: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |failures, seconds| left(failures, Some(last), last + SignedDuration::from_secs(seconds)).as_secs();
        assert_eq!((after(0, 0), after(1, 0), after(1, 4), after(1, 11)), (0, 10, 6, 0));
        assert_eq!((after(2, 0), after(4, 0), after(7, 0), after(100, 0)), (20, 80, 600, 600));
    }
}
