//! Networks and volumes, both ways.

use std::collections::BTreeMap;
use std::net::IpAddr;

use docker_types::{network as wire, volume};

use super::{non_empty_map, system_time, time, widen};
use crate::error::ApiError;

/// A request to make a network.
pub fn spec_in(request: wire::CreateRequest) -> Result<engine::NetworkSpec, ApiError> {
    if request.config_only || request.config_from.as_ref().is_some_and(|from| !from.network.is_empty()) {
        return Err(ApiError::unimplemented("config-only networks"));
    }
    if request.ingress || request.scope == "swarm" {
        return Err(ApiError::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ));
    }
    let ipam = request.ipam.unwrap_or_default();
    Ok(engine::NetworkSpec {
        name: request.name,
        driver: request.driver,
        internal: request.internal,
        attachable: request.attachable,
        ipv4: request.enable_ipv4,
        ipv6: request.enable_ipv6.unwrap_or(false),
        ipam: engine::Ipam {
            driver: ipam.driver,
            options: ipam.options.unwrap_or_default(),
            pools: ipam.config.unwrap_or_default().into_iter().map(pool_in).collect::<Result<_, _>>()?,
        },
        options: request.options.unwrap_or_default(),
        labels: request.labels.unwrap_or_default(),
    })
}

fn pool_in(pool: wire::IpamPool) -> Result<engine::IpamPool, ApiError> {
    let subnet = |what: &str, text: &str| {
        text.parse::<engine::Subnet>()
            .map_err(|_| ApiError::bad_request(format!("invalid {what} {text}: invalid CIDR block")))
    };
    let address = |what: &str, text: &str| {
        text.parse::<IpAddr>().map_err(|_| ApiError::bad_request(format!("invalid {what} address: {text:?}")))
    };
    let reserved = pool.auxiliary_addresses.unwrap_or_default().into_iter();
    Ok(engine::IpamPool {
        subnet: subnet("subnet", &pool.subnet)?,
        range: (!pool.ip_range.is_empty()).then(|| subnet("ip-range", &pool.ip_range)).transpose()?,
        gateway: (!pool.gateway.is_empty()).then(|| address("gateway", &pool.gateway)).transpose()?,
        reserved: reserved
            .map(|(name, text)| Ok((name, address("auxiliary", &text)?)))
            .collect::<Result<_, ApiError>>()?,
    })
}

/// A network; `endpoints` are shown by inspection, not by lists.
pub fn network(network: engine::Network, endpoints: Vec<engine::Endpoint>) -> wire::Network {
    let driver = match network.ipam.driver.as_str() {
        "" => "default".to_owned(),
        other => other.to_owned(),
    };
    wire::Network {
        name: network.name,
        id: network.id.to_string(),
        created: system_time(network.created),
        scope: "local".to_owned(),
        driver: network.driver.as_str().to_owned(),
        enable_ipv4: network.ipv4,
        enable_ipv6: network.ipv6,
        ipam: wire::Ipam {
            driver,
            options: non_empty_map(network.ipam.options),
            config: Some(network.ipam.pools.into_iter().map(pool_out).collect()),
        },
        internal: network.internal,
        attachable: network.attachable,
        ingress: false,
        config_from: wire::ConfigReference::default(),
        config_only: false,
        containers: endpoints.into_iter().map(resource).collect(),
        options: network.options,
        labels: network.labels,
    }
}

fn pool_out(pool: engine::IpamPool) -> wire::IpamPool {
    let reserved: BTreeMap<_, _> =
        pool.reserved.into_iter().map(|(name, address)| (name, address.to_string())).collect();
    wire::IpamPool {
        subnet: pool.subnet.to_string(),
        ip_range: pool.range.map(|range| range.to_string()).unwrap_or_default(),
        gateway: pool.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        auxiliary_addresses: non_empty_map(reserved),
    }
}

fn resource(end: engine::Endpoint) -> (String, wire::EndpointResource) {
    let with_prefix = |address: String, prefix: u8| format!("{address}/{prefix}");
    let resource = wire::EndpointResource {
        name: end.container_name,
        endpoint_id: end.id.to_string(),
        mac_address: end.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ipv4_address: end.ipv4.map(|(a, p)| with_prefix(a.to_string(), p)).unwrap_or_default(),
        ipv6_address: end.ipv6.map(|(a, p)| with_prefix(a.to_string(), p)).unwrap_or_default(),
    };
    (end.container, resource)
}

/// A volume; its use is shown only where it was asked for.
pub fn volume(volume: engine::Volume) -> volume::Volume {
    let usage = volume.size.zip(volume.references);
    volume::Volume {
        created_at: time(volume.created),
        driver: volume.driver,
        labels: non_empty_map(volume.labels),
        mountpoint: volume.mountpoint,
        name: volume.name,
        options: non_empty_map(volume.options),
        scope: "local".to_owned(),
        usage_data: usage
            .map(|(size, references)| volume::UsageData { ref_count: widen(references), size: widen(size) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: serde_json::Value) -> Result<engine::NetworkSpec, String> {
        spec_in(docker_types::from_value(value).unwrap()).map_err(|e| e.message)
    }

    #[test]
    fn pools_are_read_or_refused() {
        let read =
            spec(json!({"Name": "n", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]}})).unwrap();
        assert_eq!(read.ipam.pools[0].subnet.to_string(), "10.9.0.0/24");
        assert_eq!(
            spec(json!({"IPAM": {"Config": [{"Subnet": "10.9.0"}]}})).unwrap_err(),
            "invalid subnet 10.9.0: invalid CIDR block"
        );
        assert_eq!(
            spec(json!({"IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "x"}]}})).unwrap_err(),
            "invalid gateway address: \"x\""
        );
        assert_eq!(spec(json!({"Name": "n", "IPAM": null})).unwrap().ipam, engine::Ipam::default());
    }
}
