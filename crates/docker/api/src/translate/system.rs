//! Information about the daemon.

use std::collections::BTreeMap;

use docker_types::system as wire;

use super::{images, inspect, networks, widen};

/// The answer of `info`. What docker lets a daemon tell beside the engine is filled in by the caller.
pub fn info(info: engine::Info) -> wire::Info {
    let pairs = info.storage_status.into_iter().map(|(name, value)| [name, value]).collect();
    let pools = info.default_address_pools.into_iter().map(|(base, size)| wire::AddressPool { base, size }).collect();
    wire::Info {
        id: info.id,
        containers: info.containers,
        containers_running: info.running,
        containers_paused: info.paused,
        containers_stopped: info.stopped,
        images: info.images,
        driver: info.storage_driver,
        driver_status: pairs,
        plugins: wire::Plugins {
            volume: vec!["local".to_owned()],
            network: ["bridge", "host", "null"].map(str::to_owned).to_vec(),
            authorization: None,
            log: info.log_drivers,
        },
        memory_limit: info.memory_limit,
        swap_limit: info.swap_limit,
        cpu_cfs_period: info.cpu_cfs,
        cpu_cfs_quota: info.cpu_cfs,
        cpu_shares: info.cpu_shares,
        cpu_set: info.cpuset,
        pids_limit: info.pids_limit,
        ipv4_forwarding: info.ipv4_forwarding,
        oom_kill_disable: info.oom_kill_disable,
        system_time: jiff::Timestamp::now().to_string(),
        logging_driver: info.log_driver,
        cgroup_driver: info.cgroup_driver,
        cgroup_version: info.cgroup_version,
        n_events_listener: info.event_listeners,
        kernel_version: info.kernel_version,
        operating_system: info.operating_system,
        os_version: info.os_version,
        os_type: "linux".to_owned(),
        architecture: info.architecture,
        index_server_address: "https://index.docker.io/v1/".to_owned(),
        registry_config: registries(info.insecure_registries, info.registry_mirrors),
        ncpu: info.cpus,
        mem_total: info.memory,
        docker_root_dir: info.data_root,
        name: info.name,
        labels: info.labels,
        server_version: info.version,
        runtimes: BTreeMap::from([("runc".to_owned(), wire::Runtime { path: "sampan runtime".to_owned() })]),
        default_runtime: "runc".to_owned(),
        swarm: wire::Swarm { local_node_state: "inactive".to_owned(), ..Default::default() },
        init_binary: "docker-init".to_owned(),
        security_options: info.security_options,
        default_address_pools: pools,
        firewall_backend: Some(wire::Firewall { driver: "nftables".to_owned(), info: Vec::new() }),
        warnings: super::non_empty(info.warnings),
        ..wire::Info::default()
    }
}

/// Loopback counts as insecure; docker.io is always there.
fn registries(insecure: Vec<String>, mirrors: Vec<String>) -> wire::RegistryConfig {
    let mut cidrs = vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    let hub = wire::IndexInfo { name: "docker.io".to_owned(), mirrors: mirrors.clone(), secure: true, official: true };
    let mut index_configs = BTreeMap::from([("docker.io".to_owned(), hub)]);
    for registry in insecure {
        let is_range = registry.rsplit_once('/').is_some_and(|(_, prefix)| prefix.parse::<u8>().is_ok());
        if is_range {
            if !cidrs.contains(&registry) {
                cidrs.push(registry);
            }
        } else {
            let index = wire::IndexInfo { name: registry.clone(), secure: false, official: false, mirrors: Vec::new() };
            index_configs.insert(registry, index);
        }
    }
    wire::RegistryConfig { insecure_registry_cidrs: cidrs, index_configs, mirrors: super::non_empty(mirrors) }
}

/// The answer of `system/df`.
pub fn disk_usage(usage: engine::DiskUsage, api: u32) -> wire::DiskUsage {
    wire::DiskUsage {
        layers_size: widen(usage.layers_size),
        images: usage.images.map(|list| list.into_iter().map(|image| images::summary(image, api)).collect()),
        containers: usage.containers.map(|list| list.into_iter().map(inspect::summary).collect()),
        volumes: usage.volumes.map(|list| list.into_iter().map(networks::volume).collect()),
        build_cache: Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_hosts_are_told_apart() {
        let shown = registries(vec!["10.0.0.0/8".into(), "reg.example:5000".into()], vec![]);
        assert_eq!(shown.insecure_registry_cidrs, ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]);
        assert_eq!(shown.index_configs.keys().collect::<Vec<_>>(), ["docker.io", "reg.example:5000"]);
        assert_eq!(shown.mirrors, None);
    }

    #[test]
    fn information_has_every_field_that_clients_read() {
        let shown = serde_json::to_value(info(engine::Info::default())).unwrap();
        for name in [
            "ID",
            "NCPU",
            "MemTotal",
            "CPUShares",
            "CPUSet",
            "IPv4Forwarding",
            "NFd",
            "NGoroutines",
            "CDISpecDirs",
            "OSType",
            "Labels",
        ] {
            assert!(shown.get(name).is_some(), "{name}");
        }
        assert_eq!(shown["Warnings"], serde_json::Value::Null);
        assert_eq!(shown["Swarm"]["LocalNodeState"], "inactive");
    }
}
