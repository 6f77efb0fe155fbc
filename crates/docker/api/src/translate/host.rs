//! Host configuration and limits, both ways.

use docker_types::host as wire;
use engine::{NetworkMode, RestartPolicy};

use super::{non_empty, non_empty_map};
use crate::error::ApiError;

/// A port such as `80/tcp`.
pub fn port_in(text: &str) -> Result<engine::Port, ApiError> {
    text.parse().map_err(|e: engine::BadPort| ApiError::bad_request(e.to_string()))
}

fn mode<T: std::str::FromStr<Err = engine::BadMode>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|e: engine::BadMode| ApiError::bad_request(e.to_string()))
}

/// Restart policy by docker's names.
pub fn restart_in(policy: &wire::RestartPolicy) -> Result<RestartPolicy, ApiError> {
    Ok(RestartPolicy::parse(&policy.name, policy.maximum_retry_count)?)
}

macro_rules! resources_in {
    ($from:expr) => {
        engine::Resources {
            hugepages: Default::default(),
            cpu_shares: $from.cpu_shares,
            memory: $from.memory,
            nano_cpus: $from.nano_cpus,
            cgroup_parent: $from.cgroup_parent,
            blkio_weight: $from.blkio_weight,
            blkio_weight_device: each($from.blkio_weight_device, |d| engine::DeviceWeight {
                path: d.path,
                weight: d.weight,
            }),
            blkio_read_bps: each($from.blkio_device_read_bps, rate_in),
            blkio_write_bps: each($from.blkio_device_write_bps, rate_in),
            blkio_read_iops: each($from.blkio_device_read_iops, rate_in),
            blkio_write_iops: each($from.blkio_device_write_iops, rate_in),
            cpu_period: $from.cpu_period,
            cpu_quota: $from.cpu_quota,
            cpu_realtime_period: $from.cpu_realtime_period,
            cpu_realtime_runtime: $from.cpu_realtime_runtime,
            cpuset_cpus: $from.cpuset_cpus,
            cpuset_mems: $from.cpuset_mems,
            devices: each($from.devices, device_in),
            device_cgroup_rules: $from.device_cgroup_rules.unwrap_or_default(),
            device_requests: each($from.device_requests, device_request_in),
            kernel_memory: $from.kernel_memory,
            kernel_memory_tcp: $from.kernel_memory_tcp,
            memory_reservation: $from.memory_reservation,
            memory_swap: $from.memory_swap,
            memory_swappiness: $from.memory_swappiness,
            oom_kill_disable: $from.oom_kill_disable,
            pids_limit: $from.pids_limit,
            ulimits: each($from.ulimits, |l| engine::Ulimit { name: l.name, hard: l.hard, soft: l.soft }),
            cpu_count: $from.cpu_count,
            cpu_percent: $from.cpu_percent,
            io_maximum_iops: $from.io_maximum_iops,
            io_maximum_bandwidth: $from.io_maximum_bandwidth,
        }
    };
}

fn each<A, B>(list: Option<Vec<A>>, turn: impl FnMut(A) -> B) -> Vec<B> {
    list.unwrap_or_default().into_iter().map(turn).collect()
}

fn rate_in(device: wire::ThrottleDevice) -> engine::DeviceRate {
    engine::DeviceRate { path: device.path, rate: device.rate }
}

fn device_in(device: wire::DeviceMapping) -> engine::DeviceMapping {
    engine::DeviceMapping {
        host_path: device.path_on_host,
        container_path: device.path_in_container,
        permissions: device.cgroup_permissions,
    }
}

fn device_request_in(request: wire::DeviceRequest) -> engine::DeviceRequest {
    engine::DeviceRequest {
        driver: request.driver,
        count: request.count,
        device_ids: request.device_ids.unwrap_or_default(),
        capabilities: request.capabilities.unwrap_or_default(),
        options: request.options.unwrap_or_default(),
    }
}

/// Limits of an update.
pub fn resources_in(resources: wire::Resources) -> engine::Resources {
    resources_in!(resources)
}

