//! How far and how fast the number of replicas may change: policies over periods, and waiting for the load to stay.

use std::collections::VecDeque;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};
use tokio::time::Instant;

/// Longer than any period or window may be.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What was wanted and done before.
#[derive(Debug, Default)]
pub struct Past {
    /// What the metrics proposed.
    proposals: VecDeque<(Instant, i64)>,
    /// By how much it was changed.
    changes: VecDeque<(Instant, i64)>,
}

/// Rules of one direction.
#[derive(Debug)]
struct Rules {
    window: Duration,
    policies: Vec<HPAScalingPolicy>,
    select: Select,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Select {
    Most,
    Least,
    Never,
}

impl Rules {
    fn new(rules: Option<&HPAScalingRules>, window: u64, default: &[(&str, i32)]) -> Rules {
        let default = || default.iter().map(|(kind, value)| policy(kind, *value)).collect();
        let given = rules.and_then(|rules| rules.policies.clone()).filter(|policies| !policies.is_empty());
        let seconds = rules.and_then(|rules| rules.stabilization_window_seconds);
        Rules {
            window: Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(window)),
            policies: given.unwrap_or_else(default),
            select: match rules.and_then(|rules| rules.select_policy.as_deref()) {
                Some("Min") => Select::Least,
                Some("Disabled") => Select::Never,
                _ => Select::Most,
            },
        }
    }

    fn up(behavior: Option<&HorizontalPodAutoscalerBehavior>) -> Rules {
        Rules::new(behavior.and_then(|b| b.scale_up.as_ref()), 0, &[("Pods", 4), ("Percent", 100)])
    }

    fn down(behavior: Option<&HorizontalPodAutoscalerBehavior>) -> Rules {
        Rules::new(behavior.and_then(|b| b.scale_down.as_ref()), 300, &[("Percent", 100)])
    }
}

fn policy(kind: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy { type_: kind.to_owned(), value, period_seconds: 15 }
}

/// The number that may be had now, and why it is not the one that was proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub replicas: i64,
    /// Reason and message of the condition ScalingLimited, where it is True.
    pub limited: Option<(&'static str, &'static str)>,
    /// Whether it waits for the load to stay.
    pub stabilized: Option<(&'static str, &'static str)>,
}

impl Past {
    /// What the number was changed by.
    pub fn changed(&mut self, by: i64, now: Instant) {
        self.changes.push_back((now, by));
    }

    /// Limits what is proposed; remembers the proposal.
    pub fn allow(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        current: i64,
        proposed: i64,
        (least, most): (i64, i64),
        now: Instant,
    ) -> Allowed {
        for past in [&mut self.proposals, &mut self.changes] {
            while past.front().is_some_and(|(at, _)| *at + REMEMBERED < now) {
                past.pop_front();
            }
        }
        let (up, down) = (Rules::up(behavior), Rules::down(behavior));
        let stable = self.stabilize(&up, &down, current, proposed, now);
        self.proposals.push_back((now, proposed));
        let stabilized = match (stable < proposed, stable > proposed) {
            (true, _) => Some((
                "ScaleUpStabilized",
                "recent recommendations were lower than current one, applying the lowest recent recommendation",
            )),
            (_, true) => Some((
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            )),
            _ => None,
        };
        let (replicas, limited) = if stable > current {
            let bound = self.bound_up(&up, current, now);
            match stable.min(bound).min(most) {
                found if found == stable => (found, None),
                found if most <= bound => (
                    found,
                    Some(("TooManyReplicas", "the desired replica count is more than the maximum replica count")),
                ),
                found => (
                    found.max(current),
                    Some((
                        "ScaleUpLimit",
                        "the desired replica count is increasing faster than the maximum scale rate",
                    )),
                ),
            }
        } else if stable < current {
            let bound = self.bound_down(&down, current, now);
            match stable.max(bound).max(least) {
                found if found == stable => (found, None),
                found if least >= bound => (
                    found,
                    Some(("TooFewReplicas", "the desired replica count is less than the minimum replica count")),
                ),
                found => (
                    found.min(current),
                    Some((
                        "ScaleDownLimit",
                        "the desired replica count is decreasing faster than the maximum scale rate",
                    )),
                ),
            }
        } else {
            (stable, None)
        };
        Allowed { replicas: replicas.clamp(least.min(most), most), limited, stabilized }
    }

