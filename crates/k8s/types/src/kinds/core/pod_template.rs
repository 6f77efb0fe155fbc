//! Templates of pods in workloads, and PodTemplate, which is nothing but one.

use serde_json::Value;

use super::pod_spec::{self, Owner, annotations, defaults};
use crate::field::{Error, Errors};
use crate::policy::read::{Read, at_mut, labels_text, name_cell};
use crate::policy::{At, Column, Policy, check, prepare};

/// The policy of PodTemplate.
pub static POLICY: Policy = Policy {
    defaults: |object| {
        if let Some(template) = at_mut(object, &["template"]) {
            defaults::template(template);
        }
    },
    prepare_create: |new| crate::policy::read::put(new, &["metadata", "generation"], 1),
    prepare_update: |new, old| {
        prepare::count_generation(new, old);
        let changed = i64::from(new["template"] != old["template"]);
        let before = old["metadata"]["generation"].int().unwrap_or(0);
        crate::policy::read::put(new, &["metadata", "generation"], before + changed);
    },
    validate: |new, errors| validate(&At::root(new).get("template"), errors),
    warnings: |new, old| pod_spec::warnings::of_template(new, old, &["template"]),
    columns: &[
        Column::NAME,
        Column::text("Containers", "Names of the containers."),
        Column::text("Images", "Images of the containers."),
        Column::text("Pod Labels", "Labels that pods made of it get."),
    ],
    cells: |object, _| {
        let [names, images] = containers(&object["template"]);
        vec![name_cell(object), names, images, or_none(labels_text(&object["template"]["metadata"]["labels"]))]
    },
    ..Policy::NEUTRAL
};

/// Checks a template.
pub fn validate(template: &At, errors: &mut Errors) {
    let (metadata, spec) = (template.get("metadata"), template.get("spec"));
    // Kubernetes tells these without `metadata`
    let labels = template.named("labels", &metadata.value()["labels"]);
    check::labels(&labels, errors);
    let told = template.named("annotations", &metadata.value()["annotations"]);
    check::annotations(&told, errors);
    annotations::validate(&told, &spec, errors);
    pod_spec::validate(&spec, Owner::Template, errors);
    annotations::agree(&told, &spec, errors);
    if !spec["ephemeralContainers"].is_unset() {
        spec.get("ephemeralContainers").forbidden(errors, "ephemeral containers not allowed in pod template");
    }
}

/// Checks the template of a workload that keeps its pods running: its labels are selected, its pods start again and again.
pub fn of_workload(template: &At, selected: bool, workload: &str, errors: &mut Errors) {
    if !selected {
        mismatch(template, errors);
    }
    validate(template, errors);
    let policy = template.down(&["spec", "restartPolicy"]);
    if policy.text() != "Always" {
        errors.push(Error::not_supported(&policy.path(), policy.text(), &["Always"]));
    }
    let deadline = template.down(&["spec", "activeDeadlineSeconds"]);
    if deadline.is_set() {
        deadline.forbidden(errors, format!("activeDeadlineSeconds in {workload} is not Supported"));
    }
}

/// The selector selects other pods than the template makes.
pub fn mismatch(template: &At, errors: &mut Errors) {
    let labels = template.down(&["metadata", "labels"]);
    labels.invalid(errors, "`selector` does not match template `labels`");
}

/// Names and images of a template's containers, for wide columns.
pub fn containers(template: &Value) -> [Value; 2] {
    let list = template["spec"]["containers"].items();
    ["name", "image"].map(|field| {
        let texts: Vec<&str> = list.iter().map(|container| container[field].text()).collect();
        texts.join(",").into()
    })
}

/// Wide columns of workloads.
pub const CONTAINERS: Column = Column::text("Containers", "Names of the containers in the template.").wide();
/// Wide columns of workloads.
pub const IMAGES: Column = Column::text("Images", "Images of the containers in the template.").wide();
/// Wide columns of workloads.
pub const SELECTOR: Column = Column::text("Selector", "Labels by which pods are found.").wide();

/// A text, or `<none>` for an empty one.
pub fn or_none(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}