/// The host configuration of a request.
pub fn host_in(host: wire::HostConfig) -> Result<engine::HostConfig, ApiError> {
    let bindings = host.port_bindings.unwrap_or_default().into_iter().map(|(port, bindings)| {
        let to = |b: wire::PortBinding| engine::PortBinding { host_ip: b.host_ip, host_port: b.host_port };
        Ok::<_, ApiError>((port_in(&port)?, each(bindings, to)))
    });
    Ok(engine::HostConfig {
        binds: host.binds.unwrap_or_default(),
        mounts: host.mounts.unwrap_or_default().into_iter().map(mount_in).collect::<Result<_, _>>()?,
        tmpfs: host.tmpfs.unwrap_or_default(),
        volumes_from: host.volumes_from.unwrap_or_default(),
        volume_driver: host.volume_driver,
        container_id_file: host.container_id_file,
        log: engine::LogConfig { driver: host.log_config.kind, options: host.log_config.config.unwrap_or_default() },
        network_mode: mode(&host.network_mode)?,
        port_bindings: bindings.collect::<Result<_, _>>()?,
        publish_all_ports: host.publish_all_ports,
        restart: restart_in(&host.restart_policy)?,
        auto_remove: host.auto_remove,
        console_size: host.console_size,
        annotations: host.annotations.unwrap_or_default(),
        cap_add: host.cap_add.unwrap_or_default(),
        cap_drop: host.cap_drop.unwrap_or_default(),
        cgroupns: mode(&host.cgroupns_mode)?,
        dns: host.dns.unwrap_or_default(),
        dns_options: host.dns_options.unwrap_or_default(),
        dns_search: host.dns_search.unwrap_or_default(),
        extra_hosts: host.extra_hosts.unwrap_or_default(),
        group_add: host.group_add.unwrap_or_default(),
        ipc: mode(&host.ipc_mode)?,
        cgroup: host.cgroup,
        links: host.links.unwrap_or_default(),
        oom_score_adj: host.oom_score_adj,
        pid: mode(&host.pid_mode)?,
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: host.security_opt.unwrap_or_default(),
        storage_opt: host.storage_opt.unwrap_or_default(),
        uts: mode(&host.uts_mode)?,
        userns: mode(&host.userns_mode)?,
        shm_size: host.shm_size,
        sysctls: host.sysctls.unwrap_or_default(),
        runtime: host.runtime,
        isolation: host.isolation,
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
        init: host.init,
        resources: resources_in!(host),
    })
}

fn mount_in(mount: wire::Mount) -> Result<engine::Mount, ApiError> {
    Ok(engine::Mount {
        kind: engine::MountKind::parse(&mount.kind)?,
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        consistency: mount.consistency,
        bind: mount.bind_options.map(|o| engine::BindOptions {
            propagation: o.propagation,
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
        }),
        volume: mount.volume_options.map(|o| engine::VolumeOptions {
            no_copy: o.no_copy,
            labels: o.labels.unwrap_or_default(),
            subpath: o.subpath,
            driver: o
                .driver_config
                .map(|d| engine::VolumeDriver { name: d.name, options: d.options.unwrap_or_default() }),
        }),
        tmpfs: mount.tmpfs_options.map(|o| engine::TmpfsOptions {
            size: o.size_bytes,
            mode: o.mode,
            options: o.options.unwrap_or_default(),
        }),
        image_subpath: mount.image_options.map(|o| o.subpath),
    })
}

fn mount_out(mount: engine::Mount) -> wire::Mount {
    wire::Mount {
        kind: mount.kind.as_str().to_owned(),
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        consistency: mount.consistency,
        bind_options: mount.bind.map(|o| wire::BindOptions {
            propagation: o.propagation,
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
        }),
        volume_options: mount.volume.map(|o| wire::VolumeOptions {
            no_copy: o.no_copy,
            labels: non_empty_map(o.labels),
            subpath: o.subpath,
            driver_config: o.driver.map(|d| wire::VolumeDriver { name: d.name, options: non_empty_map(d.options) }),
        }),
        image_options: mount.image_subpath.map(|subpath| wire::ImageOptions { subpath }),
        tmpfs_options: mount.tmpfs.map(|o| wire::TmpfsOptions {
            size_bytes: o.size,
            mode: o.mode,
            options: non_empty(o.options),
        }),
    }
}

/// Docker shows the network that `default` stands for.
pub fn network_mode_out(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default => "bridge".to_owned(),
        other => other.to_string(),
    }
}

fn rate_out(rates: Vec<engine::DeviceRate>) -> Option<Vec<wire::ThrottleDevice>> {
    Some(rates.into_iter().map(|d| wire::ThrottleDevice { path: d.path, rate: d.rate }).collect())
}

fn device_out(device: engine::DeviceMapping) -> wire::DeviceMapping {
    wire::DeviceMapping {
        path_on_host: device.host_path,
        path_in_container: device.container_path,
        cgroup_permissions: device.permissions,
    }
}

fn device_request_out(request: engine::DeviceRequest) -> wire::DeviceRequest {
    wire::DeviceRequest {
        driver: request.driver,
        count: request.count,
        device_ids: non_empty(request.device_ids),
        capabilities: non_empty(request.capabilities),
        options: non_empty_map(request.options),
    }
}

/// Where ports are to be published.
fn bindings_out(host: &engine::HostConfig) -> wire::PortMap {
    let to = |b: &engine::PortBinding| wire::PortBinding { host_ip: b.host_ip.clone(), host_port: b.host_port.clone() };
    host.port_bindings
        .iter()
        .map(|(port, bindings)| (port.to_string(), Some(bindings.iter().map(to).collect())))
        .collect()
}

