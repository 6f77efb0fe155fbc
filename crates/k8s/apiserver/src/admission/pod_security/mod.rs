//! The pod security standards: what a namespace's labels allow its pods is enforced, and told about workloads.

mod baseline;
mod config;
mod level;
mod pod;
mod restricted;
#[cfg(test)]
mod tests;

use k8s_types::field::{Error, Errors, Path};
use k8s_types::policy::read::Read;
use k8s_types::status::ApiError;
use serde_json::Value;

use self::level::{Grade, Grades, Level};
use self::pod::Pod;
use super::{Attributes, Operation, lookup};
use crate::registry::Registry;
pub use config::{Config, ConfigError};

/// One thing that a pod does and should not.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    reason: String,
    detail: String,
}

impl Violation {
    fn new(reason: impl Into<String>, detail: impl Into<String>) -> Violation {
        Violation { reason: reason.into(), detail: detail.into() }
    }
}

type Check = fn(Pod<'_>, Grade) -> Option<Violation>;

/// Checks of the baseline level that the restricted one has too.
const BASELINE: &[Check] = &[
    baseline::app_armor,
    baseline::host_namespaces,
    baseline::host_ports,
    baseline::host_probes,
    baseline::privileged,
    baseline::proc_mount,
    baseline::selinux,
    baseline::sysctls,
    baseline::windows_host_process,
];

/// Checks of the baseline level that the restricted one replaces by stricter ones.
const BASELINE_ONLY: &[Check] = &[baseline::capabilities, baseline::host_path_volumes, baseline::seccomp];

const RESTRICTED: &[Check] = &[
    restricted::privilege_escalation,
    restricted::capabilities,
    restricted::volumes,
    restricted::run_as_non_root,
    restricted::run_as_user,
    restricted::seccomp,
];

/// What a pod does that the grade does not allow: `reason (detail), reason (detail)`; nothing where it is allowed.
fn judge(pod: Pod<'_>, grade: Grade) -> Option<String> {
    let checks: Vec<&Check> = match grade.level {
        Level::Privileged => return None,
        Level::Baseline => BASELINE.iter().chain(BASELINE_ONLY).collect(),
        Level::Restricted => BASELINE.iter().chain(RESTRICTED).collect(),
    };
    let found: Vec<String> = checks
        .into_iter()
        .filter_map(|check| check(pod, grade))
        .map(|v| if v.detail.is_empty() { v.reason } else { format!("{} ({})", v.reason, v.detail) })
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

pub async fn validate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !matches!(attributes.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if attributes.is("", "namespaces") {
        return check_labels(registry, attributes).await;
    }
    let row = attributes.row;
    let is_pod = row.is("", "pods") && matches!(attributes.subresource, "" | "ephemeralcontainers" | "resize");
    let template = template_of(attributes);
    if !is_pod && template.is_none() {
        return Ok(());
    }
    let config = registry.pod_security();
    let spec = template.map_or(&attributes.after()["spec"], |template| &template["spec"]);
    if config.exempts_namespace(attributes.namespace)
        || config.exempts_user(&attributes.identity.name)
        || config.exempts_class(spec)
    {
        return Ok(());
    }
    let Some(namespace) = lookup::get(registry, "", "namespaces", "", attributes.namespace).await? else {
        return Ok(());
    };
    let grades = level::grades(&namespace, config.defaults).0;
    if is_pod { check_pod(attributes, grades) } else { check_template(attributes, grades) }
}

fn check_pod(attributes: &mut Attributes<'_>, grades: Grades) -> Result<(), ApiError> {
    if attributes.operation == Operation::Update && attributes.subresource.is_empty() && !matters(attributes) {
        return Ok(());
    }
    let pod = Pod::of(attributes.after());
    if let Some(found) = judge(pod, grades.enforce) {
        return Err(attributes.forbidden(format_args!("violates PodSecurity \"{}\": {found}", grades.enforce)));
    }
    let warning = (grades.warn != grades.enforce).then(|| judge(pod, grades.warn)).flatten();
    attributes.warnings.extend(warning.map(|found| format!("would violate PodSecurity \"{}\": {found}", grades.warn)));
    Ok(())
}

/// Whether an update changes more than tolerations, deadlines, images and metadata.
fn matters(attributes: &Attributes<'_>) -> bool {
    let strip = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("tolerations");
            fields.remove("activeDeadlineSeconds");
        }
        for list in ["initContainers", "containers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().map(|fields| fields.remove("image"));
            }
        }
        spec
    };
    let annotations = |pod: &Value| pod["metadata"]["annotations"].clone();
    let (new, old) = (attributes.after(), attributes.before());
    strip(new) != strip(old) || annotations(new) != annotations(old)
}

