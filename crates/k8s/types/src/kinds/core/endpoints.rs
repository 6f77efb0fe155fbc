//! Endpoints: the addresses behind a service, in the old form.

use serde_json::Value;

use crate::field::Errors;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set};
use crate::policy::{At, Column, Policy, check};

/// The policy of endpoints.
pub static POLICY: Policy = Policy {
    defaults: |endpoints| {
        for subset in each(endpoints, &["subsets"]) {
            each(subset, &["ports"]).for_each(|port| or_set(port, "protocol", "TCP"));
        }
    },
    validate,
    warnings: |_, _| vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()],
    columns: &[Column::NAME, Column::text("Endpoints", "Addresses and ports."), Column::AGE],
    cells: |endpoints, now| vec![name_cell(endpoints), shown(endpoints).into(), age_cell(endpoints, now)],
    create_on_update: true,
    ..Policy::NEUTRAL
};

fn validate(endpoints: &Value, errors: &mut Errors) {
    let root = At::root(endpoints);
    for subset in root.get("subsets").each() {
        if subset["addresses"].is_unset() && subset["notReadyAddresses"].is_unset() {
            subset.required(errors, "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ["addresses", "notReadyAddresses"] {
            for address in subset.get(list).each() {
                of_address(&address, errors);
            }
        }
        let ports = subset.get("ports");
        let many = ports.items().len() > 1;
        for port in ports.each() {
            of_port(&port, many, errors);
        }
    }
}

fn of_address(address: &At, errors: &mut Errors) {
    let ip = address.get("ip");
    if let Some(found) = check::ip(&ip, errors) {
        check::not_special(&ip, found, errors);
    }
    let host = address.get("hostname");
    if !host.is_unset() {
        check::dns_label(&host, errors);
    }
    let node = address.get("nodeName");
    if node.is_set() {
        check::dns_subdomain(&node, errors);
    }
}

fn of_port(port: &At, named: bool, errors: &mut Errors) {
    let name = port.get("name");
    match name.is_unset() {
        true if named => name.required(errors, ""),
        true => {}
        false => check::dns_label(&name, errors),
    }
    check::port_number(&port.get("port"), errors);
    let protocol = port.get("protocol");
    if protocol.needed(errors) {
        check::one_of(&protocol, &["SCTP", "TCP", "UDP"], errors);
    }
    let app = port.get("appProtocol");
    if app.is_set() {
        check::qualified_name(&app, errors);
    }
}

/// The first three addresses with ports, and how many there are more.
fn shown(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in endpoints["subsets"].items() {
        let addresses = subset["addresses"].items();
        if subset["ports"].is_unset() {
            all.extend(addresses.iter().map(|address| address["ip"].text().to_owned()));
        }
        for port in subset["ports"].items() {
            for address in addresses {
                let (ip, number) = (address["ip"].text(), port["port"].int().unwrap_or(0));
                all.push(if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") });
            }
        }
    }
    match all.len() {
        0 => "<none>".to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}
