//! Jobs and cron jobs: defaults, faults, updates, schedules and columns.

use serde_json::json;

use super::schedule::fault as schedule_fault;
use crate::kinds::testing::{faults, made, row, update_faults};

fn job(spec: &str) -> String {
    format!(
        "{{kind: Job, apiVersion: batch/v1, metadata: {{name: pi, namespace: a}}, spec: {{{spec} template: {{spec: \
         {{restartPolicy: Never, containers: [{{name: c, image: x}}]}}}}}}}}"
    )
}

fn cron(schedule: &str, more: &str) -> String {
    format!(
        "{{kind: CronJob, apiVersion: batch/v1, metadata: {{name: nightly, namespace: a}}, spec: {{schedule: '{schedule}', {more} \
         jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: x}}]}}}}}}}}}}}}"
    )
}

#[test]
fn a_job_finds_its_pods_by_its_uid() {
    let mut job = made(&job(""));
    assert_eq!(
        job["spec"]["template"]["metadata"]["labels"],
        json!({
            "batch.kubernetes.io/controller-uid": "u-1", "batch.kubernetes.io/job-name": "pi",
            "controller-uid": "u-1", "job-name": "pi",
        })
    );
    job["spec"]["template"].take();
    assert_eq!(
        job["spec"],
        json!({
            "backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1, "manualSelector": false, "parallelism": 1,
            "podReplacementPolicy": "TerminatingOrFailed", "suspend": false, "template": null,
            "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u-1" } },
        })
    );
}

#[track_caller]
fn fault(spec: &str, wanted: &str) {
    assert_eq!(faults(&job(spec)), wanted);
}

#[test]
fn jobs_are_checked() {
    fault("", "");
    assert_eq!(
        faults(&job("").replace("restartPolicy: Never, ", "")),
        "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
    );
    fault("parallelism: -1,", "spec.parallelism: Invalid value: -1: must be greater than or equal to 0");
    fault(
        "completionMode: Indexed, parallelism: 1,",
        "spec.completions: Required value: when completion mode is Indexed",
    );
    fault(
        "selector: {matchLabels: {a: b}},",
        "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u-1\"}}: `selector` \
         not auto-generated\nspec.template.metadata.labels: Invalid value: \
         {\"batch.kubernetes.io/controller-uid\":\"u-1\",\"batch.kubernetes.io/job-name\":\"pi\",\"controller-uid\":\"u-1\",\
         \"job-name\":\"pi\"}: `selector` does not match template `labels`",
    );
    fault("manualSelector: true,", "spec.selector: Required value");
    fault(
        "podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [0]}}]},",
        "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
    );
}

#[test]
fn a_job_does_not_change_its_template() {
    let (old, other) = (job(""), job("").replace("image: x", "image: y"));
    let found = update_faults(&old, &other);
    assert!(found.starts_with("spec.template: Invalid value: {") && found.ends_with("field is immutable"), "{found}");
    assert_eq!(update_faults(&old, &job("parallelism: 3, completions: 1,")), "");
    assert_eq!(update_faults(&old, &job("completions: 3,")), "spec.completions: Invalid value: 3: field is immutable");
}

#[test]
fn cron_jobs_are_checked() {
    assert_eq!(faults(&cron("*/5 * * * *", "")), "");
    assert_eq!(
        faults(&cron("nope", "")),
        "spec.schedule: Invalid value: \"nope\": expected exactly 5 fields, found 1: [nope]"
    );
    assert_eq!(
        faults(&cron("* * * * *", "concurrencyPolicy: Maybe,")),
        "spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \"Forbid\", \"Replace\""
    );
    let spec = made(&cron("@daily", ""))["spec"].clone();
    assert_eq!(spec["successfulJobsHistoryLimit"], 3);
    assert_eq!(spec["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
}

#[test]
fn schedules_are_read_as_cron_reads_them() {
    for good in ["0 0 1 1 *", "*/15 9-17 * jan-jun mon-fri", "5,10 * * * 0", "@hourly", "? * * * *"] {
        assert_eq!(schedule_fault(good), None, "{good}");
    }
    for (bad, wanted) in [
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * mon-", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@often", "unrecognized descriptor: @often"),
    ] {
        assert_eq!(schedule_fault(bad).as_deref(), Some(wanted), "{bad}");
    }
}

#[test]
fn columns_are_those_of_kubectl() {
    let job = |status: &str| {
        row(&format!(
            "{{kind: Job, apiVersion: batch/v1, metadata: {{}}, spec: {{completions: 3, template: {{spec: {{containers: [{{name: c, \
             image: x}}]}}}}, selector: {{matchLabels: {{a: b}}}}}}, status: {status}}}"
        ))
    };
    assert_eq!(job("{}"), "x | Running | 0/3 |  | 60m | c | x | a=b");
    assert_eq!(
        job(
            "{succeeded: 3, startTime: 2026-01-01T00:00:00Z, completionTime: 2026-01-01T00:00:42Z, conditions: [{type: Complete, status: 'True'}]}"
        ),
        "x | Complete | 3/3 | 42s | 60m | c | x | a=b"
    );
    assert_eq!(
        row(
            "{kind: CronJob, apiVersion: batch/v1, metadata: {}, spec: {schedule: '@daily', suspend: false}, status: {}}"
        ),
        "x | @daily | <none> | False | 0 | <none> | 60m |  |  | <none>"
    );
}
