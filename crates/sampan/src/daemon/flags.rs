//! dockerd's command line flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

/// A container daemon that speaks the Docker Engine API.
#[derive(Debug, Parser)]
#[command(name = "sampan daemon", version, disable_version_flag = true, args_override_self = true)]
pub struct Flags {
    /// Where to listen: unix:///path, tcp://host:port or fd://; may be given several times
    #[arg(short = 'H', long = "host", value_name = "ADDRESS", action = ArgAction::Append)]
    pub hosts: Vec<String>,
    /// JSON file with further settings
    #[arg(long, value_name = "FILE", default_value = "/etc/docker/daemon.json")]
    pub config_file: PathBuf,
    /// Where images, containers and volumes are kept
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Where the state of what runs is kept
    #[arg(long, value_name = "DIR")]
    pub exec_root: Option<PathBuf>,
    /// File that gets the process id
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Group that owns the unix socket
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Say more
    #[arg(short = 'D', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub debug: Option<bool>,
    /// How much to say: debug, info, warn, error or fatal
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Default log driver of containers
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Default option of the log driver
    #[arg(long = "log-opt", value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub log_opts: Vec<String>,
    /// How layers are stored: erofs or overlay (overlay2 is understood)
    #[arg(short = 's', long, value_name = "DRIVER")]
    pub storage_driver: Option<String>,
    /// Option of the storage driver
    #[arg(long = "storage-opt", value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub storage_opts: Vec<String>,
    /// Cgroup under which containers get theirs
    #[arg(long, value_name = "CGROUP")]
    pub cgroup_parent: Option<String>,
    /// Default limit of containers, for instance nofile=1024:4096
    #[arg(long = "default-ulimit", value_name = "LIMIT", action = ArgAction::Append)]
    pub default_ulimits: Vec<String>,
    /// Default size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub default_shm_size: Option<String>,
    /// Run an init in every container
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub init: Option<bool>,
    /// Set no-new-privileges for every container
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub no_new_privileges: Option<bool>,
    /// Label of the daemon
    #[arg(long = "label", value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub labels: Vec<String>,
    /// Seconds to wait for containers when shutting down
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_timeout: Option<i64>,
    /// Leave containers running when the daemon is asked to stop (they outlive its death in any case)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub live_restore: Option<bool>,
    /// Map users of containers to other users of the host
    #[arg(long, value_name = "USER[:GROUP]")]
    pub userns_remap: Option<String>,
    /// File with the seccomp profile of containers instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub seccomp_profile: Option<PathBuf>,
    /// Cgroup namespace of containers: host or private
    #[arg(long, value_name = "MODE")]
    pub default_cgroupns_mode: Option<String>,
    /// Check flags and configuration file, then quit
    #[arg(long)]
    pub validate: bool,
    #[command(flatten)]
    pub idle: IdleFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub registry: RegistryFlags,
    #[command(flatten)]
    pub tls: TlsFlags,
    #[command(flatten)]
    pub kubernetes: KubernetesFlags,
    /// Print version and quit
    #[arg(short = 'v', long)]
    pub version: bool,
}

/// Flags about networks.
#[derive(Debug, clap::Args)]
pub struct NetworkFlags {
    /// Device of the default bridge; none for no bridge
    #[arg(short = 'b', long, value_name = "NAME")]
    pub bridge: Option<String>,
    /// Address and prefix length of the default bridge
    #[arg(long, value_name = "CIDR")]
    pub bip: Option<String>,
    /// Part of the bridge's subnet that containers get
    #[arg(long, value_name = "CIDR")]
    pub fixed_cidr: Option<String>,
    /// IPv6 subnet of the default bridge
    #[arg(long, value_name = "CIDR")]
    pub fixed_cidr_v6: Option<String>,
    /// Gateway other than the bridge
    #[arg(long, value_name = "ADDRESS")]
    pub default_gateway: Option<String>,
    /// Where new networks get their subnets, for instance base=172.30.0.0/16,size=24
    #[arg(long = "default-address-pool", value_name = "POOL", action = ArgAction::Append)]
    pub default_address_pools: Vec<String>,
    /// IPv6 on the default bridge
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ipv6: Option<bool>,
    /// Traffic between containers of the default bridge
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub icc: Option<bool>,
    /// Turn the host's forwarding on
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ip_forward: Option<bool>,
    /// Translate source addresses of containers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ip_masq: Option<bool>,
    /// Accepted for its own sake: packets are filtered by nf_tables
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub iptables: Option<bool>,
    /// Accepted for its own sake: there is no proxy
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub userland_proxy: Option<bool>,
    /// Host address of ports that are published without one
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// MTU of the default bridge
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Name server of containers
    #[arg(long = "dns", value_name = "ADDRESS", action = ArgAction::Append)]
    pub dns: Vec<String>,
    /// Resolver option of containers
    #[arg(long = "dns-opt", value_name = "OPTION", action = ArgAction::Append)]
    pub dns_opts: Vec<String>,
    /// Search domain of containers
    #[arg(long = "dns-search", value_name = "DOMAIN", action = ArgAction::Append)]
    pub dns_search: Vec<String>,
}

/// Flags about registries.
#[derive(Debug, clap::Args)]
pub struct RegistryFlags {
    /// Registry that may speak plain HTTP or show any certificate
    #[arg(long = "insecure-registry", value_name = "HOST|CIDR", action = ArgAction::Append)]
    pub insecure_registries: Vec<String>,
    /// Mirror of docker.io
    #[arg(long = "registry-mirror", value_name = "URL", action = ArgAction::Append)]
    pub registry_mirrors: Vec<String>,
    /// Layers downloaded at once per pull
    #[arg(long, value_name = "N")]
    pub max_concurrent_downloads: Option<u32>,
    /// Layers uploaded at once per push
    #[arg(long, value_name = "N")]
    pub max_concurrent_uploads: Option<u32>,
}