/// The pod template of a workload.
fn template_of<'a>(attributes: &'a Attributes<'_>) -> Option<&'a Value> {
    let (row, object) = (attributes.row, attributes.after());
    if !attributes.subresource.is_empty() {
        return None;
    }
    let apps = ["deployments", "replicasets", "statefulsets", "daemonsets"];
    if row.is("", "podtemplates") {
        Some(&object["template"])
    } else if apps.iter().any(|p| row.is("apps", p)) || row.is("", "replicationcontrollers") || row.is("batch", "jobs")
    {
        Some(&object["spec"]["template"])
    } else if row.is("batch", "cronjobs") {
        Some(&object["spec"]["jobTemplate"]["spec"]["template"])
    } else {
        None
    }
}

fn check_template(attributes: &mut Attributes<'_>, grades: Grades) -> Result<(), ApiError> {
    let Some(template) = template_of(attributes) else { return Ok(()) };
    let found = judge(Pod::of(template), grades.warn);
    let warning = found.map(|found| format!("would violate PodSecurity \"{}\": {found}", grades.warn));
    attributes.warnings.extend(warning);
    Ok(())
}

/// Labels must be readable, and who tightens them hears which pods break them already.
async fn check_labels(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    let config = registry.pod_security();
    let (grades, bad) = level::grades(attributes.after(), config.defaults);
    let (before, bad_before) = level::grades(attributes.before(), config.defaults);
    let known = |key: &str, value: &str| bad_before.iter().any(|b| b.key == key && b.value == value);
    let mut errors = Errors::new();
    for label in bad.iter().filter(|label| !known(&label.key, &label.value)) {
        let path = Path::new("metadata").child("labels").key(&label.key);
        errors.push(Error::invalid(&path, label.value.clone(), label.detail.clone()));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(&attributes.row.group_kind(), attributes.name, &errors));
    }
    if config.exempts_namespace(attributes.name) {
        let asks = grades != Grades::FREE && (attributes.operation == Operation::Create || grades != before);
        attributes.warnings.extend(asks.then(|| ignored(attributes.name, grades)));
        return Ok(());
    }
    let enforce = grades.enforce;
    let tightened = attributes.operation == Operation::Update && enforce != before.enforce;
    if tightened && enforce.level > Level::Privileged {
        let pods = lookup::list(registry, "", "pods", attributes.name).await?;
        attributes.warnings.extend(existing(&pods, attributes.name, enforce));
    }
    Ok(())
}

/// What is told of labels that do nothing, because the namespace is exempt.
fn ignored(namespace: &str, grades: Grades) -> String {
    let Grades { enforce, audit, warn } = grades;
    let modes = [("enforce", enforce), ("audit", audit), ("warn", warn)];
    let said = modes.iter().filter(|(_, grade)| grade.level > Level::Privileged);
    let said: Vec<String> = said.map(|(mode, grade)| format!("{mode}={grade}")).collect();
    let said = said.join(", ");
    format!("namespace {namespace:?} is exempt from Pod Security, and the policy ({said}) will be ignored")
}

/// Warnings about the pods that are there; at most some thousands are looked at.
fn existing(pods: &[Value], namespace: &str, grade: Grade) -> Vec<String> {
    let mut found: Vec<String> = pods
        .iter()
        .take(3000)
        .filter_map(|pod| Some(format!("{}: {}", pod["metadata"]["name"].text(), reasons(Pod::of(pod), grade)?)))
        .collect();
    if !found.is_empty() {
        let head =
            format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{grade}\"");
        found.insert(0, head);
    }
    found
}

/// Only the reasons of what breaks a grade.
fn reasons(pod: Pod<'_>, grade: Grade) -> Option<String> {
    let checks = BASELINE.iter().chain(if grade.level == Level::Restricted { RESTRICTED } else { BASELINE_ONLY });
    let found: Vec<String> = checks.filter_map(|check| check(pod, grade)).map(|v| v.reason).collect();
    (!found.is_empty()).then(|| found.join(", "))
}
