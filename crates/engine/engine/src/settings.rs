//! What the daemon says about the engine when it starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::host::{LogConfig, Ulimit};
use crate::model::mode::CgroupnsMode;

/// Configuration of [`crate::Engine`]; the names in brackets are dockerd's flags.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Everything that lasts (`--data-root`).
    pub data_root: PathBuf,
    /// Sockets and state that die with the host (`--exec-root`).
    pub exec_root: PathBuf,
    /// Identity among other daemons on this host; names of cgroups, bridges and tables derive from it. Made from the
    /// data root when empty.
    pub instance: String,
    /// This program, to start the supervisor from and to put into containers as init.
    pub binary: PathBuf,
    /// Version that `info` tells.
    pub version: String,
    /// Networks (`--bip`, `--dns`, `--ip`, ...).
    pub network: network::NetworkConfig,
    /// `erofs` or `overlay`; empty chooses (`--storage-driver`).
    pub storage_driver: String,
    /// Log driver and options of containers that say nothing (`--log-driver`, `--log-opt`).
    pub log: LogConfig,
    /// Ulimits of containers that say nothing (`--default-ulimit`).
    pub default_ulimits: BTreeMap<String, Ulimit>,
    /// Size of /dev/shm in bytes (`--default-shm-size`).
    pub default_shm_size: i64,
    /// (`--default-cgroupns-mode`)
    pub default_cgroupns: CgroupnsMode,
    /// An init in every container that says nothing (`--init`).
    pub init: bool,
    /// (`--cgroup-parent`)
    pub cgroup_parent: String,
    /// Registries without TLS or with certificates that nobody signed (`--insecure-registry`).
    pub insecure_registries: Vec<String>,
    /// (`--registry-mirror`)
    pub registry_mirrors: Vec<String>,
    /// (`--label`)
    pub labels: Vec<String>,
    /// No new privileges in every container (`--no-new-privileges`).
    pub no_new_privileges: bool,
    /// A seccomp profile instead of the default one (`--seccomp-profile`).
    pub seccomp_profile: Option<PathBuf>,
    /// Leave containers running when the daemon is asked to stop (`--live-restore`).
    pub live_restore: bool,
    /// Seconds to wait for containers when the daemon is asked to stop (`--shutdown-timeout`).
    pub shutdown_timeout: i64,
    pub max_concurrent_downloads: usize,
    pub max_concurrent_uploads: usize,
}

impl EngineConfig {
    /// Docker's defaults on these roots.
    pub fn new(data_root: PathBuf, exec_root: PathBuf, binary: PathBuf) -> EngineConfig {
        EngineConfig {
            data_root,
            exec_root,
            instance: String::new(),
            binary,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: network::NetworkConfig::new(""),
            storage_driver: String::new(),
            log: LogConfig { driver: "json-file".to_owned(), options: BTreeMap::new() },
            default_ulimits: BTreeMap::new(),
            default_shm_size: 64 << 20,
            default_cgroupns: CgroupnsMode::Default,
            init: false,
            cgroup_parent: String::new(),
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            labels: Vec::new(),
            no_new_privileges: false,
            seccomp_profile: None,
            live_restore: false,
            shutdown_timeout: 15,
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
        }
    }
}
