//! The `kubernetes` service in the default namespace, by which pods reach this server.

use std::net::IpAddr;

use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::ensure::{Place, ensure};
use crate::Config;
use crate::pki;
use crate::registry::Registry;

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// Writes the service with its endpoints: this server, on `port` of the machine's first address.
pub async fn advertise(registry: &Registry, config: &Config, port: u16) -> Result<(), ApiError> {
    let cluster: Vec<IpAddr> = config.service_cidrs.iter().filter_map(|cidr| pki::first_address(cidr)).collect();
    let Some(first) = cluster.first().copied() else { return Ok(()) };
    ensure(registry, "", "services", service(first, port), service_change).await?;
    let family = |address: &&IpAddr| address.is_ipv4() == first.is_ipv4();
    let addresses = pki::host_addresses();
    let Some(address) = addresses.iter().find(family) else {
        tracing::warn!("no address but loopback ones: the kubernetes service has no endpoints");
        return Ok(());
    };
    ensure(registry, "", "endpoints", endpoints(address, port), change_fields(&["subsets"])).await?;
    let slice = slice(address, port);
    let place = Place::of(registry, "discovery.k8s.io", "endpointslices", &slice)?;
    match place.read(registry).await? {
        Some(found) if found["addressType"] != slice["addressType"] => {
            place.delete(registry).await?;
            place.create(registry, slice).await
        }
        Some(found) => match change_fields(&["endpoints", "ports"])(&found, &slice) {
            Some(changed) => place.update(registry, "", changed).await,
            None => Ok(()),
        },
        None => place.create(registry, slice).await,
    }
}

fn service(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address.to_string(), "clusterIPs": [address.to_string()],
            "ipFamilies": [if address.is_ipv4() { "IPv4" } else { "IPv6" }], "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": port }],
        },
    })
}

/// Only the ports are ours; an address that was given before stays, since it cannot be changed.
fn service_change(existing: &Value, wanted: &Value) -> Option<Value> {
    let target = &wanted["spec"]["ports"][0]["targetPort"];
    if existing["spec"]["ports"][0]["targetPort"] == *target {
        return None;
    }
    let mut object = existing.clone();
    object["spec"]["ports"] = wanted["spec"]["ports"].clone();
    Some(object)
}

fn endpoints(address: &IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": address.to_string() }],
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
        }],
    })
}

fn slice(address: &IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    })
}

/// Writes these fields where they differ.
fn change_fields(fields: &'static [&'static str]) -> impl Fn(&Value, &Value) -> Option<Value> {
    move |existing, wanted| {
        if fields.iter().all(|field| existing[*field] == wanted[*field]) {
            return None;
        }
        let mut object = existing.clone();
        for field in fields {
            object[*field] = wanted[*field].clone();
        }
        Some(object)
    }
}
