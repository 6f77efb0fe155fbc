//! EndpointSlice: some of the addresses behind a service.

use std::collections::HashSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, ip_fault, named, required_one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set, put, take};
use crate::policy::{Column, Policy};

pub static ENDPOINT_SLICE: Policy = Policy {
    defaults,
    prepare_create: |slice| put(slice, &["metadata", "generation"], 1),
    prepare_update,
    validate,
    validate_update: |new, old, errors| {
        immutable(errors, &Path::new("addressType"), &new["addressType"], &old["addressType"]);
    },
    columns: &[
        Column::NAME,
        Column::text("AddressType", "The sort of addresses in it."),
        Column::text("Ports", "Ports of every endpoint."),
        Column::text("Endpoints", "The first addresses."),
        Column::AGE,
    ],
    cells,
    ..Policy::NEUTRAL
};

fn defaults(slice: &mut Value) {
    for port in each(slice, &["ports"]) {
        if port["name"].is_null() {
            put(port, &["name"], "");
        }
        or_set(port, "protocol", "TCP");
    }
}

fn prepare_update(new: &mut Value, old: &Value) {
    let without = |object: &Value| {
        let mut object = object.clone();
        take(&mut object, &["metadata"]);
        object
    };
    let changed = without(new) != without(old) || new["metadata"]["labels"] != old["metadata"]["labels"];
    let generation = old["metadata"]["generation"].int().unwrap_or(0);
    put(new, &["metadata", "generation"], generation + i64::from(changed));
}

fn validate(slice: &Value, errors: &mut Errors) {
    required_one_of(errors, &Path::new("addressType"), &slice["addressType"], &["FQDN", "IPv4", "IPv6"]);
    let path = Path::new("endpoints");
    let endpoints = slice["endpoints"].items();
    if endpoints.len() > 1000 {
        errors.push(Error::too_many(&path, endpoints.len(), 1000));
    } else {
        for (i, endpoint) in endpoints.iter().enumerate() {
            check_endpoint(endpoint, slice["addressType"].text(), &path.index(i), errors);
        }
    }
    check_ports(slice["ports"].items(), &Path::new("ports"), errors);
}

fn check_endpoint(endpoint: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    let list = path.child("addresses");
    let addresses = endpoint["addresses"].items();
    if addresses.is_empty() {
        errors.push(Error::required(&list, "must contain at least 1 address"));
    } else if addresses.len() > 100 {
        errors.push(Error::too_many(&list, addresses.len(), 100));
    }
    for (i, address) in addresses.iter().enumerate() {
        check_address(address, kind, &list.index(i), errors);
    }
    if endpoint["hostname"].is_set() {
        named(errors, &path.child("hostname"), &endpoint["hostname"], names::dns1123_label);
    }
    if endpoint["nodeName"].is_set() {
        named(errors, &path.child("nodeName"), &endpoint["nodeName"], names::dns1123_subdomain);
    }
    let topology = endpoint["deprecatedTopology"].fields();
    if topology.len() > 16 {
        errors.push(Error::too_many(&path.child("deprecatedTopology"), topology.len(), 16));
    }
    if !topology.is_empty() && endpoint["deprecatedTopology"]["kubernetes.io/hostname"].is_set() {
        let path = path.child("deprecatedTopology").key("kubernetes.io/hostname");
        errors.push(Error::invalid(
            &path,
            endpoint["deprecatedTopology"]["kubernetes.io/hostname"].clone(),
            "may not be set",
        ));
    }
    let hints = &endpoint["hints"];
    let list = path.child("hints").child("forZones");
    let mut seen = HashSet::new();
    if hints["forZones"].items().len() > 8 {
        errors.push(Error::too_many(&list, hints["forZones"].items().len(), 8));
        return;
    }
    for (i, zone) in hints["forZones"].items().iter().enumerate() {
        let path = list.index(i).child("name");
        if !seen.insert(zone["name"].text()) {
            errors.push(Error::duplicate(&path, zone["name"].clone()));
        }
        if zone["name"].is_unset() {
            errors.push(Error::required(&path, ""));
        } else {
            named(errors, &path, &zone["name"], names::label_value);
        }
    }
}

fn check_address(address: &Value, kind: &str, path: &Path, errors: &mut Errors) {
    if kind == "FQDN" {
        let text = address.text();
        if text.is_empty() {
            errors.push(Error::required(path, ""));
            return;
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        named(errors, path, &Value::from(name), names::dns1123_subdomain);
        if !name.contains('.') {
            errors.push(Error::invalid(path, text, "should be a domain with at least two segments separated by dots"));
        }
        return;
    }
    let (wanted, wrong) = match kind {
        "IPv4" => (true, "must be an IPv4 address"),
        "IPv6" => (false, "must be an IPv6 address"),
        _ => return,
    };
    let fault = ip_fault(address.text());
    match address.text().parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv4() != wanted => errors.push(Error::invalid(path, address.clone(), wrong)),
        Ok(ip) => {
            if let Some(wrong) = fault {
                errors.push(Error::invalid(path, address.clone(), wrong));
            }
            special_address(ip, address, path, errors);
        }
        Err(_) => errors.push(Error::invalid(path, address.clone(), fault.unwrap_or_default())),
    }
}

fn special_address(ip: IpAddr, value: &Value, path: &Path, errors: &mut Errors) {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    let faults = [
        (ip.is_unspecified(), format!("may not be unspecified ({})", value.text())),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    for (_, wrong) in faults.into_iter().filter(|(found, _)| *found) {
        errors.push(Error::invalid(path, value.clone(), wrong));
    }
}

fn check_ports(ports: &[Value], list: &Path, errors: &mut Errors) {
    if ports.len() > 20_000 {
        errors.push(Error::too_many(list, ports.len(), 20_000));
        return;
    }
    let mut seen = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = list.index(i);
        if !port["name"].text().is_empty() {
            named(errors, &path.child("name"), &port["name"], names::dns1123_label);
        }
        if !seen.insert(port["name"].text()) {
            errors.push(Error::duplicate(&path.child("name"), port["name"].clone()));
        }
        required_one_of(errors, &path.child("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        if port["appProtocol"].is_set() {
            named(errors, &path.child("appProtocol"), &port["appProtocol"], names::qualified_name);
        }
    }
}

fn cells(slice: &Value, now: Timestamp) -> Vec<Value> {
    let endpoints = slice["endpoints"].items().iter().flat_map(|e| e["addresses"].items());
    let endpoints: Vec<String> = endpoints.map(|a| a.text().to_owned()).collect();
    let ports = slice["ports"].items();
    let ports = if ports.is_empty() {
        "<unset>".to_owned()
    } else {
        let text = |p: &Value| p["port"].int().map_or_else(|| "*".to_owned(), |n| n.to_string());
        some_and_more(&ports.iter().map(text).collect::<Vec<_>>())
    };
    let endpoints = if endpoints.is_empty() { "<unset>".to_owned() } else { some_and_more(&endpoints) };
    vec![name_cell(slice), slice["addressType"].text().into(), ports.into(), endpoints.into(), age_cell(slice, now)]
}

fn some_and_more(texts: &[String]) -> String {
    match texts.len() {
        0..=3 => texts.join(","),
        count => format!("{} + {} more...", texts[..3].join(","), count - 3),
    }
}
