//! Job.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::job_spec;
use crate::field::Errors;
use crate::kinds::apps::rollout;
use crate::kinds::core::pod_template::{CONTAINERS, IMAGES, SELECTOR, containers, mismatch};
use crate::policy::read::{
    Read, age_cell, at_mut, each, field_value, human, name_cell, or_set, put, same, selector_text, take,
};
use crate::policy::{At, Column, Policy, check, prepare};
use crate::selector::label::LabelSelector;

/// The label that a job's pods are found by.
const UID: &str = "batch.kubernetes.io/controller-uid";
/// Labels with the name of the job and its uid, the old ones and the new.
const NAMES: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UIDS: [&str; 2] = ["controller-uid", UID];

/// The policy of jobs.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_create: |new| {
        prepare::first_generation(new);
        put(new, &["status"], json!({}));
        generate_selector(new);
    },
    validate,
    validate_update,
    validate_status: |new, _, errors| {
        let root = At::root(new);
        let status = root.get("status");
        for field in ["active", "succeeded", "failed", "ready", "terminating"] {
            check::nonnegative(&status.get(field), errors);
        }
    },
    warnings: rollout::warnings,
    columns: &[
        Column::NAME,
        Column::text("Status", "How the job is doing."),
        Column::text("Completions", "Pods that succeeded, of those that must."),
        Column::text("Duration", "How long the job ran, or has been running."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells,
    field: |job, path| match path {
        "status.successful" => job["status"]["succeeded"].int().unwrap_or(0).to_string(),
        _ => field_value(job, path),
    },
    orphan: true,
    ..Policy::SPEC_STATUS
};

fn defaults(job: &mut Value) {
    rollout::template_defaults(job);
    let Some(spec) = at_mut(job, &["spec"]).filter(|spec| spec.is_object()) else { return };
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        or_set(spec, "completions", 1);
    }
    or_set(spec, "parallelism", 1);
    let backoff = if spec["backoffLimitPerIndex"].is_set() { i64::from(i32::MAX) } else { 6 };
    or_set(spec, "backoffLimit", backoff);
    or_set(spec, "completionMode", "NonIndexed");
    or_set(spec, "suspend", false);
    or_set(spec, "manualSelector", false);
    let replacement = if spec["podFailurePolicy"].is_set() { "Failed" } else { "TerminatingOrFailed" };
    or_set(spec, "podReplacementPolicy", replacement);
    for rule in each(spec, &["podFailurePolicy", "rules"]) {
        each(rule, &["onPodConditions"]).for_each(|condition| or_set(condition, "status", "True"));
    }
    let labels = spec["template"]["metadata"]["labels"].clone();
    if job["metadata"]["labels"].is_unset() && !labels.is_unset() {
        put(job, &["metadata", "labels"], labels);
    }
}

/// Pods of a job are found by its uid, unless the client says otherwise.
fn generate_selector(job: &mut Value) {
    if job["spec"]["manualSelector"].yes() {
        return;
    }
    let (name, uid) = (job["metadata"]["name"].clone(), job["metadata"]["uid"].clone());
    for (labels, value) in [(NAMES, &name), (UIDS, &uid)] {
        for label in labels {
            if job["spec"]["template"]["metadata"]["labels"][label].is_null() {
                put(job, &["spec", "template", "metadata", "labels", label], value.clone());
            }
        }
    }
    if job["spec"]["selector"]["matchLabels"][UID].is_null() {
        put(job, &["spec", "selector", "matchLabels", UID], uid);
    }
}

fn validate(job: &Value, errors: &mut Errors) {
    let root = At::root(job);
    let spec = root.get("spec");
    generated(&root, errors);
    job_spec::validate(&spec, errors);
    let selector = spec.get("selector");
    if selector.is_null() {
        return selector.required(errors, "");
    }
    check::label_selector(&selector, errors);
    let template = spec.get("template");
    if LabelSelector::from_object(&selector).is_ok_and(|selector| !selector.matches_object(&template)) {
        mismatch(&template, errors);
    }
}

