//! Admission policies written in CEL, and what binds them.

use serde_json::Value;

use super::matching::{check_conditions, check_rule, defaults};
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{label_selector, named, one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell, or_set, put};
use crate::policy::{Column, Policy, prepare};

const POLICY: Policy = Policy {
    defaults: |policy| {
        let Some(spec) = policy.get_mut("spec").filter(|spec| spec.is_object()) else { return };
        or_set(spec, "failurePolicy", "Fail");
        if let Some(matching) = spec.get_mut("matchConstraints").filter(|m| m.is_object()) {
            defaults(matching, &["resourceRules", "excludeResourceRules"]);
        }
    },
    ..Policy::SPEC_STATUS
};

const BINDING: Policy = Policy {
    defaults: |binding| {
        if let Some(matching) =
            binding.get_mut("spec").and_then(|s| s.get_mut("matchResources")).filter(|m| m.is_object())
        {
            defaults(matching, &["resourceRules", "excludeResourceRules"]);
        }
    },
    prepare_create: |binding| put(binding, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    warnings: |_, _| vec!["admission policies are stored but not evaluated by this server yet".to_owned()],
    columns: &[
        Column::NAME,
        Column::text("PolicyName", "The policy that is bound."),
        Column::text("ParamRef", "Its parameters."),
        Column::AGE,
    ],
    cells: |binding, now| {
        let spec = &binding["spec"];
        let reference = &spec["paramRef"];
        let text = match (reference.is_null(), reference["namespace"].text()) {
            (true, _) => "<unset>".to_owned(),
            (false, "") => format!("*/{}", reference["name"].text()),
            (false, namespace) => format!("{namespace}/{}", reference["name"].text()),
        };
        vec![name_cell(binding), spec["policyName"].text().into(), text.into(), age_cell(binding, now)]
    },
    ..Policy::NEUTRAL
};

pub static VALIDATING: Policy = Policy {
    validate: validate_validating,
    columns: &[
        Column::NAME,
        Column::integer("Validations", "How many rules there are."),
        Column::text("ParamKind", "The kind of its parameters."),
        Column::AGE,
    ],
    cells: |policy, now| cells(policy, "validations", now),
    ..POLICY
};

pub static MUTATING: Policy = Policy {
    defaults: |policy| {
        (POLICY.defaults)(policy);
        if let Some(spec) = policy.get_mut("spec").filter(|spec| spec.is_object()) {
            or_set(spec, "reinvocationPolicy", "Never");
        }
    },
    prepare_create: |policy| put(policy, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate: validate_mutating,
    columns: &[
        Column::NAME,
        Column::integer("Mutations", "How many changes there are."),
        Column::text("ParamKind", "The kind of its parameters."),
        Column::AGE,
    ],
    cells: |policy, now| cells(policy, "mutations", now),
    ..POLICY
};

pub static VALIDATING_BINDING: Policy = Policy {
    validate: |binding, errors| {
        check_binding(binding, errors);
        check_actions(&binding["spec"]["validationActions"], errors);
    },
    ..BINDING
};

pub static MUTATING_BINDING: Policy = Policy { validate: check_binding, ..BINDING };

fn cells(policy: &Value, list: &str, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &policy["spec"];
    let kind = &spec["paramKind"];
    let kind = match kind.is_null() {
        true => "<unset>".to_owned(),
        false => format!("{}/{}", kind["apiVersion"].text(), kind["kind"].text()),
    };
    vec![name_cell(policy), spec[list].items().len().into(), kind.into(), age_cell(policy, now)]
}

fn check_common(spec: &Value, path: &Path, errors: &mut Errors) {
    one_of(errors, &path.child("failurePolicy"), &spec["failurePolicy"], &["Fail", "Ignore"]);
    let (kind, place) = (&spec["paramKind"], path.child("paramKind"));
    if kind.is_set() {
        for field in ["apiVersion", "kind"] {
            if kind[field].is_unset() {
                errors.push(Error::required(&place.child(field), ""));
            }
        }
    }
    let place = path.child("matchConstraints");
    if spec["matchConstraints"].is_null() {
        errors.push(Error::required(&place, ""));
    } else {
        check_matching(&spec["matchConstraints"], true, &place, errors);
    }
    check_conditions(&spec["matchConditions"], &path.child("matchConditions"), errors);
    for (i, variable) in spec["variables"].items().iter().enumerate() {
        let path = path.child("variables").index(i);
        if variable["name"].is_unset() {
            errors.push(Error::required(&path.child("name"), "name is not specified"));
        } else if !identifier(variable["name"].text()) {
            errors.push(Error::invalid(
                &path.child("name"),
                variable["name"].clone(),
                "name is not a valid CEL identifier",
            ));
        }
        if variable["expression"].text().trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), "expression is not specified"));
        }
    }
}

fn identifier(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_matching(matching: &Value, rules_required: bool, path: &Path, errors: &mut Errors) {
    if rules_required && matching["resourceRules"].items().is_empty() {
        errors.push(Error::required(&path.child("resourceRules"), ""));
    }
    one_of(errors, &path.child("matchPolicy"), &matching["matchPolicy"], &["Equivalent", "Exact"]);
    label_selector(errors, &path.child("namespaceSelector"), &matching["namespaceSelector"]);
    label_selector(errors, &path.child("objectSelector"), &matching["objectSelector"]);
    for list in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in matching[list].items().iter().enumerate() {
            check_rule(rule, true, &path.child(list.to_owned()).index(i), errors);
        }
    }
}

