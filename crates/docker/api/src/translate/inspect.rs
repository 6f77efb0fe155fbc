//! Views of containers.

use std::collections::BTreeMap;

use docker_types::host::{PortBinding, PortMap};
use docker_types::inspect as wire;
use docker_types::network::{EndpointIpam, EndpointSettings};

use super::{create, host, non_empty, non_empty_map, time, time_or_never, widen};

/// Name of the network whose addresses stand at the top of the network settings too.
const DEFAULT_NETWORK: &str = "bridge";

/// The answer of `containers/{id}/json`.
pub fn inspect(container: engine::Container) -> wire::Inspect {
    let running = container.state.running;
    let network_settings = network_settings(&container.network, &container.config, running);
    wire::Inspect {
        id: container.id,
        created: time(container.created),
        path: container.path,
        args: container.args,
        state: state(container.state),
        image: container.image,
        resolv_conf_path: container.resolv_conf_path,
        hostname_path: container.hostname_path,
        hosts_path: container.hosts_path,
        log_path: container.log_path,
        name: format!("/{}", container.name),
        restart_count: container.restart_count.into(),
        graph_driver: wire::DriverData { data: non_empty_map(container.driver_data), name: container.driver.clone() },
        driver: container.driver,
        platform: container.platform,
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: non_empty(container.execs),
        host_config: host::host_out(container.host),
        size_rw: container.size_rw.map(widen),
        size_root_fs: container.size_root.map(widen),
        mounts: container.mounts.into_iter().map(mount_point).collect(),
        config: create::config_out(container.config),
        network_settings,
    }
}

fn state(state: engine::StateView) -> wire::State {
    wire::State {
        status: state.status.as_str().to_owned(),
        running: state.running,
        paused: state.paused,
        restarting: state.restarting,
        oom_killed: state.oom_killed,
        dead: state.dead,
        pid: state.pid.into(),
        exit_code: state.exit_code.into(),
        error: state.error,
        started_at: time_or_never(state.started),
        finished_at: time_or_never(state.finished),
        health: state.health.map(health),
    }
}

fn health(health: engine::Health) -> wire::Health {
    let probe = |probe: engine::Probe| wire::HealthResult {
        start: time(probe.start),
        end: time(probe.end),
        exit_code: probe.exit_code.into(),
        output: probe.output,
    };
    wire::Health {
        status: health.status.as_str().to_owned(),
        failing_streak: health.failing_streak.into(),
        log: health.log.into_iter().map(probe).collect(),
    }
}

fn mount_point(mount: engine::MountPoint) -> wire::MountPoint {
    wire::MountPoint {
        kind: mount.kind.as_str().to_owned(),
        name: mount.name,
        source: mount.source,
        destination: mount.destination,
        driver: mount.driver,
        mode: mount.mode,
        rw: mount.rw,
        propagation: mount.propagation,
    }
}

fn network_settings(view: &engine::NetworkView, config: &engine::Config, running: bool) -> wire::NetworkSettings {
    let networks: BTreeMap<_, _> = view.networks.iter().map(|(name, e)| (name.clone(), endpoint(e))).collect();
    let top = networks.get(DEFAULT_NETWORK).cloned().unwrap_or_default();
    wire::NetworkSettings {
        sandbox_id: view.sandbox_id.clone(),
        sandbox_key: view.sandbox_key.clone(),
        ports: if running { ports(view, config) } else { PortMap::new() },
        endpoint_id: top.endpoint_id,
        gateway: top.gateway,
        global_ipv6_address: top.global_ipv6_address,
        global_ipv6_prefix_len: top.global_ipv6_prefix_len,
        ip_address: top.ip_address,
        ip_prefix_len: top.ip_prefix_len,
        ipv6_gateway: top.ipv6_gateway,
        mac_address: top.mac_address,
        networks,
        ..wire::NetworkSettings::default()
    }
}

/// Exposed ports, those that are published with where.
fn ports(view: &engine::NetworkView, config: &engine::Config) -> PortMap {
    let mut ports: PortMap = config.exposed_ports.iter().map(|port| (port.to_string(), None)).collect();
    for bound in &view.ports {
        let port = format!("{}/{}", bound.container_port, bound.protocol);
        let binding = PortBinding { host_ip: bound.host.ip().to_string(), host_port: bound.host.port().to_string() };
        ports.entry(port).or_default().get_or_insert_default().push(binding);
    }
    ports
}

