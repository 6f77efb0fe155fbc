//! Defaults and bounds with their texts.

use serde_json::{Value, json};

use super::bounds::{claim_faults, pod_faults};
use super::fill_in;

fn range(item: Value) -> Value {
    json!({"spec": {"limits": [item]}})
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn containers_get_what_they_leave_out() {
    let range = range(json!({"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "256Mi"}}));
    let mut pod = pod(json!({"requests": {"cpu": "200m"}}));
    fill_in(&mut pod, &range);
    let expected =
        json!({"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "200m", "memory": "256Mi"}});
    assert_eq!(pod["spec"]["containers"][0]["resources"], expected);
    let note = "LimitRanger plugin set: memory request for container c; cpu, memory limit for container c";
    assert_eq!(pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"], note);
}

#[test]
fn bounds_of_containers() {
    let bounds =
        json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}});
    let cases = [
        (
            json!({}),
            vec![
                "minimum cpu usage per Container is 100m.  No request is specified",
                "maximum cpu usage per Container is 1.  No limit is specified",
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ],
        ),
        (
            json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}),
            vec!["minimum cpu usage per Container is 100m, but request is 50m"],
        ),
        (
            json!({"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}}),
            vec!["maximum cpu usage per Container is 1, but limit is 2"],
        ),
        (
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "400m"}}),
            vec!["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"],
        ),
        (json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}), vec![]),
    ];
    for (resources, expected) in cases {
        assert_eq!(pod_faults(&pod(resources), &range(bounds.clone())), expected);
    }
}

#[test]
fn bounds_of_pods_are_about_the_sum() {
    let bounds = range(json!({"type": "Pod", "max": {"memory": "1Gi"}}));
    let container = json!({"name": "c", "resources": {"requests": {"memory": "600Mi"}, "limits": {"memory": "600Mi"}}});
    let pod = json!({"spec": {"containers": [container, container]}});
    assert_eq!(pod_faults(&pod, &bounds), ["maximum memory usage per Pod is 1Gi, but limit is 1200Mi"]);
}

#[test]
fn bounds_of_claims() {
    let bounds = range(json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}));
    let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let expected = ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"];
    assert_eq!(claim_faults(&claim("500Mi"), &bounds), expected);
    let expected = ["maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"];
    assert_eq!(claim_faults(&claim("6Gi"), &bounds), expected);
    assert!(claim_faults(&claim("2Gi"), &bounds).is_empty());
}
