//! How many pods each set of a deployment should have.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a deployment allows, in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub replicas: i32,
    /// More than wanted, at most.
    pub surge: i32,
    /// Fewer available than wanted, at most.
    pub unavailable: i32,
}

/// A set as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    pub wanted: i32,
    pub available: i32,
    /// The most pods the deployment allowed when the set was last scaled.
    pub most_before: Option<i32>,
    /// Smaller is older.
    pub age: (Option<jiff::Timestamp>, String),
}

/// Of a number or a percentage.
pub enum Round {
    Up,
    Down,
}

/// A number of pods, or a percentage of all.
pub fn share(value: Option<&IntOrString>, of: i32, round: Round) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or(0);
            let product = percent * i64::from(of);
            let rounded = match round {
                Round::Up => (product + 99).div_euclid(100),
                Round::Down => product.div_euclid(100),
            };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

impl Limits {
    /// Both may not be nothing, or nothing would ever change.
    pub fn rolling(replicas: i32, surge: Option<&IntOrString>, unavailable: Option<&IntOrString>) -> Limits {
        let surge = share(surge, replicas, Round::Up).max(0);
        let unavailable = share(unavailable, replicas, Round::Down).max(0);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Limits { replicas, surge, unavailable: unavailable.min(replicas) }
    }

    /// All at once.
    pub fn recreating(replicas: i32) -> Limits {
        Limits { replicas, surge: 0, unavailable: 0 }
    }

