//! Flow control objects that every cluster has: priority levels, and which requests go to which.

use serde_json::{Value, json};

/// Objects with this set to `false` are left alone, if they are not mandatory.
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// A flow schema or priority level.
pub struct Wanted {
    /// `flowschemas` or `prioritylevelconfigurations`.
    pub plural: &'static str,
    /// Whatever somebody wrote there is undone.
    pub mandatory: bool,
    /// The object.
    pub object: Value,
}

/// All of them, priority levels first.
pub fn defaults() -> Vec<Wanted> {
    let mut wanted = levels();
    wanted.extend(schemas());
    wanted
}

/// The object to be written where `existing` is not what is wanted; `None` where nothing is to be done.
pub fn reconcile(existing: &Value, wanted: &Wanted) -> Option<Value> {
    let annotation = existing["metadata"]["annotations"][AUTOUPDATE].as_str();
    let ours = match annotation {
        Some(text) => text == "true",
        None => existing["metadata"]["generation"] == 1,
    };
    if existing["spec"] == wanted.object["spec"] || !(ours || wanted.mandatory) {
        return None;
    }
    let mut result = existing.clone();
    result["spec"] = wanted.object["spec"].clone();
    Some(result)
}

/// The status of a flow schema whose priority level is there.
pub fn schema_status(schema: &Value) -> Value {
    let level = schema["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap_or_default();
    json!({ "conditions": [{
        "type": "Dangling", "status": "False", "reason": "Found",
        "lastTransitionTime": schema["metadata"]["creationTimestamp"],
        "message": format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists"),
    }] })
}

fn levels() -> Vec<Wanted> {
    // name, shares, lendable percent, then queues, hand size and length of a queue
    let queued = [
        ("system", 30, 33, (64, 6, 50)),
        ("node-high", 40, 25, (64, 6, 50)),
        ("leader-election", 10, 0, (16, 4, 50)),
        ("workload-high", 40, 50, (128, 6, 50)),
        ("workload-low", 100, 90, (128, 6, 50)),
        ("global-default", 20, 50, (128, 6, 50)),
    ];
    let exempt = json!({ "type": "Exempt", "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 } });
    let rest = limited(5, 0, json!({ "type": "Reject" }));
    let mut levels = vec![level("exempt", true, exempt), level("catch-all", true, rest)];
    levels.extend(queued.into_iter().map(|(name, shares, lendable, (queues, hand, length))| {
        let queuing = json!({ "queues": queues, "handSize": hand, "queueLengthLimit": length });
        level(name, false, limited(shares, lendable, json!({ "type": "Queue", "queuing": queuing })))
    }));
    levels
}

fn limited(shares: i32, lendable: i32, response: Value) -> Value {
    json!({ "type": "Limited", "limited": {
        "nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response,
    } })
}

fn level(name: &str, mandatory: bool, spec: Value) -> Wanted {
    object("prioritylevelconfigurations", "PriorityLevelConfiguration", name, mandatory, spec)
}

fn schemas() -> Vec<Wanted> {
    let group = |name: &str| json!({ "kind": "Group", "group": { "name": name } });
    let user = |name: &str| json!({ "kind": "User", "user": { "name": name } });
    let account = json!({ "kind": "ServiceAccount", "serviceAccount": { "name": "*", "namespace": "kube-system" } });
    let (masters, nodes) = (vec![group("system:masters")], vec![group("system:nodes")]);
    let everybody = vec![group("system:unauthenticated"), group("system:authenticated")];
    let manager = vec![user("system:kube-controller-manager")];
    let scheduler = vec![user("system:kube-scheduler")];
    let electing = vec![manager[0].clone(), scheduler[0].clone(), account.clone()];
    let leases = resources(&["get", "create", "update"], "coordination.k8s.io", &["leases"], false);
    let all_leases = resources(&["*"], "coordination.k8s.io", &["leases"], false);
    let node_health = vec![resources(&["*"], "", &["nodes", "nodes/status"], true), all_leases];
    let health = paths(&["get"], &["/healthz", "/readyz", "/livez"]);
    let (user_flow, namespace_flow) = (Some("ByUser"), Some("ByNamespace"));
    vec![
        schema("exempt", "exempt", 1, None, everything(masters)),
        schema("probes", "exempt", 2, None, rules(everybody.clone(), vec![], vec![health])),
        schema("system-leader-election", "leader-election", 100, user_flow, rules(electing, vec![leases], vec![])),
        schema("system-node-high", "node-high", 400, user_flow, rules(nodes.clone(), node_health, vec![])),
        schema("system-nodes", "system", 500, user_flow, everything(nodes)),
        schema("kube-controller-manager", "workload-high", 800, namespace_flow, everything(manager)),
        schema("kube-scheduler", "workload-high", 800, namespace_flow, everything(scheduler)),
        schema("kube-system-service-accounts", "workload-high", 900, namespace_flow, everything(vec![account])),
        schema("service-accounts", "workload-low", 9000, user_flow, everything(vec![group("system:serviceaccounts")])),
        schema("global-default", "global-default", 9900, user_flow, everything(everybody.clone())),
        schema("catch-all", "catch-all", 10000, user_flow, everything(everybody)),
    ]
}

fn everything(subjects: Vec<Value>) -> Value {
    rules(subjects, vec![resources(&["*"], "*", &["*"], true)], vec![paths(&["*"], &["*"])])
}

fn rules(subjects: Vec<Value>, resources: Vec<Value>, paths: Vec<Value>) -> Value {
    let mut rules = json!({ "subjects": subjects });
    if !resources.is_empty() {
        rules["resourceRules"] = resources.into();
    }
    if !paths.is_empty() {
        rules["nonResourceRules"] = paths.into();
    }
    rules
}

fn resources(verbs: &[&str], group: &str, resources: &[&str], cluster: bool) -> Value {
    let mut rule = json!({ "verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"] });
    if cluster {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn paths(verbs: &[&str], paths: &[&str]) -> Value {
    json!({ "verbs": verbs, "nonResourceURLs": paths })
}

fn schema(name: &str, level: &str, precedence: i32, flow: Option<&str>, rules: Value) -> Wanted {
    let mut spec = json!({
        "priorityLevelConfiguration": { "name": level }, "matchingPrecedence": precedence, "rules": [rules],
    });
    if let Some(flow) = flow {
        spec["distinguisherMethod"] = json!({ "type": flow });
    }
    object("flowschemas", "FlowSchema", name, matches!(name, "exempt" | "catch-all"), spec)
}

fn object(plural: &'static str, kind: &str, name: &str, mandatory: bool, spec: Value) -> Wanted {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": { "name": name, "annotations": { AUTOUPDATE: "true" } },
        "spec": spec,
    });
    Wanted { plural, mandatory, object }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_its_level() {
        let all = defaults();
        for schema in all.iter().filter(|wanted| wanted.plural == "flowschemas") {
            let level = &schema.object["spec"]["priorityLevelConfiguration"]["name"];
            let there =
                |w: &Wanted| w.plural == "prioritylevelconfigurations" && w.object["metadata"]["name"] == *level;
            assert!(all.iter().any(there), "{level}");
        }
    }

    #[test]
    fn only_what_somebody_took_over_stays_changed() {
        let all = defaults();
        let suggested = all.iter().find(|wanted| wanted.object["metadata"]["name"] == "workload-low").unwrap();
        let mut existing = suggested.object.clone();
        assert!(reconcile(&existing, suggested).is_none());
        existing["spec"]["limited"]["nominalConcurrencyShares"] = 1.into();
        assert_eq!(reconcile(&existing, suggested).unwrap()["spec"], suggested.object["spec"]);
        existing["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert!(reconcile(&existing, suggested).is_none());
        let mandatory = all.iter().find(|wanted| wanted.mandatory).unwrap();
        let mut existing = mandatory.object.clone();
        existing["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        existing["spec"]["type"] = "Limited".into();
        assert!(reconcile(&existing, mandatory).is_some());
    }
}
