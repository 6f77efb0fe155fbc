//! What a pod's failure means for its job, and when a job has succeeded before all its indexes have.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::Pod;

use super::indexes::Indexes;
use crate::owned::{name, namespace};
use crate::pods;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Count,
    /// It does not.
    Ignore,
    /// The index has failed, whatever it has left.
    FailIndex,
    /// The job has failed, and why.
    FailJob(String),
}

/// What the first rule says that is about this failure.
pub fn judge(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    for (index, rule) in rules.enumerate() {
        let Some(why) = matches(rule, pod) else { continue };
        match rule.action.as_str() {
            "Ignore" => return Verdict::Ignore,
            "Count" => return Verdict::Count,
            "FailIndex" if spec.backoff_limit_per_index.is_some() => return Verdict::FailIndex,
            "FailJob" => return Verdict::FailJob(format!("{why} matching FailJob rule at index {index}")),
            // An action of the future.
            _ => {}
        }
    }
    Verdict::Count
}

fn matches(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let (space, pod_name) = (namespace(&pod.metadata), name(&pod.metadata));
    if let Some(wanted) = &rule.on_exit_codes {
        let (container, code) = exit_code(wanted, pod)?;
        return Some(format!("Container {container} for pod {space}/{pod_name} failed with exit code {code}"));
    }
    let patterns = rule.on_pod_conditions.iter().flatten();
    let found = patterns.filter_map(|pattern| {
        pods::condition(pod, &pattern.type_)
            .filter(|condition| pattern.status.as_deref().unwrap_or("True") == condition.status)
    });
    let kind = found.map(|condition| condition.type_.as_str()).next()?;
    Some(format!("Pod {space}/{pod_name} has condition {kind}"))
}

fn exit_code<'a>(wanted: &PodFailurePolicyOnExitCodesRequirement, pod: &'a Pod) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let ended =
        all.filter_map(|status| Some((status.name.as_str(), status.state.as_ref()?.terminated.as_ref()?.exit_code)));
    let mut failed = ended.filter(|(container, code)| {
        *code != 0 && wanted.container_name.as_deref().is_none_or(|name| name == *container)
    });
    failed.find(|(_, code)| match wanted.operator.as_str() {
        "In" => wanted.values.contains(code),
        "NotIn" => !wanted.values.contains(code),
        _ => false,
    })
}

/// The rule that says that enough indexes have succeeded.
pub fn succeeded_early(spec: &JobSpec, succeeded: &Indexes) -> Option<String> {
    let rules = &spec.success_policy.as_ref()?.rules;
    let completions = spec.completions.unwrap_or(0);
    let at = rules.iter().position(|rule| {
        let of = rule.succeeded_indexes.as_ref().map(|text| Indexes::parse(text, completions));
        let (found, all) = match &of {
            Some(of) => (of.iter().filter(|index| succeeded.has(*index)).count() as i32, of.len()),
            None => (succeeded.len(), completions),
        };
        found >= rule.succeeded_count.unwrap_or(all) && found > 0
    })?;
    Some(format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(more: Value) -> JobSpec {
        let mut value = json!({"template": {}, "completions": 5, "backoffLimitPerIndex": 1});
        more.as_object().unwrap().iter().for_each(|(key, part)| value[key] = part.clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_first_rule_about_a_failure_decides() {
        let rules = json!([
            {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [7]}},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1]}},
        ]);
        let spec = spec(json!({"podFailurePolicy": {"rules": rules}}));
        let pod = |container: &str, code: i32, disrupted: bool| -> Pod {
            let state = json!({"terminated": {"exitCode": code}});
            let status = json!({"name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            let conditions =
                if disrupted { json!([{"type": "DisruptionTarget", "status": "True"}]) } else { json!([]) };
            let status = json!({"phase": "Failed", "containerStatuses": [status], "conditions": conditions});
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "status": status})).unwrap()
        };
        let why = "Container c for pod n/p failed with exit code 42 matching FailJob rule at index 0";
        assert_eq!(judge(&spec, &pod("c", 42, false)), Verdict::FailJob(why.to_owned()));
        assert_eq!(judge(&spec, &pod("d", 42, false)), Verdict::Count);
        assert_eq!(judge(&spec, &pod("c", 7, true)), Verdict::Ignore);
        assert_eq!(judge(&spec, &pod("c", 7, false)), Verdict::FailIndex);
        assert_eq!(judge(&spec, &pod("c", 1, false)), Verdict::Count);
    }

    #[test]
    fn enough_indexes_are_success() {
        let policy = |rule: Value| spec(json!({"successPolicy": {"rules": [rule]}}));
        let met = |rule: Value, done: &str| succeeded_early(&policy(rule), &Indexes::parse(done, 5)).is_some();
        assert!(met(json!({"succeededIndexes": "0,2"}), "0-2"));
        assert!(!met(json!({"succeededIndexes": "0,2"}), "0,1"));
        assert!(met(json!({"succeededIndexes": "0-4", "succeededCount": 2}), "3,4"));
        assert!(met(json!({"succeededCount": 1}), "3"));
        assert!(!met(json!({"succeededCount": 1}), ""));
        assert_eq!(succeeded_early(&spec(json!({})), &Indexes::parse("0-4", 5)), None);
    }
}