    pub fn most(self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    pub fn fewest_available(self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// How many pods the new set should have when all sets together want `total`.
pub fn grow(limits: Limits, new: &Size, total: i32) -> i32 {
    if new.wanted >= limits.replicas {
        return limits.replicas;
    }
    let room = (limits.most() - total).max(0);
    new.wanted + room.min(limits.replicas - new.wanted)
}

/// How many pods the old sets should have: first go those that are not available anyway, then as many as may be missed.
pub fn shrink(limits: Limits, new: &Size, old: &[Size]) -> Vec<i32> {
    let mut next: Vec<i32> = old.iter().map(|set| set.wanted).collect();
    let total = new.wanted + next.iter().sum::<i32>();
    let mut spare = total - limits.fewest_available() - (new.wanted - new.available);
    if spare <= 0 {
        return next;
    }
    let mut by_age: Vec<usize> = (0..old.len()).collect();
    by_age.sort_by(|a, b| old[*a].age.cmp(&old[*b].age));
    for &at in &by_age {
        let sick = (next[at] - old[at].available).clamp(0, spare);
        next[at] -= sick;
        spare -= sick;
    }
    let available = new.available + old.iter().map(|set| set.available).sum::<i32>();
    let mut spare = (available - limits.fewest_available()).max(0);
    for &at in &by_age {
        let less = next[at].min(spare);
        next[at] -= less;
        spare -= less;
    }
    next
}

/// A deployment that is scaled in the middle of a rollout: what comes or goes is shared among its sets by their sizes. `told`: the pods its status counts.
pub fn proportion(limits: Limits, sets: &[Size], told: i32) -> Vec<i32> {
    let mut next: Vec<i32> = sets.iter().map(|set| set.wanted).collect();
    let allowed = if limits.replicas > 0 { limits.most() } else { 0 };
    let change = allowed - next.iter().sum::<i32>();
    if change == 0 {
        return next;
    }
    let mut order: Vec<usize> = (0..sets.len()).collect();
    // The largest first; among equals the newer where pods come, the older where they go.
    order.sort_by(|a, b| {
        let (a, b) = (&sets[*a], &sets[*b]);
        let age = if change > 0 { b.age.cmp(&a.age) } else { a.age.cmp(&b.age) };
        b.wanted.cmp(&a.wanted).then(age)
    });
    let mut done = 0;
    for &at in &order {
        let part = part(limits, &sets[at], told);
        let rest = change - done;
        let part = if change > 0 { part.min(rest) } else { part.max(rest) };
        let part = if sets[at].wanted == 0 || rest == 0 { 0 } else { part };
        next[at] += part;
        done += part;
    }
    if let Some(&first) = order.first() {
        next[first] = (next[first] + change - done).max(0);
    }
    next
}

fn part(limits: Limits, set: &Size, told: i32) -> i32 {
    if limits.replicas == 0 {
        return -set.wanted;
    }
    let before = set.most_before.unwrap_or(told).max(1);
    let size = f64::from(set.wanted) * f64::from(limits.most()) / f64::from(before);
    size.round() as i32 - set.wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(wanted: i32, available: i32, age: &str) -> Size {
        Size { wanted, available, most_before: None, age: (None, age.to_owned()) }
    }

    #[test]
    fn shares_are_rounded_so_that_a_rollout_can_go_on() {
        let percent = |text: &str| Some(IntOrString::String(text.to_owned()));
        let rolling = |replicas, surge: &str, unavailable: &str| {
            let limits = Limits::rolling(replicas, percent(surge).as_ref(), percent(unavailable).as_ref());
            (limits.surge, limits.unavailable)
        };
        assert_eq!(rolling(10, "25%", "25%"), (3, 2));
        assert_eq!(rolling(1, "25%", "25%"), (1, 0));
        assert_eq!(rolling(3, "0%", "0%"), (0, 1));
        assert_eq!(rolling(3, "0%", "10%"), (0, 1));
        assert_eq!(rolling(2, "0%", "200%"), (0, 2));
        let two = IntOrString::Int(2);
        assert_eq!(Limits::rolling(5, Some(&two), Some(&two)), Limits { replicas: 5, surge: 2, unavailable: 2 });
    }

    #[test]
    fn a_rollout_adds_within_the_surge_and_takes_what_may_be_missed() {
        let limits = |replicas, surge, unavailable| Limits { replicas, surge, unavailable };
        // (limits, new, old) -> what new grows to, what old shrink to
        let cases = [
            (limits(3, 1, 0), size(0, 0, "n"), vec![size(3, 3, "a")], 1, vec![3]),
            (limits(3, 1, 0), size(1, 1, "n"), vec![size(3, 3, "a")], 1, vec![2]),
            (limits(3, 1, 0), size(1, 0, "n"), vec![size(3, 3, "a")], 1, vec![3]),
            (limits(3, 1, 0), size(1, 1, "n"), vec![size(2, 2, "a")], 2, vec![2]),
            (limits(4, 0, 2), size(0, 0, "n"), vec![size(4, 4, "a")], 0, vec![2]),
            (limits(4, 0, 2), size(0, 0, "n"), vec![size(2, 2, "a")], 2, vec![2]),
            // What does not run is replaced at once, the older set first.
            (limits(4, 1, 1), size(1, 0, "n"), vec![size(2, 0, "b"), size(2, 2, "a")], 1, vec![1, 2]),
            (limits(3, 1, 1), size(3, 3, "n"), vec![size(1, 1, "a")], 3, vec![0]),
            (limits(3, 1, 1), size(5, 3, "n"), vec![], 3, vec![]),
        ];
        for (limits, new, old, grown, shrunk) in cases {
            let total = new.wanted + old.iter().map(|set| set.wanted).sum::<i32>();
            assert_eq!(grow(limits, &new, total), grown, "{limits:?} {new:?} {old:?}");
            assert_eq!(shrink(limits, &new, &old), shrunk, "{limits:?} {new:?} {old:?}");
        }
    }

    #[test]
    fn scaling_in_a_rollout_is_shared_by_size() {
        let limits = |replicas, surge| Limits { replicas, surge, unavailable: 2 };
        let set = |wanted, most, age: &str| Size { most_before: Some(most), ..size(wanted, wanted, age) };
        let cases = [
            (limits(20, 0), vec![set(10, 10, "a")], vec![20]),
            (limits(30, 3), vec![set(8, 13, "a"), set(5, 13, "b")], vec![20, 13]),
            (limits(5, 0), vec![set(5, 10, "a"), set(5, 10, "b")], vec![2, 3]),
            (limits(0, 3), vec![set(8, 13, "a"), set(5, 13, "b")], vec![0, 0]),
            (limits(11, 0), vec![set(5, 10, "a"), set(5, 10, "b")], vec![5, 6]),
        ];
        for (limits, sets, next) in cases {
            assert_eq!(proportion(limits, &sets, 0), next, "{limits:?} {sets:?}");
        }
    }
}
