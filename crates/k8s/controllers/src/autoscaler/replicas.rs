//! How many replicas a measured load asks for. Pods that are just starting and pods that nothing is known of make the answer more careful, never bolder.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_types::quantity::Quantity;
use kube::ResourceExt;

use super::usage::Usage;

/// Processor time that a pod uses while it starts says nothing.
const STARTING: SignedDuration = SignedDuration::from_secs(300);
/// A pod that was never ready for this long after its start is slow, not unready.
const FIRST_READY: SignedDuration = SignedDuration::from_secs(30);

/// What is wanted of each pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Percent of what it requests.
    Utilization(i64),
    /// So much, in thousandths.
    Average(i64),
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Measure<'a> {
    pub resource: &'a str,
    /// All of the pod's containers, or one.
    pub container: Option<&'a str>,
    pub goal: Goal,
}

/// How far from the goal nothing is done, above and below.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub up: f64,
    pub down: f64,
}

impl Tolerance {
    fn holds(self, ratio: f64) -> bool {
        ratio <= 1.0 + self.up && ratio >= 1.0 - self.down
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub replicas: i64,
    /// Percent of the requests, where that is the goal.
    pub utilization: Option<i64>,
    /// Of a pod, in thousandths.
    pub average: i64,
}

/// The number of replicas for a load; the error says what is missing.
pub fn answer(
    measure: Measure<'_>,
    pods: &[&Pod],
    usages: &HashMap<String, Usage>,
    current: i64,
    tolerance: Tolerance,
    now: Timestamp,
) -> Result<Answer, String> {
    let sorted = Sorted::new(measure, pods, usages, now);
    if sorted.ready.is_empty() {
        let kind = measure.resource;
        return Err(if usages.is_empty() {
            format!("unable to get metrics for resource {kind}: no metrics returned from resource metrics API")
        } else {
            "did not receive metrics for any ready pods".to_owned()
        });
    }
    let requests: HashMap<String, i64> = match measure.goal {
        Goal::Average(_) => HashMap::new(),
        Goal::Utilization(_) => {
            let all = pods.iter().map(|pod| Ok((pod.name_any(), request(measure, pod)?)));
            all.collect::<Result<_, String>>()?
        }
    };
    let (ratio, utilization, average) = ratio(measure.goal, &sorted.ready, &requests)?;
    let answer = |replicas| Ok(Answer { replicas, utilization, average });
    let up_with_unready = !sorted.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && sorted.missing.is_empty() {
        let count = sorted.ready.len() as f64;
        return answer(if tolerance.holds(ratio) { current } else { (ratio * count).ceil() as i64 });
    }
    let mut all = sorted.ready.clone();
    for name in &sorted.missing {
        // Whoever is silent uses nothing when there should be more pods, and all of it when there should be fewer.
        let assumed = match (ratio < 1.0, measure.goal) {
            (true, Goal::Utilization(percent)) => requests.get(name).copied().unwrap_or(0) * percent.max(100) / 100,
            (true, Goal::Average(amount)) => amount,
            (false, _) => 0,
        };
        all.insert(name.clone(), assumed);
    }
    if up_with_unready {
        all.extend(sorted.unready.iter().map(|name| (name.clone(), 0)));
    }
    let (careful, ..) = self::ratio(measure.goal, &all, &requests)?;
    let turned = ratio < 1.0 && careful > 1.0 || ratio > 1.0 && careful < 1.0;
    if tolerance.holds(careful) || turned {
        return answer(current);
    }
    let replicas = (careful * all.len() as f64).ceil() as i64;
    let against = careful < 1.0 && replicas > current || careful > 1.0 && replicas < current;
    answer(if against { current } else { replicas })
}

/// Usage by goal, the utilization, and what a pod uses on average.
fn ratio(
    goal: Goal,
    used: &HashMap<String, i64>,
    requests: &HashMap<String, i64>,
) -> Result<(f64, Option<i64>, i64), String> {
    let sum: i64 = used.values().sum();
    let average = sum / used.len().max(1) as i64;
    match goal {
        Goal::Average(amount) => Ok((average as f64 / amount.max(1) as f64, None, average)),
        Goal::Utilization(percent) => {
            let requested: i64 = used.keys().filter_map(|name| requests.get(name)).sum();
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let utilization = sum * 100 / requested;
            Ok((utilization as f64 / percent.max(1) as f64, Some(utilization), average))
        }
    }
}

/// What a pod requests, in thousandths.
fn request(measure: Measure<'_>, pod: &Pod) -> Result<i64, String> {
    let spec = pod.spec.as_ref();
    let sidecars = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.iter().flat_map(|spec| spec.containers.iter()).chain(sidecars);
    let wanted = |container: &&Container| measure.container.is_none_or(|name| container.name == name);
    let mut sum = None;
    for container in containers.filter(wanted) {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let Some(amount) = requests.and_then(|requests| requests.get(measure.resource)) else {
            let (resource, name) = (measure.resource, pod.name_any());
            return Err(format!("missing request for {resource} in container {} of Pod {name}", container.name));
        };
        sum = Some(sum.unwrap_or(0) + Quantity::parse(&amount.0).map_or(0, |quantity| quantity.milli_value()));
    }
    let container = measure.container.unwrap_or("");
    sum.ok_or_else(|| format!("container {container} is not present in Pod {}", pod.name_any()))
}

/// The pods by what their measurements are worth.
struct Sorted {
    ready: HashMap<String, i64>,
    unready: Vec<String>,
    missing: Vec<String>,
}

impl Sorted {
    fn new(measure: Measure<'_>, pods: &[&Pod], usages: &HashMap<String, Usage>, now: Timestamp) -> Sorted {
        let mut sorted = Sorted { ready: HashMap::new(), unready: Vec::new(), missing: Vec::new() };
        for pod in pods {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            if pod.metadata.deletion_timestamp.is_some() || phase == Some("Failed") {
                continue;
            }
            let usage = usages.get(&pod.name_any());
            let used = usage.and_then(|usage| Some((usage, usage.of(measure.resource, measure.container)?)));
            match used {
                _ if phase == Some("Pending") => sorted.unready.push(pod.name_any()),
                None => sorted.missing.push(pod.name_any()),
                Some((usage, _)) if measure.resource == "cpu" && is_starting(pod, usage, now) => {
                    sorted.unready.push(pod.name_any());
                }
                Some((_, amount)) => {
                    sorted.ready.insert(pod.name_any(), amount);
                }
            }
        }
        sorted
    }
}

/// Whether what a pod uses of the processor is still that of its start.
fn is_starting(pod: &Pod, usage: &Usage, now: Timestamp) -> bool {
    let status = pod.status.as_ref();
    let ready = status.and_then(|status| status.conditions.iter().flatten().find(|c| c.type_ == "Ready"));
    let started = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let (Some(ready), Some(started)) = (ready, started) else { return true };
    let changed = ready.last_transition_time.as_ref().map_or(started, |time| time.0);
    let unready = ready.status == "False";
    if started + STARTING > now {
        unready || usage.measured < changed + SignedDuration::from_secs(usage.window)
    } else {
        unready && started + FIRST_READY > changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    const HOUR: i64 = 3600;
    const EVEN: Tolerance = Tolerance { up: 0.1, down: 0.1 };

    fn pod(name: &str, age: i64, ready: bool) -> Pod {
        let at = |seconds: i64| Timestamp::from_second(10 * HOUR - seconds).unwrap();
        from_value(json!({"metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"phase": "Running", "startTime": at(age), "conditions": [
                {"type": "Ready", "status": if ready {"True"} else {"False"}, "lastTransitionTime": at(age)}]}}))
        .unwrap()
    }

