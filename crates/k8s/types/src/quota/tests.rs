//! Usage, scopes and refusals with their texts.

use serde_json::{Value, json};

use super::{Subject, amounts, decide, recount, usage};

const PODS: Subject<'static> = Subject { group: "", plural: "pods" };

fn quota(hard: Value, used: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let full = [quota(json!({"pods": "2"}), json!({"pods": "2"}))];
    let expected = "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2";
    assert_eq!(decide(&full, PODS, &pod(json!({})), None).unwrap_err(), expected);
    let compute = [quota(
        json!({"requests.cpu": "1", "limits.memory": "1Gi"}),
        json!({"requests.cpu": "900m", "limits.memory": "512Mi"}),
    )];
    let resources = json!({"requests": {"cpu": "200m"}, "limits": {"memory": "600Mi"}});
    let expected = "exceeded quota: q, requested: limits.memory=600Mi,requests.cpu=200m, \
        used: limits.memory=512Mi,requests.cpu=900m, limited: limits.memory=1Gi,requests.cpu=1";
    assert_eq!(decide(&compute, PODS, &pod(resources), None).unwrap_err(), expected);
}

#[test]
fn what_fits_is_counted() {
    let quotas = [quota(json!({"pods": "3", "cpu": "1"}), json!({"pods": "2", "cpu": "500m"}))];
    let charges = decide(&quotas, PODS, &pod(json!({"requests": {"cpu": "250m"}})), None).unwrap();
    assert_eq!(charges[0].used, amounts(&json!({"pods": "3", "cpu": "750m"})));
}

#[test]
fn counted_resources_must_be_specified() {
    let quotas = [quota(json!({"limits.cpu": "1", "cpu": "1"}), json!({"limits.cpu": "0", "cpu": "0"}))];
    let expected = "failed quota: q: must specify cpu for: c; limits.cpu for: c";
    assert_eq!(decide(&quotas, PODS, &pod(json!({})), None).unwrap_err(), expected);
}

#[test]
fn a_quota_nobody_counted_yet_admits_nothing() {
    let quotas = [quota(json!({"pods": "2"}), json!({}))];
    let expected = "status unknown for quota: q, resources: pods";
    assert_eq!(decide(&quotas, PODS, &pod(json!({})), None).unwrap_err(), expected);
}

#[test]
fn objects_are_counted_by_their_resource() {
    let deployments = Subject { group: "apps", plural: "deployments" };
    let quotas = [quota(json!({"count/deployments.apps": "1"}), json!({"count/deployments.apps": "1"}))];
    let expected = "exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1";
    assert_eq!(decide(&quotas, deployments, &json!({}), None).unwrap_err(), expected);
    assert_eq!(decide(&quotas, PODS, &pod(json!({})), None).unwrap(), []);
}

#[test]
fn services_count_their_node_ports() {
    let subject = Subject { group: "", plural: "services" };
    let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}});
    let expected =
        json!({"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "2"});
    assert_eq!(usage(subject, &service), amounts(&expected));
    let quotas = [quota(json!({"services.nodeports": "2"}), json!({"services.nodeports": "1"}))];
    let old = json!({"spec": {"type": "NodePort", "ports": [{"port": 1}]}});
    assert_eq!(
        decide(&quotas, subject, &service, Some(&old)).unwrap()[0].used,
        amounts(&json!({"services.nodeports": "2"}))
    );
    let cluster = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 1}]}});
    assert!(decide(&quotas, subject, &service, Some(&cluster)).is_err());
}

#[test]
fn claims_count_by_class() {
    let subject = Subject { group: "", plural: "persistentvolumeclaims" };
    let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
    let used = usage(subject, &claim);
    assert_eq!(used["fast.storageclass.storage.k8s.io/requests.storage"].to_string(), "1Gi");
    assert_eq!(used["requests.storage"].to_string(), "1Gi");
}

#[test]
fn scopes_choose_pods() {
    let mut quotas = [quota(json!({"pods": "0"}), json!({"pods": "0"}))];
    quotas[0]["spec"]["scopes"] = json!(["BestEffort"]);
    assert!(decide(&quotas, PODS, &pod(json!({})), None).is_err());
    assert!(decide(&quotas, PODS, &pod(json!({"requests": {"cpu": "1"}})), None).is_ok());
    quotas[0]["spec"]["scopes"] = Value::Null;
    quotas[0]["spec"]["scopeSelector"] =
        json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]});
    assert!(decide(&quotas, PODS, &pod(json!({})), None).is_ok());
    let mut high = pod(json!({}));
    high["spec"]["priorityClassName"] = "high".into();
    assert!(decide(&quotas, PODS, &high, None).is_err());
}

#[test]
fn pods_that_are_through_are_not_recounted() {
    let quota = quota(json!({"pods": "5", "requests.cpu": "5"}), json!({}));
    let running = pod(json!({"requests": {"cpu": "1500m"}}));
    let mut done = running.clone();
    done["status"] = json!({"phase": "Succeeded"});
    let sum = recount(PODS, &quota, [&running, &running, &done].into_iter());
    assert_eq!(sum, amounts(&json!({"pods": "2", "requests.cpu": "3"})));
}
