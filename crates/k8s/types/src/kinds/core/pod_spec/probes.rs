//! Probes and lifecycle hooks of a container.

use crate::field::Errors;
use crate::names;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Checks the hooks and probes of a container that may have them. `grace` is the time the pod has to end.
pub fn validate(container: &At, grace: Option<i64>, errors: &mut Errors) {
    let lifecycle = container.get("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle[hook].is_set() {
            handler(&lifecycle.get(hook), grace, errors);
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[kind].is_set() {
            probe(&container.get(kind), kind, grace, errors);
        }
    }
}

fn probe(probe: &At, kind: &str, grace: Option<i64>, errors: &mut Errors) {
    handler(probe, grace, errors);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        check::nonnegative(&probe.get(field), errors);
    }
    let own_grace = probe.get("terminationGracePeriodSeconds");
    if own_grace.int().is_some_and(|seconds| seconds <= 0) {
        own_grace.invalid(errors, "must be greater than 0");
    }
    let successes = probe.get("successThreshold");
    if kind == "readinessProbe" {
        if own_grace.is_set() {
            own_grace.invalid(errors, "must not be set for readinessProbes");
        }
    } else if successes.int() != Some(1) {
        successes.invalid_value(errors, successes.int().unwrap_or(0), "must be 1");
    }
}

fn handler(handler: &At, grace: Option<i64>, errors: &mut Errors) {
    let mut first = true;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let at = handler.get(kind);
        if at.is_null() {
            continue;
        }
        if !std::mem::take(&mut first) {
            at.forbidden(errors, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" => {
                at.get("command").needed(errors);
            }
            "httpGet" => http(&at, errors),
            "sleep" => sleep(&at, grace, errors),
            "grpc" => check::port_number(&at.get("port"), errors),
            _ => check::port_number_or_name(&at.get("port"), errors),
        }
    }
    if first {
        handler.required(errors, "must specify a handler type");
    }
}

fn http(get: &At, errors: &mut Errors) {
    get.get("path").needed(errors);
    check::port_number_or_name(&get.get("port"), errors);
    check::one_of(&get.get("scheme"), &["HTTP", "HTTPS"], errors);
    let headers = get.get("httpHeaders");
    for header in headers.items() {
        for message in names::http_header_name(header["name"].text()) {
            headers.invalid_value(errors, header["name"].text(), message);
        }
    }
}

fn sleep(sleep: &At, grace: Option<i64>, errors: &mut Errors) {
    let seconds = sleep["seconds"].int().unwrap_or(0);
    if let Some(grace) = grace
        && (seconds < 0 || seconds > grace)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        sleep.invalid_value(errors, seconds, detail);
    }
}
