//! Autoscalers: defaults, faults, columns, and the way between versions.

use serde_json::{Value, json};

use crate::kinds::testing::{faults, made, object, row};

fn scaler(spec: &str) -> String {
    format!(
        "{{kind: HorizontalPodAutoscaler, apiVersion: autoscaling/v2, metadata: {{name: web, namespace: a}}, spec: \
         {{scaleTargetRef: {{kind: Deployment, name: web}}, {spec}}}}}"
    )
}

#[test]
fn defaults_are_those_of_kubernetes() {
    let spec = made(&scaler("maxReplicas: 5, behavior: {}"))["spec"].clone();
    assert_eq!(spec["minReplicas"], 1);
    assert_eq!(
        spec["metrics"],
        json!([{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }])
    );
    assert_eq!(
        spec["behavior"],
        json!({
            "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                { "type": "Pods", "value": 4, "periodSeconds": 15 }, { "type": "Percent", "value": 100, "periodSeconds": 15 },
            ] },
            "scaleDown": { "selectPolicy": "Max", "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] },
        })
    );
}

#[track_caller]
fn fault(spec: &str, wanted: &str) {
    assert_eq!(faults(&scaler(spec)), wanted);
}

#[test]
fn specifications_are_checked() {
    fault("maxReplicas: 5", "");
    fault(
        "minReplicas: 3, maxReplicas: 2",
        "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
    );
    fault("minReplicas: 0, maxReplicas: 2", "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1");
    fault(
        "maxReplicas: 2, metrics: [{type: Resource}]",
        "spec.metrics[0].resource: Required value: must populate information for the given metric source",
    );
    fault(
        "maxReplicas: 2, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization}}}]",
        "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target \
         utilization",
    );
    fault(
        "maxReplicas: 2, metrics: [{type: Other}]",
        "spec.metrics[0].type: Unsupported value: \"Other\": supported values: \"ContainerResource\", \"External\", \"Object\", \
         \"Pods\", \"Resource\"",
    );
    fault(
        "maxReplicas: 2, behavior: {scaleDown: {stabilizationWindowSeconds: 4000}}",
        "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600",
    );
}

#[test]
fn nothing_is_lost_between_versions() {
    let metrics = "[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}, \
        {type: Pods, pods: {metric: {name: rps, selector: {matchLabels: {a: b}}}, target: {type: AverageValue, averageValue: '10'}}}, \
        {type: Object, object: {describedObject: {kind: Service, name: s, apiVersion: v1}, metric: {name: q}, target: {type: Value, value: '5'}}}, \
        {type: External, external: {metric: {name: z}, target: {type: AverageValue, averageValue: '3'}}}, \
        {type: ContainerResource, containerResource: {name: memory, container: c, target: {type: Utilization, averageUtilization: 9}}}]";
    let mut scaler =
        object(&scaler(&format!("maxReplicas: 5, behavior: {{scaleUp: {{selectPolicy: Min}}}}, metrics: {metrics}")));
    scaler["status"] = json!({
        "currentReplicas": 2,
        "conditions": [{ "type": "AbleToScale", "status": "True" }],
        "currentMetrics": [
            { "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 50, "averageValue": "1" } } },
            { "type": "Pods", "pods": { "metric": { "name": "rps" }, "current": { "averageValue": "7" } } },
        ],
    });
    let before = scaler.clone();
    let convert = crate::policy::of("autoscaling", "HorizontalPodAutoscaler").convert.expect("two versions");
    convert(&mut scaler, "autoscaling/v1");
    assert_eq!(scaler["spec"]["targetCPUUtilizationPercentage"], 60);
    assert_eq!(scaler["status"]["currentCPUUtilizationPercentage"], 50);
    assert_eq!(scaler["spec"].get("metrics"), None);
    let kept: Value = scaler["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .expect("metrics in an annotation");
    assert_eq!(
        kept[0],
        json!({ "type": "Pods", "pods": { "metricName": "rps", "selector": { "matchLabels": { "a": "b" } }, "targetAverageValue": "10" } })
    );
    convert(&mut scaler, "autoscaling/v2");
    assert_eq!(scaler, before);
}

#[test]
fn an_old_autoscaler_measures_the_processor() {
    let convert = crate::policy::of("autoscaling", "HorizontalPodAutoscaler").convert.expect("two versions");
    let mut scaler = object(
        "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {}, spec: {targetCPUUtilizationPercentage: 30}}",
    );
    convert(&mut scaler, "autoscaling/v2");
    assert_eq!(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 30);
    assert_eq!(scaler["apiVersion"], "autoscaling/v2");
}

#[test]
fn targets_are_shown_as_kubectl_shows_them() {
    let metrics = "metrics: [{type: Resource, resource: {name: cpu, target: {averageUtilization: 80}}}]";
    let shown = |status: &str| {
        row(&format!(
            "{{kind: HorizontalPodAutoscaler, apiVersion: autoscaling/v2, metadata: {{}}, spec: {{minReplicas: 1, maxReplicas: 3, \
             scaleTargetRef: {{kind: Deployment, name: d}}, {metrics}}}, status: {status}}}"
        ))
    };
    assert_eq!(shown("{}"), "x | Deployment/d | cpu: <unknown>/80% | 1 | 3 | 0 | 60m");
    assert_eq!(
        shown("{currentReplicas: 2, currentMetrics: [{type: Resource, resource: {current: {averageUtilization: 7}}}]}"),
        "x | Deployment/d | cpu: 7%/80% | 1 | 3 | 2 | 60m"
    );
}
