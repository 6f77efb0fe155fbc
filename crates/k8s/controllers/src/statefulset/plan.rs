//! Which pods of a stateful set are made and deleted next.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::deployment::plan::{Round, share};

/// What a set wants.
#[derive(Debug, Clone)]
pub struct Wish {
    pub start: i32,
    pub replicas: i32,
    /// One pod after the other.
    pub ordered: bool,
    pub update: Update,
    /// The revision of pods that are not to be updated yet.
    pub current: String,
    /// The revision of the template.
    pub newest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    OnDelete,
    /// Pods from this ordinal on, so many at a time.
    Rolling {
        partition: i32,
        unavailable: i32,
    },
}

/// A pod that is there.
#[derive(Debug, Clone)]
pub struct Seen {
    pub ordinal: i32,
    pub revision: String,
    pub ended: bool,
    pub terminating: bool,
    /// It runs and has been ready for long enough.
    pub available: bool,
}

impl Seen {
    fn healthy(&self) -> bool {
        self.available && !self.terminating
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Make { ordinal: i32, revision: String },
    Delete { ordinal: i32 },
}

impl Wish {
    pub fn of(set: &StatefulSet, current: &str, newest: &str) -> Wish {
        let replicas = set.spec.replicas.unwrap_or(1);
        let strategy = set.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let update = match strategy.and_then(|strategy| strategy.type_.as_deref()) {
            Some("OnDelete") => Update::OnDelete,
            _ => Update::Rolling {
                partition: rolling.and_then(|rolling| rolling.partition).unwrap_or(0),
                unavailable: unavailable.map_or(1, |_| share(unavailable, replicas, Round::Up)).max(1),
            },
        };
        Wish {
            start: set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0),
            replicas,
            ordered: set.spec.pod_management_policy.as_deref() != Some("Parallel"),
            update,
            current: current.to_owned(),
            newest: newest.to_owned(),
        }
    }

    pub fn wants(&self, ordinal: i32) -> bool {
        (self.start..self.start + self.replicas).contains(&ordinal)
    }

    /// The revision that a pod which is made now gets.
    fn revision(&self, ordinal: i32) -> &str {
        match self.update {
            Update::Rolling { partition, .. } if ordinal < self.start + partition => &self.current,
            _ => &self.newest,
        }
    }
}

/// The next steps; they may be taken at the same time.
pub fn steps(wish: &Wish, pods: &[Seen]) -> Vec<Step> {
    let there: BTreeMap<i32, &Seen> = pods.iter().map(|pod| (pod.ordinal, pod)).collect();
    let mut steps = Vec::new();
    for ordinal in wish.start..wish.start + wish.replicas {
        let settled = one(wish, ordinal, there.get(&ordinal).copied(), &mut steps);
        if wish.ordered && !settled {
            return steps;
        }
    }
    if !superfluous(wish, &there, &mut steps) || !steps.is_empty() {
        return steps;
    }
    update(wish, &there, &mut steps);
    steps
}

/// One pod that is wanted; whether those after it may be looked at.
fn one(wish: &Wish, ordinal: i32, pod: Option<&Seen>, steps: &mut Vec<Step>) -> bool {
    match pod {
        None => {
            steps.push(Step::Make { ordinal, revision: wish.revision(ordinal).to_owned() });
            false
        }
        Some(pod) if pod.ended => {
            if !pod.terminating {
                steps.push(Step::Delete { ordinal });
            }
            false
        }
        Some(pod) => pod.healthy(),
    }
}

/// Pods beyond those wanted, the last first; whether none of them has to be waited for.
fn superfluous(wish: &Wish, there: &BTreeMap<i32, &Seen>, steps: &mut Vec<Step>) -> bool {
    let condemned: Vec<&Seen> = there.values().copied().filter(|pod| !wish.wants(pod.ordinal)).rev().collect();
    let sick = there.values().find(|pod| !pod.healthy()).map(|pod| pod.ordinal);
    for pod in &condemned {
        if pod.terminating {
            if wish.ordered {
                return false;
            }
            continue;
        }
        // One that does not run waits for those before it, unless it is the first that is ill.
        if wish.ordered && !pod.available && sick != Some(pod.ordinal) {
            return false;
        }
        steps.push(Step::Delete { ordinal: pod.ordinal });
        if wish.ordered {
            return false;
        }
    }
    true
}

