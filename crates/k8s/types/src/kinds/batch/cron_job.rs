//! CronJob.

use super::{job_spec, schedule};
use crate::field::Errors;
use crate::kinds::apps::rollout::name_warning;
use crate::kinds::core::pod_spec;
use crate::kinds::core::pod_template::{CONTAINERS, IMAGES, SELECTOR, containers, or_none};
use crate::policy::read::{Read, age_cell, at_mut, name_cell, or_set, selector_text, since};
use crate::policy::{At, Column, Policy, check};

/// The policy of cron jobs.
pub static POLICY: Policy = Policy {
    defaults: |object| {
        let Some(spec) = at_mut(object, &["spec"]) else { return };
        or_set(spec, "concurrencyPolicy", "Allow");
        or_set(spec, "suspend", false);
        or_set(spec, "successfulJobsHistoryLimit", 3);
        or_set(spec, "failedJobsHistoryLimit", 1);
        if let Some(template) = at_mut(spec, &["jobTemplate", "spec", "template"]) {
            pod_spec::defaults::template(template);
        }
    },
    validate: |object, errors| {
        let root = At::root(object);
        let name = root.down(&["metadata", "name"]);
        // eleven more characters make the name of a job
        if name.text().len() > 52 {
            name.invalid(errors, "must be no more than 52 characters");
        }
        validate_spec(&root.get("spec"), errors);
    },
    warnings: |object, old| {
        let mut all = if old.is_none() { name_warning(object) } else { Vec::new() };
        if object["spec"]["schedule"].text().contains("TZ=") {
            all.push("spec.schedule: cannot use TZ or CRON_TZ in spec.schedule, use timeZone instead".to_owned());
        }
        let path = ["spec", "jobTemplate", "spec", "template"];
        all.extend(pod_spec::warnings::of_template(object, old, &path));
        all
    },
    columns: &[
        Column::NAME,
        Column::text("Schedule", "When jobs are made."),
        Column::text("Timezone", "Time zone of the schedule."),
        Column::text("Suspend", "Whether no more jobs are made for now."),
        Column::integer("Active", "Jobs that are running."),
        Column::text("Last Schedule", "Time since a job was made last."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let job = &spec["jobTemplate"]["spec"];
        let [names, images] = containers(&job["template"]);
        let last = &status["lastScheduleTime"];
        let suspend = match spec["suspend"].as_bool() {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        vec![
            name_cell(object),
            spec["schedule"].text().into(),
            or_none(spec["timeZone"].text().to_owned()),
            suspend.into(),
            status["active"].items().len().into(),
            if last.is_unset() { "<none>".to_owned() } else { since(last, now) }.into(),
            age_cell(object, now),
            names,
            images,
            or_none(selector_text(&job["selector"])),
        ]
    },
    ..Policy::SPEC_STATUS
};

fn validate_spec(spec: &At, errors: &mut Errors) {
    let at = spec.get("schedule");
    if at.needed(errors) {
        if let Some(fault) = schedule::fault(at.text()) {
            at.invalid(errors, fault);
        }
        if at.text().contains("TZ=") {
            at.invalid(errors, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        }
    }
    zone(&spec.get("timeZone"), errors);
    for field in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        check::nonnegative(&spec.get(field), errors);
    }
    let concurrency = spec.get("concurrencyPolicy");
    if concurrency.needed(errors) {
        check::one_of(&concurrency, &["Allow", "Forbid", "Replace"], errors);
    }
    let job = spec.down(&["jobTemplate", "spec"]);
    job_spec::validate(&job, errors);
    let selector = job.get("selector");
    if selector.is_set() {
        selector.invalid(errors, "`selector` will be auto-generated");
    }
    let manual = job.get("manualSelector");
    if manual.yes() {
        manual.not_supported(errors, &["nil", "false"]);
    }
}

fn zone(zone: &At, errors: &mut Errors) {
    if zone.is_null() {
        return;
    }
    let name = zone.text();
    if name.is_empty() {
        zone.invalid(errors, "timeZone must be nil or non-empty string");
    } else if name.eq_ignore_ascii_case("local") {
        zone.invalid(errors, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    } else if !is_zone(name) {
        zone.invalid(errors, format!("unknown time zone {name}"));
    }
}

/// Whether the name can be one of the IANA's database; which of them exist is known only to who has the database.
fn is_zone(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b))
            && part.as_bytes()[0].is_ascii_uppercase()
    };
    let database = jiff::tz::db();
    match database.is_definitively_empty() {
        true => name.split('/').all(good),
        false => database.get(name).is_ok(),
    }
}