fn generated(root: &At, errors: &mut Errors) {
    let spec = root.get("spec");
    if spec["manualSelector"].yes() || spec["selector"].is_null() {
        return;
    }
    let (name, uid) = (root["metadata"]["name"].text(), root["metadata"]["uid"].text());
    let labels = spec.down(&["template", "metadata", "labels"]);
    for (keys, wanted) in [(UIDS, uid), (NAMES, name)] {
        for key in keys {
            let at = labels.key(key);
            let detail = format!("must be '{wanted}'");
            match at.as_str() {
                None => at.required(errors, &detail),
                Some(found) if found != wanted => at.invalid_value(errors, labels.value().clone(), detail),
                Some(_) => {}
            }
        }
    }
    let expected = json!({ "metadata": { "labels": {
        UIDS[0]: uid, UIDS[1]: uid, NAMES[0]: name, NAMES[1]: name,
    } } });
    let selector = spec.get("selector");
    if LabelSelector::from_object(&selector).is_ok_and(|selector| !selector.matches_object(&expected)) {
        selector.invalid(errors, "`selector` not auto-generated");
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let (spec, before) = (root.get("spec"), &old["spec"]);
    let completions = spec.get("completions");
    if !same(&completions, &before["completions"]) {
        if before["completions"].is_null() || before["completionMode"].text() != "Indexed" {
            completions.invalid(errors, check::IMMUTABLE);
        } else if spec["completions"] != spec["parallelism"] {
            let parallelism = spec["parallelism"].int().unwrap_or(0);
            completions.invalid(errors, format!("can only be modified in tandem with parallelism ({parallelism})"));
        }
    }
    check::immutable(&spec.get("selector"), &before["selector"], errors);
    template(&spec, old, errors);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        check::immutable(&spec.get(field), &before[field], errors);
    }
}

/// A suspended job that has not started may still be told where its pods run.
fn template(spec: &At, old: &Value, errors: &mut Errors) {
    let template = spec.get("template");
    let before = &old["spec"]["template"];
    let (mut new_rest, mut old_rest) = (template.value().clone(), before.clone());
    let suspended = old["spec"]["suspend"].yes() && spec["suspend"].yes();
    let unsuspending = old["spec"]["suspend"].yes() && old["status"]["startTime"].is_null();
    if suspended || unsuspending {
        for path in [
            &["metadata", "annotations"][..],
            &["metadata", "labels"],
            &["spec", "nodeSelector"],
            &["spec", "tolerations"],
            &["spec", "schedulingGates"],
            &["spec", "affinity", "nodeAffinity"],
        ] {
            take(&mut new_rest, path);
            take(&mut old_rest, path);
        }
    }
    if !same(&new_rest, &old_rest) {
        template.invalid(errors, check::IMMUTABLE);
    }
}

fn cells(job: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let done = status["succeeded"].int().unwrap_or(0);
    let completions = match (spec["completions"].int(), spec["parallelism"].int().unwrap_or(0)) {
        (Some(all), _) => format!("{done}/{all}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    };
    let time = |field: &str| status[field].text().parse::<Timestamp>().ok();
    let duration = match (time("startTime"), time("completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => human(end.unwrap_or(now).duration_since(start).as_secs()),
    };
    let [names, images] = containers(&spec["template"]);
    vec![
        name_cell(job),
        state(job).into(),
        completions.into(),
        duration.into(),
        age_cell(job, now),
        names,
        images,
        selector_text(&spec["selector"]).into(),
    ]
}

fn state(job: &Value) -> &'static str {
    let conditions = job["status"]["conditions"].items();
    let is = |kind: &str| conditions.iter().any(|c| c["type"].text() == kind && c["status"].text() == "True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if job["metadata"]["deletionTimestamp"].is_set() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}