    /// Up as far as all proposals of its window, down as far as all of its window.
    fn stabilize(&self, up: &Rules, down: &Rules, current: i64, proposed: i64, now: Instant) -> i64 {
        let recent = |window: Duration| {
            self.proposals.iter().filter(move |(at, _)| *at + window > now).map(|(_, proposal)| *proposal)
        };
        let lowest = recent(up.window).chain([proposed]).min().unwrap_or(proposed);
        let highest = recent(down.window).chain([proposed]).max().unwrap_or(proposed);
        let mut stable = current;
        stable = stable.max(lowest);
        stable.min(highest)
    }

    /// By how much it was changed in this direction within a period.
    fn changed_within(&self, seconds: i32, now: Instant, up: bool) -> i64 {
        let period = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let within = self.changes.iter().filter(|(at, by)| *at + period > now && (*by > 0) == up);
        within.map(|(_, by)| by.abs()).sum()
    }

    fn bound_up(&self, rules: &Rules, current: i64, now: Instant) -> i64 {
        let bound = |policy: &HPAScalingPolicy| {
            let before = current - self.changed_within(policy.period_seconds, now, true);
            match policy.type_.as_str() {
                "Percent" => (before as f64 * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i64,
                _ => before + i64::from(policy.value),
            }
        };
        let bounds = rules.policies.iter().map(bound);
        match rules.select {
            Select::Never => current,
            Select::Most => bounds.max().unwrap_or(current),
            Select::Least => bounds.min().unwrap_or(current),
        }
    }

    fn bound_down(&self, rules: &Rules, current: i64, now: Instant) -> i64 {
        let bound = |policy: &HPAScalingPolicy| {
            let before = current + self.changed_within(policy.period_seconds, now, false);
            match policy.type_.as_str() {
                "Percent" => (before as f64 * (1.0 - f64::from(policy.value) / 100.0)) as i64,
                _ => before - i64::from(policy.value),
            }
        };
        let bounds = rules.policies.iter().map(bound);
        match rules.select {
            Select::Never => current,
            Select::Most => bounds.min().unwrap_or(current),
            Select::Least => bounds.max().unwrap_or(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn up_at_once_but_not_too_far_down_when_the_load_stays_away() {
        let (mut past, start) = (Past::default(), Instant::now());
        let up = past.allow(None, 1, 50, (1, 100), start);
        assert_eq!((up.replicas, up.limited.unwrap().0), (5, "ScaleUpLimit"));
        past.changed(4, start);
        assert_eq!(past.allow(None, 5, 50, (1, 100), start + seconds(15)).replicas, 10);
        past.changed(5, start + seconds(15));
        let down = past.allow(None, 10, 1, (2, 100), start + seconds(30));
        assert_eq!((down.replicas, down.stabilized.unwrap().0), (10, "ScaleDownStabilized"));
        let down = past.allow(None, 10, 1, (2, 100), start + seconds(400));
        assert_eq!((down.replicas, down.limited.unwrap().0), (2, "TooFewReplicas"));
        assert_eq!(past.allow(None, 10, 50, (2, 12), start + seconds(800)).limited.unwrap().0, "TooManyReplicas");
    }

    #[tokio::test]
    async fn policies_bound_what_happens_in_their_periods() {
        let check = |behavior: Value, current, proposed, changed: i64| {
            let behavior: HorizontalPodAutoscalerBehavior = from_value(behavior).unwrap();
            let (mut past, now) = (Past::default(), Instant::now());
            past.changed(changed, now);
            past.allow(Some(&behavior), current, proposed, (1, 100), now + seconds(1)).replicas
        };
        let down = |policies: Value, select: &str| json!({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": policies, "selectPolicy": select}});
        let one = json!([{"type": "Pods", "value": 1, "periodSeconds": 60}]);
        assert_eq!(check(down(one.clone(), "Max"), 10, 1, 0), 9);
        assert_eq!(check(down(one.clone(), "Max"), 9, 1, -1), 9, "one has gone already");
        assert_eq!(check(down(one, "Disabled"), 10, 1, 0), 10);
        let two = json!([{"type": "Pods", "value": 1, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]);
        assert_eq!(check(down(two.clone(), "Max"), 10, 1, 0), 5);
        assert_eq!(check(down(two, "Min"), 10, 1, 0), 9);
        let up = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}});
        assert_eq!(check(up, 10, 50, 0), 12);
    }
}
