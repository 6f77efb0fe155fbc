//! The flags that `run` and `create` share, and the create body that they make.

use crate::ports;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::Path;

#[derive(Args, Debug, Default)]
pub(crate) struct CreateOptions {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long = "add-host")]
    add_host: Vec<String>,
    /// Add an annotation to the container
    #[arg(long)]
    annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short = 'a', long)]
    pub attach: Vec<String>,
    /// Block IO weight (between 10 and 1000, or 0 to disable)
    #[arg(long, default_value_t = 0)]
    blkio_weight: u16,
    /// Add Linux capabilities
    #[arg(long)]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long)]
    cap_drop: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long)]
    cgroup_parent: Option<String>,
    /// Cgroup namespace to use (host|private)
    #[arg(long)]
    cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long)]
    pub cidfile: Option<std::path::PathBuf>,
    /// Limit CPU CFS period
    #[arg(long)]
    cpu_period: Option<i64>,
    /// Limit CPU CFS quota
    #[arg(long)]
    cpu_quota: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short = 'c', long)]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long)]
    cpus: Option<f64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Add a host device to the container
    #[arg(long)]
    device: Vec<String>,
    /// Set custom DNS servers
    #[arg(long)]
    dns: Vec<String>,
    /// Set DNS options
    #[arg(long)]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long)]
    dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long)]
    domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long)]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short = 'e', long)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long)]
    env_file: Vec<std::path::PathBuf>,
    /// Expose a port or a range of ports
    #[arg(long)]
    expose: Vec<String>,
    /// Add additional groups to join
    #[arg(long)]
    group_add: Vec<String>,
    /// Command to run to check health
    #[arg(long)]
    health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h)
    #[arg(long)]
    health_interval: Option<String>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long)]
    health_retries: Option<i64>,
    /// Start period for the container to initialize before counting retries (ms|s|m|h)
    #[arg(long)]
    health_start_period: Option<String>,
    /// Maximum time to allow one check to run (ms|s|m|h)
    #[arg(long)]
    health_timeout: Option<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Container host name
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short = 'i', long)]
    pub interactive: bool,
    /// IPv4 address
    #[arg(long)]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long)]
    ip6: Option<String>,
    /// IPC mode to use
    #[arg(long)]
    ipc: Option<String>,
    /// Set meta data on a container
    #[arg(short = 'l', long)]
    label: Vec<String>,
    /// Logging driver for the container
    #[arg(long)]
    log_driver: Option<String>,
    /// Log driver options
    #[arg(long)]
    log_opt: Vec<String>,
    /// Container MAC address
    #[arg(long)]
    mac_address: Option<String>,
    /// Memory limit
    #[arg(short = 'm', long)]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long)]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Attach a filesystem mount to the container
    #[arg(long)]
    mount: Vec<String>,
    /// Assign a name to the container
    #[arg(long)]
    pub name: Option<String>,
    /// Connect a container to a network
    #[arg(long, alias = "net")]
    network: Option<String>,
    /// Add network-scoped alias for the container
    #[arg(long, alias = "net-alias")]
    network_alias: Vec<String>,
    /// Disable OOM Killer
    #[arg(long)]
    oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    oom_score_adj: i64,
    /// PID namespace to use
    #[arg(long)]
    pid: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    pub platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long)]
    privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short = 'p', long)]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Pull image before creating ("always", "missing", "never")
    #[arg(long, default_value = "missing")]
    pub pull: String,
    /// Suppress the pull output
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
    /// Automatically remove the container when it exits
    #[arg(long)]
    pub rm: bool,
    /// Runtime to use for this container
    #[arg(long)]
    runtime: Option<String>,
    /// Security Options
    #[arg(long)]
    security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long)]
    shm_size: Option<String>,
    /// Signal to stop the container
    #[arg(long)]
    stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, allow_hyphen_values = true)]
    stop_timeout: Option<i64>,
    /// Storage driver options for the container
    #[arg(long)]
    storage_opt: Vec<String>,
    /// Sysctl options
    #[arg(long)]
    sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long)]
    tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Ulimit options
    #[arg(long)]
    ulimit: Vec<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short = 'u', long)]
    user: Option<String>,
    /// User namespace to use
    #[arg(long)]
    userns: Option<String>,
    /// UTS namespace to use
    #[arg(long)]
    uts: Option<String>,
    /// Bind mount a volume
    #[arg(short = 'v', long)]
    volume: Vec<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long)]
    volumes_from: Vec<String>,
    /// Working directory inside the container
    #[arg(short = 'w', long)]
    workdir: Option<String>,
    /// Print usage
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// IMAGE [COMMAND] [ARG...]
    #[arg(trailing_var_arg = true, required = true, value_name = "IMAGE [COMMAND] [ARG...]")]
    pub words: Vec<String>,
}