/// One network of a container.
pub fn endpoint(view: &engine::EndpointView) -> EndpointSettings {
    let spec = &view.spec;
    let asked = !spec.ipv4.is_empty() || !spec.ipv6.is_empty() || !spec.link_local.is_empty();
    let mut shown = EndpointSettings {
        ipam_config: asked.then(|| EndpointIpam {
            ipv4_address: spec.ipv4.clone(),
            ipv6_address: spec.ipv6.clone(),
            link_local_ips: non_empty(spec.link_local.clone()),
        }),
        links: non_empty(spec.links.clone()),
        aliases: non_empty(spec.aliases.clone()),
        mac_address: spec.mac.clone(),
        driver_opts: non_empty_map(spec.driver_options.clone()),
        gw_priority: spec.gateway_priority,
        network_id: view.network_id.clone(),
        dns_names: non_empty(view.dns_names.clone()),
        ..EndpointSettings::default()
    };
    if let Some(end) = &view.endpoint {
        let text = |address: Option<String>| address.unwrap_or_default();
        shown.endpoint_id = end.id.to_string();
        shown.mac_address = text(end.mac.map(|mac| mac.to_string()));
        shown.gateway = text(end.gateway4.map(|a| a.to_string()));
        shown.ipv6_gateway = text(end.gateway6.map(|a| a.to_string()));
        if let Some((address, prefix)) = end.ipv4 {
            (shown.ip_address, shown.ip_prefix_len) = (address.to_string(), prefix);
        }
        if let Some((address, prefix)) = end.ipv6 {
            (shown.global_ipv6_address, shown.global_ipv6_prefix_len) = (address.to_string(), prefix);
        }
    }
    shown
}

/// One entry of a list.
pub fn summary(container: engine::ContainerSummary) -> wire::Summary {
    let networks = container.network.networks.iter().map(|(name, e)| (name.clone(), endpoint(e))).collect();
    wire::Summary {
        id: container.id,
        names: container.names,
        image: container.image,
        image_id: container.image_id,
        command: container.command,
        created: container.created.as_second(),
        ports: container.ports.iter().map(port).collect(),
        size_rw: container.size_rw.map_or(0, widen),
        size_root_fs: container.size_root.map_or(0, widen),
        labels: container.labels,
        state: container.state.as_str().to_owned(),
        status: container.status,
        host_config: wire::SummaryHost {
            network_mode: match container.network_mode.as_str() {
                "default" | "" => DEFAULT_NETWORK.to_owned(),
                _ => container.network_mode,
            },
            annotations: non_empty_map(container.annotations),
        },
        network_settings: Some(wire::SummaryNetworks { networks }),
        mounts: container.mounts.into_iter().map(mount_point).collect(),
    }
}

fn port(view: &engine::PortView) -> wire::Port {
    wire::Port {
        ip: view.public.map(|a| a.ip().to_string()).unwrap_or_default(),
        private_port: view.port.number,
        public_port: view.public.map_or(0, |a| a.port()),
        kind: view.port.protocol.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bound(port: u16, host: &str) -> engine::BoundPort {
        engine::BoundPort { container_port: port, protocol: engine::Protocol::Tcp, host: host.parse().unwrap() }
    }

    #[test]
    fn ports_are_null_unless_published() {
        let config = engine::Config {
            exposed_ports: ["80/tcp", "53/udp"].iter().map(|p| p.parse().unwrap()).collect(),
            ..engine::Config::default()
        };
        let view =
            engine::NetworkView { ports: vec![bound(80, "127.0.0.1:8080"), bound(90, "[::]:1")], ..Default::default() };
        let shown = serde_json::to_value(network_settings(&view, &config, true)).unwrap();
        assert_eq!(
            shown["Ports"],
            json!({"53/udp": null, "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "90/tcp": [{"HostIp": "::", "HostPort": "1"}]})
        );
        let stopped = serde_json::to_value(network_settings(&view, &config, false)).unwrap();
        assert_eq!(stopped["Ports"], json!({}));
        assert_eq!(stopped["SecondaryIPAddresses"], json!(null));
        assert_eq!(stopped["Networks"], json!({}));
    }

    #[test]
    fn an_endpoint_shows_null_for_what_was_not_asked() {
        let shown = serde_json::to_value(endpoint(&engine::EndpointView::default())).unwrap();
        assert_eq!(
            shown,
            json!({
                "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "DriverOpts": null, "GwPriority": 0,
                "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
                "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null
            })
        );
    }
}