/// The host configuration as inspection shows it.
pub fn host_out(host: engine::HostConfig) -> wire::HostConfig {
    let port_bindings = Some(bindings_out(&host));
    let limits = host.resources;
    let weights = limits.blkio_weight_device.into_iter().map(|d| wire::WeightDevice { path: d.path, weight: d.weight });
    let ulimits = limits.ulimits.into_iter().map(|l| wire::Ulimit { name: l.name, hard: l.hard, soft: l.soft });
    wire::HostConfig {
        binds: non_empty(host.binds),
        container_id_file: host.container_id_file,
        log_config: wire::LogConfig { kind: host.log.driver, config: Some(host.log.options) },
        network_mode: network_mode_out(&host.network_mode),
        port_bindings,
        restart_policy: wire::RestartPolicy {
            name: host.restart.name().to_owned(),
            maximum_retry_count: host.restart.max_retries().into(),
        },
        auto_remove: host.auto_remove,
        volume_driver: host.volume_driver,
        volumes_from: non_empty(host.volumes_from),
        console_size: host.console_size,
        annotations: non_empty_map(host.annotations),
        cap_add: non_empty(host.cap_add),
        cap_drop: non_empty(host.cap_drop),
        cgroupns_mode: host.cgroupns.to_string(),
        dns: Some(host.dns),
        dns_options: Some(host.dns_options),
        dns_search: Some(host.dns_search),
        extra_hosts: non_empty(host.extra_hosts),
        group_add: non_empty(host.group_add),
        ipc_mode: host.ipc.to_string(),
        cgroup: host.cgroup,
        links: non_empty(host.links),
        oom_score_adj: host.oom_score_adj,
        pid_mode: host.pid.to_string(),
        privileged: host.privileged,
        publish_all_ports: host.publish_all_ports,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: non_empty(host.security_opt),
        storage_opt: non_empty_map(host.storage_opt),
        tmpfs: non_empty_map(host.tmpfs),
        uts_mode: host.uts.to_string(),
        userns_mode: host.userns.to_string(),
        shm_size: host.shm_size,
        sysctls: non_empty_map(host.sysctls),
        runtime: host.runtime,
        isolation: host.isolation,
        mounts: non_empty(host.mounts.into_iter().map(mount_out).collect()),
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
        init: host.init,
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        nano_cpus: limits.nano_cpus,
        cgroup_parent: limits.cgroup_parent,
        blkio_weight: limits.blkio_weight,
        blkio_weight_device: Some(weights.collect()),
        blkio_device_read_bps: rate_out(limits.blkio_read_bps),
        blkio_device_write_bps: rate_out(limits.blkio_write_bps),
        blkio_device_read_iops: rate_out(limits.blkio_read_iops),
        blkio_device_write_iops: rate_out(limits.blkio_write_iops),
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_realtime_period,
        cpu_realtime_runtime: limits.cpu_realtime_runtime,
        cpuset_cpus: limits.cpuset_cpus,
        cpuset_mems: limits.cpuset_mems,
        devices: Some(limits.devices.into_iter().map(device_out).collect()),
        device_cgroup_rules: non_empty(limits.device_cgroup_rules),
        device_requests: non_empty(limits.device_requests.into_iter().map(device_request_out).collect()),
        kernel_memory: limits.kernel_memory,
        kernel_memory_tcp: limits.kernel_memory_tcp,
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        memory_swappiness: limits.memory_swappiness,
        oom_kill_disable: limits.oom_kill_disable,
        pids_limit: limits.pids_limit,
        ulimits: Some(ulimits.collect()),
        cpu_count: limits.cpu_count,
        cpu_percent: limits.cpu_percent,
        io_maximum_iops: limits.io_maximum_iops,
        io_maximum_bandwidth: limits.io_maximum_bandwidth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_types::from_value;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<engine::HostConfig, String> {
        host_in(from_value(value).unwrap()).map_err(|e| e.message)
    }

    #[test]
    fn what_is_sent_is_shown_again() {
        let sent = json!({
            "Binds": ["/a:/b:ro"], "Memory": 67108864, "NanoCpus": 500000000, "PidsLimit": 50, "NetworkMode": "mine",
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}}], "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}],
            "CapAdd": "ALL", "Tmpfs": {"/x": ""}, "Init": true, "PidMode": "container:a"
        });
        let shown = serde_json::to_value(host_out(read(sent.clone()).unwrap())).unwrap();
        for (name, value) in sent.as_object().unwrap() {
            let expected = if name == "CapAdd" { json!(["ALL"]) } else { value.clone() };
            assert_eq!(shown[name], expected, "{name}");
        }
        for name in ["VolumesFrom", "CapDrop", "GroupAdd", "Links", "SecurityOpt", "DeviceRequests", "MemorySwappiness"]
        {
            assert_eq!(shown[name], Value::Null, "{name}");
        }
        for name in ["Dns", "DnsSearch", "Devices", "BlkioWeightDevice"] {
            assert_eq!(shown[name], json!([]), "{name}");
        }
        assert!(shown.get("Sysctls").is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for (sent, start) in [
            (json!({"PortBindings": {"0x/tcp": null}}), "invalid port specification"),
            (json!({"RestartPolicy": {"Name": "sometimes"}}), "invalid restart policy: unknown policy 'sometimes'"),
            (json!({"IpcMode": "what"}), "invalid IPC mode: what"),
            (json!({"Mounts": [{"Type": "nfs"}]}), "invalid mount config for type \"nfs\""),
        ] {
            let message = read(sent.clone()).unwrap_err();
            assert!(message.starts_with(start), "{sent}: {message}");
        }
    }
}