impl CreateOptions {
    pub(crate) fn image(&self) -> &str {
        &self.words[0]
    }

    /// Whether standard input, output and error are to be attached.
    pub(crate) fn attached(&self, detach: bool) -> anyhow::Result<[bool; 3]> {
        if self.attach.is_empty() {
            return Ok(if detach { [false; 3] } else { [self.interactive, true, true] });
        }
        if detach {
            bail!("Conflicting options: -a and -d");
        }
        let mut attached = [false; 3];
        for name in &self.attach {
            let at = ["stdin", "stdout", "stderr"].iter().position(|known| known.eq_ignore_ascii_case(name));
            attached[at.with_context(|| {
                format!(
                    "invalid argument {name:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                )
            })?] = true;
        }
        Ok(attached)
    }

    /// The body of `POST /containers/create`.
    pub(crate) fn body(&self, attached: [bool; 3]) -> anyhow::Result<Value> {
        let (mut exposed, mut bindings) = (Map::new(), Map::new());
        for text in &self.publish {
            ports::publish(text, &mut exposed, &mut bindings).map_err(anyhow::Error::msg)?;
        }
        for text in &self.expose {
            ports::expose(text, &mut exposed).map_err(anyhow::Error::msg)?;
        }
        let (binds, volumes) = self.volumes();
        let mut body = json!({
            "Image": self.image(),
            "Cmd": if self.words.len() > 1 { json!(self.words[1..]) } else { Value::Null },
            "Entrypoint": self.entrypoint.as_ref().map(|entrypoint| if entrypoint.is_empty() { json!([""]) } else { json!([entrypoint]) }),
            "Env": self.environment()?,
            "Hostname": self.hostname.as_deref().unwrap_or(""),
            "Domainname": self.domainname.as_deref().unwrap_or(""),
            "User": self.user.as_deref().unwrap_or(""),
            "WorkingDir": self.workdir.as_deref().unwrap_or(""),
            "Labels": pairs(&self.label, ""),
            "AttachStdin": attached[0], "AttachStdout": attached[1], "AttachStderr": attached[2],
            "Tty": self.tty,
            "OpenStdin": self.interactive,
            "StdinOnce": self.interactive && attached[0],
            "ExposedPorts": exposed,
            "Volumes": volumes,
            "Healthcheck": self.health()?,
            "HostConfig": self.host_config(bindings, binds)?,
            "NetworkingConfig": self.networking(),
        });
        let optional = [
            ("StopSignal", json!(self.stop_signal)),
            ("StopTimeout", json!(self.stop_timeout)),
            ("MacAddress", json!(self.mac_address)),
        ];
        for (name, value) in optional {
            if !value.is_null() {
                body[name] = value;
            }
        }
        Ok(body)
    }

    fn host_config(&self, bindings: Map<String, Value>, binds: Vec<String>) -> anyhow::Result<Value> {
        let size = |text: &Option<String>| text.as_deref().map_or(Ok(0), parse_size);
        let nano_cpus = self.cpus.map_or(0, |cpus| (cpus * 1e9).round() as i64);
        let memory_swap = match self.memory_swap.as_deref() {
            Some("-1") => -1,
            Some(text) => parse_size(text)?,
            None => 0,
        };
        let (security, masked) = self.security_options()?;
        let mut config = json!({
            "Binds": binds,
            "PortBindings": bindings,
            "PublishAllPorts": self.publish_all,
            "AutoRemove": self.rm,
            "RestartPolicy": restart_policy(self.restart.as_deref().unwrap_or(""))?,
            "NetworkMode": self.network.as_deref().unwrap_or("default"),
            "Memory": size(&self.memory)?, "MemoryReservation": size(&self.memory_reservation)?, "MemorySwap": memory_swap,
            "NanoCpus": nano_cpus,
            "CpuShares": self.cpu_shares.unwrap_or(0), "CpuPeriod": self.cpu_period.unwrap_or(0), "CpuQuota": self.cpu_quota.unwrap_or(0),
            "CpusetCpus": self.cpuset_cpus.as_deref().unwrap_or(""), "CpusetMems": self.cpuset_mems.as_deref().unwrap_or(""),
            "BlkioWeight": self.blkio_weight,
            "PidsLimit": self.pids_limit,
            "OomKillDisable": self.oom_kill_disable, "OomScoreAdj": self.oom_score_adj,
            "CapAdd": self.cap_add, "CapDrop": self.cap_drop,
            "Privileged": self.privileged,
            "ReadonlyRootfs": self.read_only,
            "SecurityOpt": security,
            "CgroupParent": self.cgroup_parent.as_deref().unwrap_or(""), "CgroupnsMode": self.cgroupns.as_deref().unwrap_or(""),
            "IpcMode": self.ipc.as_deref().unwrap_or(""), "PidMode": self.pid.as_deref().unwrap_or(""),
            "UTSMode": self.uts.as_deref().unwrap_or(""), "UsernsMode": self.userns.as_deref().unwrap_or(""),
            "ShmSize": size(&self.shm_size)?,
            "Dns": self.dns, "DnsOptions": self.dns_option, "DnsSearch": self.dns_search,
            "ExtraHosts": self.add_host, "GroupAdd": self.group_add,
            "VolumesFrom": self.volumes_from,
            "Sysctls": pairs(&self.sysctl, ""), "StorageOpt": pairs(&self.storage_opt, ""), "Annotations": pairs(&self.annotation, ""),
            "Tmpfs": self.tmpfs.iter().map(|text| text.split_once(':').unwrap_or((text, ""))).map(|(path, options)| (path.to_string(), Value::from(options))).collect::<Map<_, _>>(),
            "Ulimits": self.ulimit.iter().map(|text| ulimit(text)).collect::<anyhow::Result<Vec<_>>>()?,
            "Devices": self.device.iter().map(|text| device(text)).collect::<Vec<_>>(),
            "Mounts": self.mount.iter().map(|text| mount(text)).collect::<anyhow::Result<Vec<_>>>()?,
            "LogConfig": { "Type": self.log_driver.as_deref().unwrap_or(""), "Config": pairs(&self.log_opt, "") },
        });
        if self.init {
            config["Init"] = Value::Bool(true);
        }
        if let Some(runtime) = &self.runtime {
            config["Runtime"] = json!(runtime);
        }
        if masked {
            config["MaskedPaths"] = json!([]);
            config["ReadonlyPaths"] = json!([]);
        }
        if let Some((height, width)) = self.tty.then(crate::terminal::size).flatten() {
            config["ConsoleSize"] = json!([height, width]);
        }
        Ok(config)
    }

    /// Seccomp profiles are read here: the daemon may be elsewhere. The second answer is `systempaths=unconfined`.
    fn security_options(&self) -> anyhow::Result<(Vec<String>, bool)> {
        let mut options = Vec::new();
        let mut unmask = false;
        for option in &self.security_opt {
            match option.split_once(['=', ':']) {
                Some(("systempaths", "unconfined")) => unmask = true,
                Some(("seccomp", path)) if !["unconfined", "builtin"].contains(&path) => {
                    let text = std::fs::read_to_string(path)
                        .with_context(|| format!("opening seccomp profile ({path}) failed"))?;
                    let profile: Value = serde_json::from_str(&text)
                        .with_context(|| format!("compacting json for seccomp profile ({path}) failed"))?;
                    options.push(format!("seccomp={profile}"));
                }
                _ => options.push(option.clone()),
            }
        }
        Ok((options, unmask))
    }

    fn environment(&self) -> anyhow::Result<Vec<String>> {
        let mut environment = Vec::new();
        for path in &self.env_file {
            let text = std::fs::read_to_string(path).with_context(|| format!("open {}", path.display()))?;
            let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
            environment.extend(lines.filter_map(from_host));
        }
        environment.extend(self.env.iter().filter_map(|text| from_host(text)));
        Ok(environment)
    }

    /// `-v`: with a source a bind, else an anonymous volume. Relative sources are paths, as docker has them.
    fn volumes(&self) -> (Vec<String>, Map<String, Value>) {
        let (mut binds, mut volumes) = (Vec::new(), Map::new());
        for text in &self.volume {
            match text.split_once(':') {
                None => {
                    volumes.insert(text.clone(), json!({}));
                }
                Some((source, rest)) if source.starts_with('.') => {
                    let source = std::path::absolute(source).unwrap_or_else(|_| Path::new(source).into());
                    binds.push(format!("{}:{rest}", source.display()));
                }
                Some(_) => binds.push(text.clone()),
            }
        }
        (binds, volumes)
    }

    fn health(&self) -> anyhow::Result<Value> {
        if self.no_healthcheck {
            return Ok(json!({ "Test": ["NONE"] }));
        }
        let duration =
            |text: &Option<String>| text.as_deref().map_or(Ok(0), spec::duration::parse).map_err(anyhow::Error::msg);
        let given = self.health_cmd.is_some() || self.health_interval.is_some() || self.health_retries.is_some();
        if !given && self.health_timeout.is_none() && self.health_start_period.is_none() {
            return Ok(Value::Null);
        }
        Ok(json!({
            "Test": self.health_cmd.as_ref().map(|command| json!(["CMD-SHELL", command])),
            "Interval": duration(&self.health_interval)?, "Timeout": duration(&self.health_timeout)?,
            "StartPeriod": duration(&self.health_start_period)?, "Retries": self.health_retries.unwrap_or(0),
        }))
    }

    fn networking(&self) -> Value {
        let Some(network) = &self.network else { return json!({}) };
        if self.ip.is_none() && self.ip6.is_none() && self.network_alias.is_empty() {
            return json!({});
        }
        let address = json!({ "IPv4Address": self.ip.as_deref().unwrap_or(""), "IPv6Address": self.ip6.as_deref().unwrap_or("") });
        json!({ "EndpointsConfig": { network.as_str(): { "IPAMConfig": address, "Aliases": self.network_alias } } })
    }
}

fn parse_size(text: &str) -> anyhow::Result<i64> {
    spec::size::parse(text).map_err(anyhow::Error::msg)
}

/// `NAME` alone takes the value that the client has, and is dropped where it has none.
pub(crate) fn from_host(text: &str) -> Option<String> {
    if text.contains('=') { Some(text.into()) } else { std::env::var(text).ok().map(|value| format!("{text}={value}")) }
}

/// `key=value` texts as an object.
pub(crate) fn pairs(texts: &[String], default: &str) -> Map<String, Value> {
    texts
        .iter()
        .map(|text| text.split_once('=').unwrap_or((text, default)))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
pub(crate) fn restart_policy(text: &str) -> anyhow::Result<Value> {
    let (name, count) = text.split_once(':').unwrap_or((text, ""));
    let count: i64 =
        if count.is_empty() { 0 } else { count.parse().context("maximum retry count must be an integer")? };
    Ok(json!({ "Name": name, "MaximumRetryCount": count }))
}

fn ulimit(text: &str) -> anyhow::Result<Value> {
    let (name, values) = text.split_once('=').with_context(|| format!("invalid ulimit argument: {text}"))?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let number = |text: &str| text.parse::<i64>().with_context(|| format!("invalid ulimit argument: {text}"));
    Ok(json!({ "Name": name, "Soft": number(soft)?, "Hard": number(hard)? }))
}

fn device(text: &str) -> Value {
    let mut parts = text.splitn(3, ':');
    let source = parts.next().unwrap_or(text);
    let (target, mode) = match (parts.next(), parts.next()) {
        (Some(mode), None) if !mode.is_empty() && mode.chars().all(|c| "rwm".contains(c)) => (source, mode),
        (target, mode) => (target.unwrap_or(source), mode.unwrap_or("rwm")),
    };
    json!({ "PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode })
}

/// `type=bind,source=/a,target=/b,readonly`.
fn mount(text: &str) -> anyhow::Result<Value> {
    let mut mount = json!({ "Type": "volume" });
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        match key.to_lowercase().as_str() {
            "type" => mount["Type"] = json!(value.to_lowercase()),
            "source" | "src" => mount["Source"] = json!(value),
            "target" | "dst" | "destination" => mount["Target"] = json!(value),
            "readonly" | "ro" => mount["ReadOnly"] = json!(["true", "1"].contains(&value)),
            "consistency" => mount["Consistency"] = json!(value),
            "bind-propagation" => mount["BindOptions"]["Propagation"] = json!(value),
            "volume-nocopy" => mount["VolumeOptions"]["NoCopy"] = json!(value == "true"),
            "tmpfs-size" => mount["TmpfsOptions"]["SizeBytes"] = json!(parse_size(value)?),
            "tmpfs-mode" => {
                mount["TmpfsOptions"]["Mode"] =
                    json!(u32::from_str_radix(value, 8).with_context(|| format!("invalid value for {key}: {value}"))?)
            }
            _ => bail!("unexpected key '{key}' in '{field}'"),
        }
    }
    if mount["Target"].is_null() {
        bail!("invalid argument {text:?} for \"--mount\" flag: target is required");
    }
    Ok(mount)
}

#[cfg(test)]
mod tests;
