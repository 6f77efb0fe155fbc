//! ReplicaSet.

use super::rollout;
use crate::kinds::core::replication_controller::{COLUMNS, cells, count_field, replica_status};
use crate::policy::read::{at_mut, or_set, selector_text};
use crate::policy::{At, Policy, ScalePaths, check};

/// The policy of replica sets.
pub static POLICY: Policy = Policy {
    defaults: |object| {
        rollout::template_defaults(object);
        if let Some(spec) = at_mut(object, &["spec"]) {
            or_set(spec, "replicas", 1);
        }
    },
    validate: |object, errors| {
        let root = At::root(object);
        let spec = root.get("spec");
        check::nonnegative(&spec.get("replicas"), errors);
        check::nonnegative(&spec.get("minReadySeconds"), errors);
        rollout::selected_template(&spec, "empty selector is invalid for deployment", "ReplicaSet", errors);
    },
    validate_update: |new, old, errors| {
        let root = At::root(new);
        check::immutable(&root.down(&["spec", "selector"]), &old["spec"]["selector"], errors);
    },
    validate_status: |new, _, errors| replica_status(&At::root(new).get("status"), errors),
    warnings: rollout::warnings,
    columns: COLUMNS,
    cells: |object, now| cells(object, selector_text(&object["spec"]["selector"]).into(), now),
    scale: Some(ScalePaths::REPLICAS),
    field: count_field,
    ..Policy::SPEC_STATUS
};
