//! The body of `containers/create` to the engine's request, and a container's configuration back.

use std::collections::BTreeMap;
use std::time::Duration;

use docker_types::container::{Config, CreateSurroundings, HealthConfig};
use docker_types::image;
use docker_types::network::EndpointSettings;

use super::{host, non_empty, set};
use crate::error::ApiError;

/// The whole request.
pub fn request(
    name: Option<&str>,
    platform: Option<&str>,
    config: Config,
    surroundings: CreateSurroundings,
) -> Result<engine::ContainerSpec, ApiError> {
    let some = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
    let endpoints = surroundings.networking_config.and_then(|n| n.endpoints_config).unwrap_or_default();
    Ok(engine::ContainerSpec {
        pod: None,
        name: some(name).map(|name| name.strip_prefix('/').map(str::to_owned).unwrap_or(name)),
        platform: some(platform),
        config: config_in(config)?,
        host: host::host_in(surroundings.host_config.unwrap_or_default())?,
        networks: endpoints.into_iter().map(|(name, wanted)| (name, endpoint_in(wanted.unwrap_or_default()))).collect(),
    })
}

/// What a container asks of one network.
pub fn endpoint_in(wanted: EndpointSettings) -> engine::EndpointSpec {
    let addresses = wanted.ipam_config.unwrap_or_default();
    engine::EndpointSpec {
        ipv4: addresses.ipv4_address,
        ipv6: addresses.ipv6_address,
        link_local: addresses.link_local_ips.unwrap_or_default(),
        links: wanted.links.unwrap_or_default(),
        aliases: wanted.aliases.unwrap_or_default(),
        mac: wanted.mac_address,
        driver_options: wanted.driver_opts.unwrap_or_default(),
        gateway_priority: wanted.gw_priority,
    }
}

/// The portable configuration.
pub fn config_in(config: Config) -> Result<engine::Config, ApiError> {
    let ports = config.exposed_ports.unwrap_or_default().into_keys();
    Ok(engine::Config {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: ports.map(|port| host::port_in(&port)).collect::<Result<_, _>>()?,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env.unwrap_or_default(),
        // An empty command is the image's, an empty entry point is none.
        cmd: config.cmd.filter(|cmd| !cmd.is_empty()),
        healthcheck: config.healthcheck.map(health_in).transpose()?,
        args_escaped: config.args_escaped,
        image: config.image,
        volumes: config.volumes.unwrap_or_default().into_keys().collect(),
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        mac_address: config.mac_address,
        on_build: config.on_build.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
    })
}

fn health_in(health: HealthConfig) -> Result<engine::HealthConfig, ApiError> {
    let duration = |what: &str, nanos: i64| match u64::try_from(nanos) {
        Ok(0) => Ok(Duration::ZERO),
        Ok(nanos) if nanos >= 1_000_000 => Ok(Duration::from_nanos(nanos)),
        _ => Err(ApiError::bad_request(format!("{what} in Healthcheck cannot be less than 1ms"))),
    };
    Ok(engine::HealthConfig {
        test: health.test.unwrap_or_default(),
        interval: duration("Interval", health.interval)?,
        timeout: duration("Timeout", health.timeout)?,
        start_period: duration("StartPeriod", health.start_period)?,
        start_interval: duration("StartInterval", health.start_interval)?,
        retries: u32::try_from(health.retries)
            .map_err(|_| ApiError::bad_request("Retries in Healthcheck cannot be negative"))?,
    })
}

fn health_out(health: engine::HealthConfig) -> HealthConfig {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: non_empty(health.test),
        interval: nanos(health.interval),
        timeout: nanos(health.timeout),
        start_period: nanos(health.start_period),
        start_interval: nanos(health.start_interval),
        retries: health.retries.into(),
    }
}

/// A container's configuration as inspection shows it.
pub fn config_out(config: engine::Config) -> Config {
    Config {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: set(config.exposed_ports.iter().map(ToString::to_string)),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: Some(config.env),
        cmd: config.cmd,
        healthcheck: config.healthcheck.map(health_out),
        args_escaped: config.args_escaped,
        image: config.image,
        volumes: set(config.volumes),
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        mac_address: config.mac_address,
        on_build: non_empty(config.on_build),
        labels: Some(config.labels),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
    }
}

/// An image's configuration as inspection shows it.
pub fn image_config_out(config: engine::Config) -> image::Config {
    let labels: BTreeMap<_, _> = config.labels;
    image::Config {
        user: config.user,
        exposed_ports: set(config.exposed_ports.iter().map(ToString::to_string)),
        env: non_empty(config.env),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        volumes: set(config.volumes),
        working_dir: config.working_dir,
        labels: super::non_empty_map(labels),
        stop_signal: config.stop_signal,
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.map(health_out),
        on_build: non_empty(config.on_build),
        shell: config.shell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_types::from_value;
    use serde_json::{Value, json};

    fn config(value: Value) -> Result<engine::Config, String> {
        config_in(from_value(value).unwrap()).map_err(|e| e.message)
    }

    #[test]
    fn an_empty_command_is_the_images_and_an_empty_entry_point_is_none() {
        let read = config(json!({"Cmd": [], "Entrypoint": []})).unwrap();
        assert_eq!((read.cmd, read.entrypoint), (None, Some(vec![])));
        let read = config(json!({"Cmd": null, "Entrypoint": null})).unwrap();
        assert_eq!((read.cmd, read.entrypoint), (None, None));
    }

    #[test]
    fn bad_ports_and_health_checks_are_refused() {
        assert_eq!(
            config(json!({"ExposedPorts": {"x/tcp": {}}})).unwrap_err(),
            "invalid port specification: \"x/tcp\""
        );
        assert_eq!(
            config(json!({"Healthcheck": {"Interval": 5}})).unwrap_err(),
            "Interval in Healthcheck cannot be less than 1ms"
        );
        assert_eq!(
            config(json!({"Healthcheck": {"Retries": -1}})).unwrap_err(),
            "Retries in Healthcheck cannot be negative"
        );
    }

    #[test]
    fn inspection_tells_null_from_empty_from_absent() {
        let shown = serde_json::to_value(config_out(engine::Config::default())).unwrap();
        assert_eq!(
            shown,
            json!({
                "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
                "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": null, "Image": "", "Volumes": null,
                "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {}
            })
        );
    }

    #[test]
    fn what_is_read_is_shown_again() {
        let sent = json!({
            "Hostname": "h", "Domainname": "", "User": "1:1", "AttachStdin": true, "AttachStdout": true, "AttachStderr": false,
            "ExposedPorts": {"53/udp": {}, "80/tcp": {}}, "Tty": true, "OpenStdin": true, "StdinOnce": true, "Env": ["A=b"],
            "Cmd": ["sh"], "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 3}, "Image": "debian:12",
            "Volumes": {"/v": {}}, "WorkingDir": "/", "Entrypoint": null, "OnBuild": null, "Labels": {"l": ""},
            "StopSignal": "SIGINT", "StopTimeout": 0, "Shell": ["sh", "-c"]
        });
        let shown = config_out(config(sent.clone()).unwrap());
        assert_eq!(serde_json::to_value(shown).unwrap(), sent);
    }
}
