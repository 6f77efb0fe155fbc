//! CertificateSigningRequest: what is asked, and what came of it. Its PEM is read where keys are known, in admission.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use super::conditions::{check_conditions, stamp};
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, human, name_cell, put, take};
use crate::policy::{Column, NameRule, Part, Policy};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub static SIGNING_REQUEST: Policy = Policy {
    name: NameRule::Own,
    prepare_create: |request| {
        take(request, &["status"]);
    },
    prepare_update: |new, old| keep(new, old, &["spec", "status"]),
    prepare_status: |new, old| {
        keep(new, old, &["spec"]);
        keep_metadata(new, old);
        keep_decisions(new, old);
        stamp(new, old);
    },
    validate: validate_create,
    update_alone: true,
    validate_status: |new, old, errors| {
        check_conditions(new, old, &["Approved", "Denied"], errors);
        let (ours, before) = (&new["status"]["certificate"], &old["status"]["certificate"]);
        if !before.is_unset() {
            immutable(errors, &Path::new("status").child("certificate"), ours, before);
        }
    },
    parts: &[Part {
        name: "approval",
        prepare: prepare_approval,
        validate: |new, old, errors| check_conditions(new, old, &["Failed"], errors),
    }],
    columns: &[
        Column::NAME,
        Column::AGE,
        Column::text("SignerName", "Who shall sign."),
        Column::text("Requestor", "Who asks."),
        Column::text("RequestedDuration", "For how long."),
        Column::text("Condition", "What became of it."),
    ],
    cells,
    ..Policy::NEUTRAL
};

fn keep(new: &mut Value, old: &Value, path: &[&str]) {
    for field in path {
        match old.get(*field) {
            Some(value) => put(new, &[field], value.clone()),
            None => {
                take(new, &[field]);
            }
        }
    }
}

fn keep_metadata(new: &mut Value, old: &Value) {
    for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
        match old["metadata"].get(key) {
            Some(value) => put(new, &["metadata", key], value.clone()),
            None => {
                take(new, &["metadata", key]);
            }
        }
    }
}

/// Approvals and denials are not given with the status: what the old object has stays.
fn keep_decisions(new: &mut Value, old: &Value) {
    let listed = new["status"]["conditions"].items().to_vec();
    let decision = |c: &&Value| matches!(c["type"].text(), "Approved" | "Denied");
    let missing = |c: &&Value| !listed.iter().any(|n| n["type"] == c["type"]);
    let kept: Vec<Value> =
        old["status"]["conditions"].items().iter().filter(decision).filter(missing).cloned().collect();
    if !kept.is_empty() {
        put(new, &["status", "conditions"], kept.into_iter().chain(listed).collect::<Vec<_>>());
    }
}

fn prepare_approval(new: &mut Value, old: &Value) {
    let conditions = new["status"]["conditions"].clone();
    keep(new, old, &["spec", "status"]);
    keep_metadata(new, old);
    if conditions.is_unset() {
        take(new, &["status", "conditions"]);
    } else {
        put(new, &["status", "conditions"], conditions);
    }
    stamp(new, old);
}

fn validate_create(request: &Value, errors: &mut Errors) {
    let (spec, path) = (&request["spec"], Path::new("spec"));
    let usages = spec["usages"].items();
    if usages.is_empty() {
        errors.push(Error::required(&path.child("usages"), ""));
    }
    let mut seen = HashSet::new();
    for (i, usage) in usages.iter().enumerate() {
        let path = path.child("usages").index(i);
        one_of(errors, &path, usage, &USAGES);
        if !seen.insert(usage.text()) {
            errors.push(Error::duplicate(&path, usage.clone()));
        }
    }
    let (signer, place) = (&spec["signerName"], path.child("signerName"));
    if signer.text() == "kubernetes.io/legacy-unknown" {
        errors.push(Error::invalid(
            &place,
            signer.clone(),
            "the legacy signerName is not allowed via this API version",
        ));
    } else if signer.is_unset() {
        errors.push(Error::required(&place, ""));
    } else if let Some(wrong) = signer_fault(signer.text()) {
        errors.push(Error::invalid(&place, signer.clone(), wrong));
    }
    if let Some(seconds) = spec["expirationSeconds"].int().filter(|s| *s < 600) {
        let wrong = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, wrong));
    }
}

/// What is wrong with the name of a signer, which is a domain and a path.
pub fn signer_fault(name: &str) -> Option<String> {
    let parts = name.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty());
    let Some((domain, rest)) = parts else {
        return Some("must be a fully qualified domain and path of the form 'example.com/signer-name'".to_owned());
    };
    if domain.split('.').count() < 2 {
        return Some("should be a domain with at least two segments separated by dots".to_owned());
    }
    if name.len() > 571 {
        return Some("must be no more than 571 characters".to_owned());
    }
    [domain].into_iter().chain(rest.split('.')).flat_map(names::dns1123_subdomain).next()
}

fn cells(request: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&request["spec"], &request["status"]);
    let has = |kind: &str| status["conditions"].items().iter().any(|c| c["type"] == kind);
    let decision = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if status["certificate"].is_unset() { "" } else { ",Issued" };
    vec![
        name_cell(request),
        age_cell(request, now),
        spec["signerName"].as_str().unwrap_or("<none>").into(),
        spec["username"].text().into(),
        spec["expirationSeconds"].int().map_or_else(|| "<none>".to_owned(), human).into(),
        format!("{decision}{failed}{issued}").into(),
    ]
}