/// Pods of an old revision, the last first, as many as may be missing at a time.
fn update(wish: &Wish, there: &BTreeMap<i32, &Seen>, steps: &mut Vec<Step>) {
    let Update::Rolling { partition, unavailable } = wish.update else { return };
    let mut left = unavailable;
    let updated = there.range(wish.start + partition..).rev().filter(|(ordinal, _)| wish.wants(**ordinal));
    for (ordinal, pod) in updated {
        if pod.revision != wish.newest && !pod.terminating {
            steps.push(Step::Delete { ordinal: *ordinal });
            left -= 1;
        } else if !pod.healthy() {
            left -= 1;
        }
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(replicas: i32, ordered: bool) -> Wish {
        let update = Update::Rolling { partition: 0, unavailable: 1 };
        Wish { start: 0, replicas, ordered, update, current: "a".to_owned(), newest: "b".to_owned() }
    }

    /// `0b`: available of revision b; `0b-`: not available; `0b!`: terminating; `0bx`: ended.
    fn pods(text: &str) -> Vec<Seen> {
        let pods = text.split_whitespace().map(|word| Seen {
            ordinal: word[..1].parse().unwrap(),
            revision: word[1..2].to_owned(),
            ended: word.ends_with('x'),
            terminating: word.ends_with('!'),
            available: word.len() == 2,
        });
        pods.collect()
    }

    fn said(wish: &Wish, text: &str) -> String {
        let steps = steps(wish, &pods(text)).into_iter().map(|step| match step {
            Step::Make { ordinal, revision } => format!("+{ordinal}{revision}"),
            Step::Delete { ordinal } => format!("-{ordinal}"),
        });
        steps.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pods_come_and_go_in_order() {
        let three = wish(3, true);
        for (there, next) in [
            ("", "+0b"),
            ("0b-", ""),
            ("0b", "+1b"),
            ("0b 1bx", "-1"),
            ("0b 2b", "+1b"),
            ("0b! 1b 2b", ""),
            ("0b 1b 2b", ""),
            ("0b 1b 2b 3b 4b", "-4"),
            ("0b 1b 2b 3b 4b!", ""),
            ("0b 1b 2b 3b- 4b-", ""),
            ("0b 1b 2b 3b 4b-", "-4"),
            ("0b 1b- 2b 3b", ""),
        ] {
            assert_eq!(said(&three, there), next, "{there}");
        }
        assert_eq!(said(&Wish { start: 5, ..wish(2, true) }, "5b 0b"), "+6b");
    }

    #[test]
    fn pods_come_and_go_at_once() {
        let three = wish(3, false);
        for (there, next) in [("", "+0b +1b +2b"), ("1b- 3b 4b!", "+0b +2b -3"), ("0b 1b 2b", ""), ("0bx 1b 2b", "-0")]
        {
            assert_eq!(said(&three, there), next, "{there}");
        }
    }

    #[test]
    fn updates_go_from_the_last_to_the_partition() {
        let update =
            |partition, unavailable| Wish { update: Update::Rolling { partition, unavailable }, ..wish(3, true) };
        for (wish, there, next) in [
            (update(0, 1), "0a 1a 2a", "-2"),
            (update(0, 1), "0a 1a 2b-", ""),
            (update(0, 1), "0a 1a 2b", "-1"),
            (update(0, 2), "0a 1a 2a", "-2 -1"),
            (update(0, 2), "0a 1b 2b", "-0"),
            (update(2, 1), "0a 1a 2b", ""),
            (update(2, 1), "0a 2b", "+1a"),
            (update(2, 1), "0a 1a", "+2b"),
            (Wish { update: Update::OnDelete, ..wish(3, true) }, "0a 1a 2a", ""),
            (Wish { update: Update::OnDelete, ..wish(3, true) }, "0a 1a", "+2b"),
            (Wish { ordered: false, ..update(0, 1) }, "0a 1a 2a", "-2"),
        ] {
            assert_eq!(said(&wish, there), next, "{wish:?} {there}");
        }
    }
}
