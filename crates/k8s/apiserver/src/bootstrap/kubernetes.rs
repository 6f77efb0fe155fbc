//! The `kubernetes` service in the default namespace, by which pods reach this server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_types::object;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::ensure::{Place, ensure};
use super::servers;
use crate::Config;
use crate::pki;
use crate::registry::Registry;

/// How often the machine's address is looked at.
const LOOK: Duration = Duration::from_secs(10);
const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// Writes the service with its endpoints: this server, on `port` of the machine's first address. Of a datastore that servers share,
/// [`super::servers`] looks after the endpoints.
pub async fn advertise(registry: &Registry, config: &Config, port: u16) -> Result<(), ApiError> {
    let Some(address) = address(config) else {
        tracing::warn!("no address but loopback ones: the kubernetes service has no endpoints");
        return lead_to(registry, config, port, &[]).await;
    };
    lead_to(registry, config, port, &[SocketAddr::new(address, port)]).await
}

/// Keeps the service leading here when the machine's address changes. Runs until dropped.
pub async fn follow(registry: Registry, config: Config, port: u16) {
    let mut known = address(&config);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = address_after(&config, known);
        // A link that is down for a moment takes nothing away.
        if now.is_none() || now == known {
            continue;
        }
        tracing::info!(?known, ?now, "the kubernetes service leads to another address");
        let servers: Vec<SocketAddr> = now.iter().map(|address| SocketAddr::new(*address, port)).collect();
        match lead_to(&registry, &config, port, &servers).await {
            Ok(()) => known = now,
            Err(error) => tracing::debug!(%error, "the kubernetes service does not lead there yet"),
        }
    }
}

/// The address of this machine by which the service leads here: the one that it speaks to others with.
pub fn address(config: &Config) -> Option<IpAddr> {
    address_after(config, None)
}

/// The same where there was one before, which stays as long as it is there and nothing says which other is better.
pub fn address_after(config: &Config, before: Option<IpAddr>) -> Option<IpAddr> {
    let v4 = cluster_address(config)?.is_ipv4();
    // the node has addresses of services, too, on a link for them; those are the same on every node
    let is_service = |address: &IpAddr| config.service_cidrs.iter().any(|cidr| pki::is_in(cidr, *address));
    let mut all = pki::host_addresses();
    all.retain(|address| address.is_ipv4() == v4 && !is_service(address));
    let chosen = |address: &IpAddr| all.contains(address);
    outward(v4).filter(chosen).or(before.filter(chosen)).or(all.first().copied())
}

/// The address that packets to the world would have; none without a way there. Nothing is sent.
fn outward(v4: bool) -> Option<IpAddr> {
    // Addresses of documentation: nobody's.
    let (any, world) = if v4 { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(world).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn cluster_address(config: &Config) -> Option<IpAddr> {
    config.service_cidrs.iter().find_map(|cidr| pki::first_address(cidr))
}

/// Writes the service with these endpoints.
pub async fn lead_to(registry: &Registry, config: &Config, port: u16, servers: &[SocketAddr]) -> Result<(), ApiError> {
    let Some(first) = cluster_address(config) else { return Ok(()) };
    ensure(registry, "", "services", service(first, port), service_change).await?;
    let groups = servers::by_port(servers);
    if groups.is_empty() {
        return Ok(());
    }
    ensure(registry, "", "endpoints", endpoints(&groups), change_fields(&["subsets"])).await?;
    let slices = groups.iter().enumerate().map(|(at, (port, addresses))| slice(at == 0, *port, addresses));
    let slices: Vec<Value> = slices.collect();
    for slice in &slices {
        write_slice(registry, slice).await?;
    }
    remove_others(registry, &slices).await
}

async fn write_slice(registry: &Registry, slice: &Value) -> Result<(), ApiError> {
    let place = Place::of(registry, "discovery.k8s.io", "endpointslices", slice)?;
    match place.read(registry).await? {
        Some(found) if found["addressType"] != slice["addressType"] => {
            place.delete(registry).await?;
            place.create(registry, slice.clone()).await
        }
        Some(found) => match change_fields(&["endpoints", "ports"])(&found, slice) {
            Some(changed) => place.update(registry, "", changed).await,
            None => Ok(()),
        },
        None => place.create(registry, slice.clone()).await,
    }
}

/// Slices of ports that no server has any more.
async fn remove_others(registry: &Registry, slices: &[Value]) -> Result<(), ApiError> {
    let row = registry.row("discovery.k8s.io", "endpointslices")?;
    for found in registry.list(&row, NAMESPACE).await? {
        let ours = object::label(&found, "kubernetes.io/service-name") == Some(NAME);
        let port = object::name(&found).strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-'));
        let numbered = port.is_some_and(|port| port.parse::<u16>().is_ok());
        if ours && numbered && !slices.iter().any(|slice| object::name(slice) == object::name(&found)) {
            Place::of(registry, "discovery.k8s.io", "endpointslices", &found)?.delete(registry).await?;
        }
    }
    Ok(())
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

fn endpoints(groups: &BTreeMap<u16, Vec<IpAddr>>) -> Value {
    let subset = |(port, addresses): (&u16, &Vec<IpAddr>)| {
        let addresses: Vec<Value> = addresses.iter().map(|address| json!({ "ip": address.to_string() })).collect();
        json!({ "addresses": addresses, "ports": [{ "name": "https", "port": port, "protocol": "TCP" }] })
    };
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": groups.iter().map(subset).collect::<Vec<_>>(),
    })
}

fn slice(first: bool, port: u16, addresses: &[IpAddr]) -> Value {
    let name = if first { NAME.to_owned() } else { format!("{NAME}-{port}") };
    let ipv4 = addresses.iter().all(IpAddr::is_ipv4);
    let endpoint = |address: &IpAddr| json!({ "addresses": [address.to_string()], "conditions": { "ready": true } });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": if ipv4 { "IPv4" } else { "IPv6" },
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
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
