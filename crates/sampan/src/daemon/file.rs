//! The configuration file (`daemon.json`), merged with the flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::flags::Flags;

/// What the file may say; the names are dockerd's.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    hosts: Vec<String>,
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    group: Option<String>,
    debug: Option<bool>,
    log_level: Option<String>,
    log_driver: Option<String>,
    log_opts: BTreeMap<String, String>,
    storage_driver: Option<String>,
    storage_opts: Vec<String>,
    cgroup_parent: Option<String>,
    default_ulimits: BTreeMap<String, FileUlimit>,
    default_shm_size: Option<Value>,
    init: Option<bool>,
    no_new_privileges: Option<bool>,
    labels: Vec<String>,
    shutdown_timeout: Option<i64>,
    live_restore: Option<bool>,
    userns_remap: Option<String>,
    seccomp_profile: Option<PathBuf>,
    default_cgroupns_mode: Option<String>,
    bridge: Option<String>,
    bip: Option<String>,
    fixed_cidr: Option<String>,
    fixed_cidr_v6: Option<String>,
    default_gateway: Option<String>,
    default_address_pools: Vec<FilePool>,
    ipv6: Option<bool>,
    icc: Option<bool>,
    ip_forward: Option<bool>,
    ip_masq: Option<bool>,
    iptables: Option<bool>,
    userland_proxy: Option<bool>,
    ip: Option<String>,
    mtu: Option<u32>,
    dns: Vec<String>,
    dns_opts: Vec<String>,
    dns_search: Vec<String>,
    insecure_registries: Vec<String>,
    registry_mirrors: Vec<String>,
    max_concurrent_downloads: Option<u32>,
    max_concurrent_uploads: Option<u32>,
    tls: Option<bool>,
    tlsverify: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileUlimit {
    hard: i64,
    soft: i64,
}

#[derive(Debug, Deserialize)]
struct FilePool {
    base: String,
    size: u8,
}

/// Settings of dockerd that mean nothing here and do no harm when they are left out.
const WITHOUT_MEANING: &[&str] = &[
    "add-runtime",
    "builder",
    "containerd",
    "default-runtime",
    "exec-opts",
    "experimental",
    "features",
    "init-path",
    "ip6tables",
    "max-download-attempts",
    "oom-score-adjust",
    "raw-logs",
    "runtimes",
];

/// Adds what the file says to the flags. A file that is not there is an error only when it was asked for.
pub fn merge(flags: &mut Flags) -> Result<()> {
    let path = flags.config_file.clone();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path == Path::new("/etc/docker/daemon.json") => {
            return Ok(());
        }
        Err(e) => return Err(e).with_context(|| unable(&path)),
    };
    merge_text(flags, &bytes).with_context(|| unable(&path))
}

fn unable(path: &Path) -> String {
    format!("unable to configure the Docker daemon with file {}", path.display())
}

