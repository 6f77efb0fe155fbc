//! NetworkPolicy: who may talk to the pods it selects.

use serde_json::{Value, json};

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{label_selector, masked, named, one_of, parse_cidr, port_number};
use crate::names;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set, put, selector_text};
use crate::policy::{Column, Policy, prepare};

pub static NETWORK_POLICY: Policy = Policy {
    defaults,
    prepare_create: |policy| put(policy, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate: |policy, errors| check(policy, &[], errors),
    validate_update: |new, old, errors| check(new, &ranges(old), errors),
    update_alone: true,
    columns: &[Column::NAME, Column::text("Pod-Selector", "The pods it is about."), Column::AGE],
    cells: |policy, now| {
        let selector = &policy["spec"]["podSelector"];
        let text = selector_text(selector);
        let text = if text.is_empty() { "<none>".to_owned() } else { text };
        vec![name_cell(policy), text.into(), age_cell(policy, now)]
    },
    ..Policy::NEUTRAL
};

fn defaults(policy: &mut Value) {
    for rules in ["ingress", "egress"] {
        for rule in each(policy, &["spec", rules]) {
            for port in each(rule, &["ports"]) {
                or_set(port, "protocol", "TCP");
            }
        }
    }
    let spec = &policy["spec"];
    if spec.is_object() && spec["policyTypes"].is_unset() {
        let both = !spec["egress"].items().is_empty();
        let types = if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        put(policy, &["spec", "policyTypes"], types);
    }
}

/// Every address range that a policy names.
fn ranges(policy: &Value) -> Vec<String> {
    let peers = |rules: &str, list: &str| -> Vec<Value> {
        let rules = policy["spec"][rules].items().iter();
        rules.flat_map(|rule| rule[list].items()).map(|peer| peer["ipBlock"].clone()).collect()
    };
    let blocks = peers("ingress", "from").into_iter().chain(peers("egress", "to"));
    let texts = blocks.flat_map(|block| {
        let except = block["except"].items().iter().map(|e| e.text().to_owned());
        except.chain([block["cidr"].text().to_owned()]).collect::<Vec<_>>()
    });
    texts.collect()
}

fn check(policy: &Value, known: &[String], errors: &mut Errors) {
    let (spec, path) = (&policy["spec"], Path::new("spec"));
    label_selector(errors, &path.child("podSelector"), &spec["podSelector"]);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in spec[rules].items().iter().enumerate() {
            let path = path.child(rules).index(i);
            for (i, port) in rule["ports"].items().iter().enumerate() {
                check_port(port, &path.child("ports").index(i), errors);
            }
            for (i, peer) in rule[peers].items().iter().enumerate() {
                check_peer(peer, known, &path.child(peers).index(i), errors);
            }
        }
    }
    let (types, path) = (&spec["policyTypes"], path.child("policyTypes"));
    if types.items().len() > 2 {
        errors.push(Error::invalid(&path, types.clone(), "may not specify more than two policyTypes"));
        return;
    }
    for (i, kind) in types.items().iter().enumerate() {
        one_of(errors, &path.index(i), kind, &["Ingress", "Egress"]);
    }
}

fn check_port(port: &Value, path: &Path, errors: &mut Errors) {
    one_of(errors, &path.child("protocol"), &port["protocol"], &["TCP", "UDP", "SCTP"]);
    let (number, end) = (&port["port"], &port["endPort"]);
    let end_path = path.child("endPort");
    match (number, end.int()) {
        (Value::Number(_), end) => {
            let first = number.int().unwrap_or(0);
            port_number(errors, &path.child("port"), first);
            if let Some(end) = end {
                if end < first {
                    errors.push(Error::invalid(&end_path, end, "must be greater than or equal to `port`"));
                }
                port_number(errors, &end_path, end);
            }
        }
        (Value::String(_), end) => {
            if let Some(end) = end {
                errors.push(Error::invalid(&end_path, end, "may not be specified when `port` is non-numeric"));
            }
            named(errors, &path.child("port"), number, names::port_name);
        }
        (_, Some(end)) => {
            errors.push(Error::invalid(&end_path, end, "may not be specified when `port` is not specified"));
        }
        _ => {}
    }
}

fn check_peer(peer: &Value, known: &[String], path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for selector in ["podSelector", "namespaceSelector"] {
        if peer[selector].is_set() {
            count += 1;
            label_selector(errors, &path.child(selector), &peer[selector]);
        }
    }
    let block = &peer["ipBlock"];
    if block.is_set() {
        count += 1;
        check_block(block, known, &path.child("ipBlock"), errors);
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a peer"));
    } else if count > 1 && block.is_set() {
        errors.push(Error::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn check_block(block: &Value, known: &[String], path: &Path, errors: &mut Errors) {
    if block["cidr"].is_unset() {
        errors.push(Error::required(&path.child("cidr"), ""));
        return;
    }
    let Some((ip, prefix)) = range(&block["cidr"], known, &path.child("cidr"), errors) else { return };
    for (i, except) in block["except"].items().iter().enumerate() {
        let path = path.child("except").index(i);
        let Some((inner, inner_prefix)) = range(except, known, &path, errors) else { continue };
        let inside = inner.is_ipv4() == ip.is_ipv4() && masked(inner, prefix) == masked(ip, prefix);
        if !inside || prefix >= inner_prefix {
            errors.push(Error::invalid(&path, except.clone(), "must be a strict subset of `cidr`"));
        }
    }
}

/// An address range of an old field: bits beyond the prefix are let pass where they were there before.
fn range(value: &Value, known: &[String], path: &Path, errors: &mut Errors) -> Option<(std::net::IpAddr, u8)> {
    let parsed = parse_cidr(value.text());
    if parsed.is_none() && !known.iter().any(|text| text == value.text()) {
        let wrong = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(Error::invalid(path, value.clone(), wrong));
    }
    parsed
}