/// Flags about TLS on tcp:// addresses.
#[derive(Debug, clap::Args)]
pub struct TlsFlags {
    /// Speak TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub tls: Option<bool>,
    /// Speak TLS and ask clients for a certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub tlsverify: Option<bool>,
    /// Certificates that clients' certificates must come from
    #[arg(long, value_name = "FILE")]
    pub tlscacert: Option<PathBuf>,
    /// Certificate of the daemon
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<PathBuf>,
    /// Key of the daemon
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<PathBuf>,
}

/// Flags about Kubernetes.
#[derive(Debug, clap::Args)]
pub struct KubernetesFlags {
    /// Serve the Kubernetes API too
    #[arg(long)]
    pub kubernetes: bool,
    /// Where the Kubernetes API listens; port 0 for any that is free (the admin kubeconfig tells which)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:6443")]
    pub kubernetes_listen: String,
    /// Where Kubernetes' objects are kept: nothing for the data folder, etcd=https://host:port[,...] for an etcd
    #[arg(long, value_name = "STORE")]
    pub datastore: Option<String>,
    /// What this host is called as a node of the cluster; its own name where nothing is said
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// How long Kubernetes keeps an event after it was last written
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub event_ttl: Duration,
    /// Defaults and exemptions of the pod security standards, in a file as kube-apiserver takes it
    #[arg(long, value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
    #[command(flatten)]
    pub kubelet: KubeletFlags,
}

/// Flags about what a node bears; names and forms are those of Kubernetes' kubelet.
#[derive(Debug, clap::Args)]
pub struct KubeletFlags {
    /// Folder of manifests whose pods this node runs; <data-root>/kubernetes/manifests where nothing is said
    #[arg(long, value_name = "DIR")]
    pub pod_manifest_path: Option<PathBuf>,
    /// Pods that a node takes
    #[arg(long, value_name = "N", default_value_t = 110)]
    pub max_pods: u32,
    /// Size from which a pod's container log is moved aside, for instance 10Mi
    #[arg(long, value_name = "BYTES", default_value = "10Mi", value_parser = bytes)]
    pub container_log_max_size: u64,
    /// Logs kept of one container of a pod, the present one among them
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    pub container_log_max_files: u32,
    /// Hundredths of the disk in use from which images that nobody uses are collected
    #[arg(long, value_name = "PERCENT", default_value_t = 85, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_gc_high_threshold: u8,
    /// Hundredths down to which they are collected
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_gc_low_threshold: u8,
    /// When pods have to go: memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,pid.available<5%
    #[arg(long, value_name = "THRESHOLDS", default_value = "")]
    pub eviction_hard: String,
}

/// An amount as Kubernetes writes it, such as `10Mi`.
fn bytes(text: &str) -> Result<u64, String> {
    let amount = k8s_kubelet::config::bytes(text);
    amount.filter(|it| *it > 0).ok_or_else(|| format!("{text} is no amount of bytes"))
}

/// A time that is longer than nothing, such as `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = spec::duration::parse(text)?;
    let duration = u64::try_from(nanoseconds).ok().filter(|it| *it > 0).map(Duration::from_nanos);
    duration.ok_or_else(|| format!("{text} is no time that anything could live"))
}

/// Flags of dockerd about parts that this daemon does not have. They are taken so that existing service files work, and told about.
#[derive(Debug, clap::Args)]
pub struct IdleFlags {
    /// Has no meaning here: containers are in cgroups directly
    #[arg(long = "exec-opt", value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub exec_opts: Vec<String>,
    /// Has no meaning here: there is no containerd
    #[arg(long, value_name = "SOCKET")]
    pub containerd: Option<String>,
    /// Has no meaning here: the runtime is built in
    #[arg(long = "add-runtime", value_name = "NAME=PATH", action = ArgAction::Append)]
    pub runtimes: Vec<String>,
    /// Has no meaning here: the runtime is built in
    #[arg(long, value_name = "NAME")]
    pub default_runtime: Option<String>,
    /// Has no meaning here: the init is built in
    #[arg(long, value_name = "PATH")]
    pub init_path: Option<String>,
    /// Has no meaning here
    #[arg(long = "feature", value_name = "NAME=BOOL", action = ArgAction::Append)]
    pub features: Vec<String>,
    /// Has no meaning here
    #[arg(long)]
    pub experimental: bool,
    /// Has no meaning here: packets are filtered by nf_tables, IPv6 too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ip6tables: Option<bool>,
    /// Has no meaning here
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub raw_logs: Option<bool>,
    /// Has no meaning here
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub oom_score_adjust: Option<i32>,
    /// Has no meaning here: downloads are tried again as long as that helps
    #[arg(long, value_name = "N")]
    pub max_download_attempts: Option<u32>,
}

impl IdleFlags {
    /// Names of those that were given.
    pub fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--exec-opt", !self.exec_opts.is_empty()),
            ("--containerd", self.containerd.is_some()),
            ("--add-runtime", !self.runtimes.is_empty()),
            ("--default-runtime", self.default_runtime.as_deref().is_some_and(|name| name != "runc")),
            ("--init-path", self.init_path.is_some()),
            ("--feature", !self.features.is_empty()),
            ("--experimental", self.experimental),
            ("--ip6tables", self.ip6tables.is_some()),
            ("--raw-logs", self.raw_logs.is_some()),
            ("--oom-score-adjust", self.oom_score_adjust.is_some()),
            ("--max-download-attempts", self.max_download_attempts.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}
