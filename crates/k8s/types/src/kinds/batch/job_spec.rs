//! The specification of a job, in a job and in the template of a cron job.

use crate::field::Errors;
use crate::kinds::core::pod_template;
use crate::kinds::rules::domain_prefixed_path;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

use super::failure_policy;

/// Checks everything but the selector.
pub fn validate(spec: &At, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        check::nonnegative(&spec.get(field), errors);
    }
    let manager = spec.get("managedBy");
    if manager.is_set() {
        domain_prefixed_path(errors, &manager.path(), &manager);
        if manager.text().len() > 63 {
            manager.too_long(errors, 63);
        }
    }
    indexes(spec, errors);
    failure_policy::failure(spec, errors);
    failure_policy::success(spec, errors);
    let replacement = spec.get("podReplacementPolicy");
    let supported: &[&str] =
        if spec["podFailurePolicy"].is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    check::one_of(&replacement, supported, errors);
    pod_template::validate(&spec.get("template"), errors);
    let restart = spec.down(&["template", "spec", "restartPolicy"]);
    match restart.text() {
        "" | "Always" => restart.required(errors, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec["podFailurePolicy"].is_set() => {
            restart.invalid(errors, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        _ => restart.not_supported(errors, &["OnFailure", "Never"]),
    }
}

const MOST_INDEXED: i64 = 100_000;

fn indexes(spec: &At, errors: &mut Errors) {
    let mode = spec.get("completionMode");
    check::one_of(&mode, &["Indexed", "NonIndexed"], errors);
    let indexed = mode.text() == "Indexed";
    let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
    if indexed {
        if completions.is_null() {
            completions.required(errors, "when completion mode is Indexed");
        }
        if parallelism.int().is_some_and(|count| count > MOST_INDEXED) {
            let detail = "must be less than or equal to 100000 when completion mode is Indexed";
            parallelism.invalid(errors, detail);
        }
    }
    let (per_index, failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    if per_index.is_set() && !indexed {
        per_index.invalid(errors, "requires indexed completion mode");
    }
    if failed.is_null() {
        return;
    }
    if per_index.is_null() {
        per_index.required(errors, "when maxFailedIndexes is specified");
    }
    if failed.int() > completions.int().or(Some(i64::MAX)) {
        failed.invalid(errors, "must be less than or equal to completions");
    }
    if failed.int().is_some_and(|count| count > MOST_INDEXED) {
        failed.invalid(errors, "must be less than or equal to 100000");
    }
}
