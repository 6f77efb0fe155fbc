//! StatefulSet.

use serde_json::{Value, json};

use super::rollout::{self, at_most_all, int_or_percent};
use crate::field::{Error, Errors};
use crate::kinds::core::persistent_volume_claim as claim;
use crate::kinds::core::pod_template::{self, CONTAINERS, IMAGES, containers};
use crate::policy::read::{Read, age_cell, at_mut, each, name_cell, or_set, put, same, take};
use crate::policy::{At, Column, NameRule, Policy, ScalePaths, check};

/// The policy of stateful sets.
pub static POLICY: Policy = Policy {
    defaults,
    validate,
    validate_update: |new, old, errors| {
        let rest = |object: &Value| {
            let mut spec = object["spec"].clone();
            CHANGEABLE.iter().for_each(|field| drop(take(&mut spec, &[field])));
            spec
        };
        let (new_rest, old_rest) = (rest(new), rest(old));
        if !same(&new_rest, &old_rest) {
            let what = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
                forbidden";
            At::root(new).get("spec").forbidden(errors, what);
        }
    },
    validate_status: |new, old, errors| {
        let root = At::root(new);
        let status = root.get("status");
        let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        let all = [&parts[..], &["replicas", "observedGeneration", "collisionCount"]].concat();
        rollout::counts(&status, &all, &parts, errors);
        rollout::collisions(&status, old, errors);
    },
    warnings: rollout::warnings,
    columns: &[
        Column::NAME,
        Column::text("Ready", "Pods that are ready, of those that are wanted."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
    ],
    cells: |object, now| {
        let number = |value: &Value| value.int().unwrap_or(0);
        let ready = (number(&object["status"]["readyReplicas"]), number(&object["spec"]["replicas"]));
        let [names, images] = containers(&object["spec"]["template"]);
        vec![name_cell(object), format!("{}/{}", ready.0, ready.1).into(), age_cell(object, now), names, images]
    },
    scale: Some(ScalePaths::REPLICAS),
    name: NameRule::Label,
    ..Policy::SPEC_STATUS
};

/// Fields of the specification that an update may change.
const CHANGEABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn defaults(object: &mut Value) {
    rollout::template_defaults(object);
    let Some(spec) = at_mut(object, &["spec"]).filter(|spec| spec.is_object()) else { return };
    or_set(spec, "podManagementPolicy", "OrderedReady");
    or_set(spec, "replicas", 1);
    or_set(spec, "revisionHistoryLimit", 10);
    if spec["updateStrategy"]["type"].is_unset() {
        put(spec, &["updateStrategy", "type"], "RollingUpdate");
        if spec["updateStrategy"]["rollingUpdate"].is_null() {
            put(spec, &["updateStrategy", "rollingUpdate"], json!({}));
        }
    }
    if let Some(rolling) = at_mut(spec, &["updateStrategy", "rollingUpdate"]) {
        or_set(rolling, "partition", 0);
    }
    if spec["persistentVolumeClaimRetentionPolicy"].is_null() {
        put(spec, &["persistentVolumeClaimRetentionPolicy"], json!({}));
    }
    if let Some(policy) = at_mut(spec, &["persistentVolumeClaimRetentionPolicy"]) {
        or_set(policy, "whenDeleted", "Retain");
        or_set(policy, "whenScaled", "Retain");
    }
    for template in each(spec, &["volumeClaimTemplates"]) {
        or_set(template, "apiVersion", "v1");
        or_set(template, "kind", "PersistentVolumeClaim");
        (claim::POLICY.defaults)(template);
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let root = At::root(object);
    let spec = root.get("spec");
    let management = spec.get("podManagementPolicy");
    if management.needed(errors) && !["OrderedReady", "Parallel"].contains(&management.text()) {
        management.invalid(errors, "must be 'OrderedReady' or 'Parallel'");
    }
    strategy(&spec.get("updateStrategy"), errors);
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        check::one_of(&retention.get(field), &["Retain", "Delete"], errors);
    }
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        check::nonnegative(&spec.get(field), errors);
    }
    check::nonnegative(&spec.down(&["ordinals", "start"]), errors);
    let template = spec.get("template");
    let selected = rollout::selector(&spec, &template, "empty selector is invalid for statefulset", errors);
    let with_claims = with_claims(&spec);
    pod_template::of_workload(&template.with(&with_claims), selected, "StatefulSet", errors);
}

/// The template with a volume for every claim that its pods get.
fn with_claims(spec: &At) -> Value {
    let mut template = spec["template"].clone();
    let mut volumes = template["spec"]["volumes"].items().to_vec();
    for claim in spec["volumeClaimTemplates"].items() {
        let name = &claim["metadata"]["name"];
        volumes.retain(|volume| volume["name"] != *name);
        volumes.push(json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }));
    }
    if !volumes.is_empty() {
        put(&mut template, &["spec", "volumes"], volumes);
    }
    template
}

fn strategy(strategy: &At, errors: &mut Errors) {
    const EITHER: &str = "must be 'RollingUpdate' or 'OnDelete'";
    let rolling = strategy.get("rollingUpdate");
    match strategy["type"].text() {
        "" => strategy.required(errors, ""),
        "OnDelete" => {
            if rolling.is_set() {
                rolling.invalid(errors, "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => {
            check::nonnegative(&rolling.get("partition"), errors);
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                int_or_percent(&unavailable, errors);
                if rollout::is_none(&unavailable) {
                    unavailable.invalid(errors, "cannot be 0");
                }
                at_most_all(&unavailable, errors);
            }
        }
        _ => errors.push(Error::invalid(&strategy.path(), strategy.value().clone(), EITHER)),
    }
}