    fn check(goal: Goal, pods: &[Pod], used: &[(&str, i64)], current: i64) -> Result<i64, String> {
        let now = Timestamp::from_second(10 * HOUR).unwrap();
        let usage = |milli: i64| Usage {
            measured: now,
            window: 15,
            containers: HashMap::from([("c".to_owned(), HashMap::from([("cpu".to_owned(), milli)]))]),
        };
        let usages = used.iter().map(|(name, milli)| ((*name).to_owned(), usage(*milli))).collect();
        let measure = Measure { resource: "cpu", container: None, goal };
        let pods: Vec<&Pod> = pods.iter().collect();
        answer(measure, &pods, &usages, current, EVEN, now).map(|answer| answer.replicas)
    }

    #[test]
    fn the_load_is_divided_so_that_each_pod_has_its_goal() {
        let pods = [pod("a", HOUR, true), pod("b", HOUR, true)];
        let half = Goal::Utilization(50);
        assert_eq!(check(half, &pods, &[("a", 1000), ("b", 1000)], 2), Ok(4));
        assert_eq!(check(half, &pods, &[("a", 100), ("b", 100)], 2), Ok(1));
        assert_eq!(check(half, &pods, &[("a", 540), ("b", 540)], 2), Ok(2), "within the tolerance");
        assert_eq!(check(Goal::Average(250), &pods, &[("a", 500), ("b", 500)], 2), Ok(4));
    }

    #[test]
    fn silent_and_new_pods_make_it_careful() {
        let pods = [pod("a", HOUR, true), pod("b", HOUR, true), pod("c", HOUR, true)];
        let half = Goal::Utilization(50);
        // One is silent: it is taken to use nothing on the way up, everything on the way down.
        assert_eq!(check(half, &pods, &[("a", 1000), ("b", 1000)], 3), Ok(4));
        assert_eq!(check(half, &pods, &[("a", 300), ("b", 300)], 3), Ok(3));
        // One is just starting: what it uses does not count.
        let new = [pod("a", HOUR, true), pod("b", HOUR, true), pod("c", 10, false)];
        assert_eq!(check(half, &new, &[("a", 1000), ("b", 1000), ("c", 1000)], 3), Ok(4));
        assert_eq!(check(half, &new, &[("a", 100), ("b", 100), ("c", 1000)], 3), Ok(1));
        assert!(check(half, &new[2..], &[("c", 1000)], 1).unwrap_err().contains("any ready pods"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut silent = pod("a", HOUR, true);
        assert!(
            check(Goal::Utilization(50), std::slice::from_ref(&silent), &[], 1)
                .unwrap_err()
                .contains("no metrics returned")
        );
        silent.spec.as_mut().unwrap().containers[0].resources = None;
        let why = check(Goal::Utilization(50), &[silent], &[("a", 1)], 1).unwrap_err();
        assert_eq!(why, "missing request for cpu in container c of Pod a");
    }
}
