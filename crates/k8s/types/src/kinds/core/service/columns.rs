//! What `kubectl get services` shows.

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::core::pod_template::or_none;
use crate::policy::Column;
use crate::policy::read::{Read, age_cell, labels_text, name_cell};

/// The columns.
pub const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Type", "How the service is reached."),
    Column::text("Cluster-IP", "Address inside of the cluster."),
    Column::text("External-IP", "Addresses from outside of the cluster."),
    Column::text("Port(s)", "Ports, with the nodes' port after a colon."),
    Column::AGE,
    Column::text("Selector", "Labels of the pods behind the service.").wide(),
];

/// The cells of those columns.
pub fn cells(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    let ip = match spec["clusterIPs"][0].text() {
        "" => spec["clusterIP"].text(),
        ip => ip,
    };
    vec![
        name_cell(service),
        spec["type"].text().into(),
        or_none(ip.to_owned()),
        external(service).into(),
        or_none(ports(spec)),
        age_cell(service, now),
        or_none(labels_text(&spec["selector"])),
    ]
}

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let own: Vec<&str> = spec["externalIPs"].items().iter().map(Read::text).collect();
    let or = |list: Vec<&str>, none: &str| if list.is_empty() { none.to_owned() } else { list.join(",") };
    match spec["type"].text() {
        "ExternalName" => spec["externalName"].text().to_owned(),
        "LoadBalancer" => {
            let mut balancers: Vec<&str> = service["status"]["loadBalancer"]["ingress"]
                .items()
                .iter()
                .map(|ingress| if ingress["ip"].is_unset() { &ingress["hostname"] } else { &ingress["ip"] }.text())
                .filter(|text| !text.is_empty())
                .collect();
            balancers.sort_unstable();
            balancers.dedup();
            balancers.extend(own);
            or(balancers, "<pending>")
        }
        _ => or(own, "<none>"),
    }
}

fn ports(spec: &Value) -> String {
    let texts = spec["ports"].items().iter().map(|port| {
        let (number, protocol) = (port["port"].int().unwrap_or(0), port["protocol"].text());
        match port["nodePort"].int().unwrap_or(0) {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    });
    texts.collect::<Vec<_>>().join(",")
}