fn validate_validating(policy: &Value, errors: &mut Errors) {
    let (spec, path) = (&policy["spec"], Path::new("spec"));
    check_common(spec, &path, errors);
    let (validations, audits) = (spec["validations"].items(), spec["auditAnnotations"].items());
    if validations.is_empty() && audits.is_empty() {
        let wrong = "validations or auditAnnotations must be non-empty";
        errors.push(Error::required(&path.child("validations"), wrong));
        errors.push(Error::required(&path.child("auditAnnotations"), wrong));
    }
    for (i, validation) in validations.iter().enumerate() {
        check_validation(validation, &path.child("validations").index(i), errors);
    }
    if audits.len() > 20 {
        let wrong = format!("must not have more than 20 auditAnnotations but got {}", audits.len());
        errors.push(Error::invalid(&path.child("auditAnnotations"), spec["auditAnnotations"].clone(), wrong));
    }
    for (i, audit) in audits.iter().enumerate() {
        let path = path.child("auditAnnotations").index(i);
        named(errors, &path.child("key"), &audit["key"], names::qualified_name);
        if audit["valueExpression"].text().trim().is_empty() {
            errors.push(Error::required(&path.child("valueExpression"), "valueExpression is not specified"));
        }
    }
}

fn check_validation(validation: &Value, path: &Path, errors: &mut Errors) {
    if validation["expression"].text().trim().is_empty() {
        errors.push(Error::required(&path.child("expression"), "expression is not specified"));
    }
    let (message, text) = (&validation["message"], validation["message"].text());
    if validation["messageExpression"].is_set() && validation["messageExpression"].text().trim().is_empty() {
        let wrong = "must be non-empty if specified";
        errors.push(Error::invalid(&path.child("messageExpression"), validation["messageExpression"].clone(), wrong));
    }
    if !text.is_empty() && text.trim().is_empty() {
        errors.push(Error::invalid(&path.child("message"), message.clone(), "message must be non-empty if specified"));
    } else if text.contains('\n') {
        errors.push(Error::invalid(&path.child("message"), message.clone(), "message must not contain line breaks"));
    }
    let reasons = ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"];
    one_of(errors, &path.child("reason"), &validation["reason"], &reasons);
}

fn validate_mutating(policy: &Value, errors: &mut Errors) {
    let (spec, path) = (&policy["spec"], Path::new("spec"));
    check_common(spec, &path, errors);
    if spec["mutations"].items().is_empty() {
        errors.push(Error::required(&path.child("mutations"), "mutations must contain at least one item"));
    }
    for (i, mutation) in spec["mutations"].items().iter().enumerate() {
        let path = path.child("mutations").index(i);
        let (field, other) = match mutation["patchType"].text() {
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
            "JSONPatch" => ("jsonPatch", "applyConfiguration"),
            "" => {
                errors.push(Error::required(&path.child("patchType"), ""));
                continue;
            }
            kind => {
                let known = ["ApplyConfiguration", "JSONPatch"];
                errors.push(Error::not_supported(&path.child("patchType"), kind, &known));
                continue;
            }
        };
        if mutation[field].is_null() {
            errors.push(Error::required(
                &path.child(field),
                format!("must be specified when patchType is {}", mutation["patchType"].text()),
            ));
        } else if mutation[field]["expression"].text().trim().is_empty() {
            errors.push(Error::required(&path.child(field).child("expression"), "expression is not specified"));
        }
        if mutation[other].is_set() {
            errors.push(Error::invalid(
                &path.child(other),
                "",
                format!("must not be specified when patchType is {}", mutation["patchType"].text()),
            ));
        }
    }
    if spec["reinvocationPolicy"].is_unset() {
        errors.push(Error::required(&path.child("reinvocationPolicy"), ""));
    }
    one_of(errors, &path.child("reinvocationPolicy"), &spec["reinvocationPolicy"], &["IfNeeded", "Never"]);
}

fn check_binding(binding: &Value, errors: &mut Errors) {
    let (spec, path) = (&binding["spec"], Path::new("spec"));
    if spec["policyName"].is_unset() {
        errors.push(Error::required(&path.child("policyName"), ""));
    } else {
        named(errors, &path.child("policyName"), &spec["policyName"], names::dns1123_subdomain);
    }
    let (reference, place) = (&spec["paramRef"], path.child("paramRef"));
    if reference.is_set() {
        match (!reference["name"].is_unset(), reference["selector"].is_set()) {
            (true, true) => {
                let wrong = "name and selector are mutually exclusive";
                errors.push(Error::forbidden(&place.child("name"), wrong));
                errors.push(Error::forbidden(&place.child("selector"), wrong));
            }
            (false, false) => errors.push(Error::required(&place, "one of name or selector must be specified")),
            (true, false) => named(errors, &place.child("name"), &reference["name"], names::path_segment),
            (false, true) => label_selector(errors, &place.child("selector"), &reference["selector"]),
        }
        if reference["parameterNotFoundAction"].is_null() {
            errors.push(Error::required(&place.child("parameterNotFoundAction"), ""));
        }
        one_of(
            errors,
            &place.child("parameterNotFoundAction"),
            &reference["parameterNotFoundAction"],
            &["Deny", "Allow"],
        );
    }
    if spec["matchResources"].is_set() {
        check_matching(&spec["matchResources"], false, &path.child("matchResources"), errors);
    }
}

fn check_actions(actions: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("validationActions");
    let list: Vec<&str> = actions.items().iter().map(Read::text).collect();
    if list.is_empty() {
        errors.push(Error::required(&path, "at least one validation action is required"));
    }
    for (i, action) in actions.items().iter().enumerate() {
        one_of(errors, &path.index(i), action, &["Audit", "Deny", "Warn"]);
        if list[..i].contains(&action.text()) {
            errors.push(Error::duplicate(&path.index(i), action.clone()));
        }
    }
    if list.contains(&"Deny") && list.contains(&"Warn") {
        let wrong = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(Error::invalid(&path, actions.clone(), wrong));
    }
}