fn merge_text(flags: &mut Flags, bytes: &[u8]) -> Result<()> {
    let file: File = serde_json::from_slice(bytes)?;
    let unknown: Vec<&str> =
        file.unknown.keys().map(String::as_str).filter(|name| !WITHOUT_MEANING.contains(name)).collect();
    if !unknown.is_empty() {
        bail!("the following directives don't match any configuration option: {}", unknown.join(", "));
    }
    for name in file.unknown.keys() {
        eprintln!("sampan: warning: {name:?} of the configuration file has no meaning here");
    }
    let mut twice = Vec::new();
    let ulimits: Vec<String> =
        file.default_ulimits.iter().map(|(name, l)| format!("{name}={}:{}", l.soft, l.hard)).collect();
    let pools: Vec<String> =
        file.default_address_pools.iter().map(|p| format!("base={},size={}", p.base, p.size)).collect();
    let log_opts: Vec<String> = file.log_opts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let shm = file.default_shm_size.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    macro_rules! one {
        ($($name:literal: $flag:expr, $value:expr;)*) => {$(
            if let Some(value) = $value {
                if $flag.is_some() { twice.push($name) } else { $flag = Some(value) }
            }
        )*};
    }
    macro_rules! many {
        ($($name:literal: $flag:expr, $value:expr;)*) => {$(
            if !$value.is_empty() {
                if $flag.is_empty() { $flag = $value } else { twice.push($name) }
            }
        )*};
    }
    one! {
        "data-root": flags.data_root, file.data_root;
        "exec-root": flags.exec_root, file.exec_root;
        "pidfile": flags.pidfile, file.pidfile;
        "group": flags.group, file.group;
        "debug": flags.debug, file.debug;
        "log-level": flags.log_level, file.log_level;
        "log-driver": flags.log_driver, file.log_driver;
        "storage-driver": flags.storage_driver, file.storage_driver;
        "cgroup-parent": flags.cgroup_parent, file.cgroup_parent;
        "default-shm-size": flags.default_shm_size, shm;
        "init": flags.init, file.init;
        "no-new-privileges": flags.no_new_privileges, file.no_new_privileges;
        "shutdown-timeout": flags.shutdown_timeout, file.shutdown_timeout;
        "live-restore": flags.live_restore, file.live_restore;
        "userns-remap": flags.userns_remap, file.userns_remap;
        "seccomp-profile": flags.seccomp_profile, file.seccomp_profile;
        "default-cgroupns-mode": flags.default_cgroupns_mode, file.default_cgroupns_mode;
        "bridge": flags.network.bridge, file.bridge;
        "bip": flags.network.bip, file.bip;
        "fixed-cidr": flags.network.fixed_cidr, file.fixed_cidr;
        "fixed-cidr-v6": flags.network.fixed_cidr_v6, file.fixed_cidr_v6;
        "default-gateway": flags.network.default_gateway, file.default_gateway;
        "ipv6": flags.network.ipv6, file.ipv6;
        "icc": flags.network.icc, file.icc;
        "ip-forward": flags.network.ip_forward, file.ip_forward;
        "ip-masq": flags.network.ip_masq, file.ip_masq;
        "iptables": flags.network.iptables, file.iptables;
        "userland-proxy": flags.network.userland_proxy, file.userland_proxy;
        "ip": flags.network.ip, file.ip;
        "mtu": flags.network.mtu, file.mtu;
        "max-concurrent-downloads": flags.registry.max_concurrent_downloads, file.max_concurrent_downloads;
        "max-concurrent-uploads": flags.registry.max_concurrent_uploads, file.max_concurrent_uploads;
        "tls": flags.tls.tls, file.tls;
        "tlsverify": flags.tls.tlsverify, file.tlsverify;
        "tlscacert": flags.tls.tlscacert, file.tlscacert;
        "tlscert": flags.tls.tlscert, file.tlscert;
        "tlskey": flags.tls.tlskey, file.tlskey;
    }
    many! {
        "hosts": flags.hosts, file.hosts;
        "log-opts": flags.log_opts, log_opts;
        "storage-opts": flags.storage_opts, file.storage_opts;
        "default-ulimits": flags.default_ulimits, ulimits;
        "labels": flags.labels, file.labels;
        "default-address-pools": flags.network.default_address_pools, pools;
        "dns": flags.network.dns, file.dns;
        "dns-opts": flags.network.dns_opts, file.dns_opts;
        "dns-search": flags.network.dns_search, file.dns_search;
        "insecure-registries": flags.registry.insecure_registries, file.insecure_registries;
        "registry-mirrors": flags.registry.registry_mirrors, file.registry_mirrors;
    }
    if !twice.is_empty() {
        bail!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn merged(args: &[&str], text: &str) -> Result<Flags> {
        let mut flags = Flags::parse_from(std::iter::once(&"daemon").chain(args));
        merge_text(&mut flags, text.as_bytes())?;
        Ok(flags)
    }

    #[test]
    fn the_file_fills_in_what_flags_leave_open() {
        let flags = merged(
            &["--debug", "-H", "unix:///x"],
            r#"{"bip": "10.1.0.1/24", "dns": ["1.1.1.1"], "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 20, "Soft": 10}}, "features": {}}"#,
        )
        .unwrap();
        assert_eq!(flags.debug, Some(true));
        assert_eq!(flags.network.bip.as_deref(), Some("10.1.0.1/24"));
        assert_eq!(flags.network.dns, ["1.1.1.1"]);
        assert_eq!(flags.default_ulimits, ["nofile=10:20"]);
    }

    #[test]
    fn unknown_and_doubled_settings_are_errors() {
        let text = |args: &[&str], text| format!("{:#}", merged(args, text).unwrap_err());
        assert_eq!(text(&[], r#"{"bib": 1}"#), "the following directives don't match any configuration option: bib");
        assert_eq!(
            text(&["--debug", "-H", "unix:///x"], r#"{"debug": true, "hosts": ["fd://"]}"#),
            "the following directives are specified both as a flag and in the configuration file: debug, hosts"
        );
        assert!(text(&[], "{").contains("EOF while parsing"));
    }
}
