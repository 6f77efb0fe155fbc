//! What flags and file say, as the engine's configuration.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use engine::{EngineConfig, LogConfig, Ulimit};
use network::{AddressPool, NetworkConfig};

use super::flags::{Flags, NetworkFlags};

/// Where everything lasts unless said otherwise.
const DATA_ROOT: &str = "/var/lib/sampan";
/// Where everything is that dies with the host.
const EXEC_ROOT: &str = "/run/sampan";

/// The engine's configuration.
pub fn engine(flags: &Flags) -> Result<EngineConfig> {
    let absolute =
        |path: PathBuf| std::path::absolute(&path).with_context(|| format!("{} has no absolute path", path.display()));
    let data_root = absolute(flags.data_root.clone().unwrap_or_else(|| DATA_ROOT.into()))?;
    let exec_root = absolute(flags.exec_root.clone().unwrap_or_else(|| EXEC_ROOT.into()))?;
    let binary = std::env::current_exe().context("cannot tell where this program is")?;
    let mut config = EngineConfig::new(data_root, exec_root, binary);
    config.version = env!("CARGO_PKG_VERSION").to_owned();
    config.network = networks(&flags.network)?;
    config.storage_driver = storage_driver(flags.storage_driver.as_deref().unwrap_or_default())?;
    if let Some(option) = flags.storage_opts.first() {
        bail!("--storage-opt {option} is not implemented for the daemon; containers take --storage-opt size=...");
    }
    config.log = log(flags)?;
    config.default_ulimits = ulimits(&flags.default_ulimits)?;
    if let Some(text) = &flags.default_shm_size {
        config.default_shm_size = bytes(text).with_context(|| format!("invalid --default-shm-size {text:?}"))?;
    }
    config.init = flags.init.unwrap_or(false);
    config.cgroup_parent = flags.cgroup_parent.clone().unwrap_or_default();
    config.insecure_registries.clone_from(&flags.registry.insecure_registries);
    config.registry_mirrors.clone_from(&flags.registry.registry_mirrors);
    config.labels.clone_from(&flags.labels);
    config.no_new_privileges = flags.no_new_privileges.unwrap_or(false);
    config.seccomp_profile.clone_from(&flags.seccomp_profile);
    if let Some(mode) = &flags.default_cgroupns_mode {
        config.default_cgroupns = mode.parse().with_context(|| format!("invalid --default-cgroupns-mode {mode:?}"))?;
    }
    config.live_restore = flags.live_restore.unwrap_or(false);
    config.shutdown_timeout = flags.shutdown_timeout.unwrap_or(config.shutdown_timeout);
    let count = |given: Option<u32>, standard: usize| given.map_or(standard, |n| n.max(1) as usize);
    config.max_concurrent_downloads = count(flags.registry.max_concurrent_downloads, config.max_concurrent_downloads);
    config.max_concurrent_uploads = count(flags.registry.max_concurrent_uploads, config.max_concurrent_uploads);
    Ok(config)
}

/// Names of docker's drivers that do what ours do are understood.
fn storage_driver(name: &str) -> Result<String> {
    match name {
        "" | "erofs" | "overlay" => Ok(name.to_owned()),
        "overlay2" | "overlayfs" => Ok("overlay".to_owned()),
        other => bail!("storage driver {other:?} is not known: erofs and overlay are"),
    }
}

fn log(flags: &Flags) -> Result<LogConfig> {
    let pair = |option: &String| match option.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => bail!("invalid log option {option:?}: want name=value"),
    };
    Ok(LogConfig {
        driver: flags.log_driver.clone().filter(|d| !d.is_empty()).unwrap_or_else(|| "json-file".to_owned()),
        options: flags.log_opts.iter().map(pair).collect::<Result<_>>()?,
    })
}

/// `name=soft[:hard]`.
fn ulimits(texts: &[String]) -> Result<BTreeMap<String, Ulimit>> {
    texts
        .iter()
        .map(|text| {
            let read = || -> Option<Ulimit> {
                let (name, limits) = text.split_once('=')?;
                let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
                Some(Ulimit { name: name.to_owned(), soft: soft.parse().ok()?, hard: hard.parse().ok()? })
            };
            let limit = read().with_context(|| format!("invalid ulimit {text:?}: want name=soft[:hard]"))?;
            if limit.hard != -1 && limit.soft > limit.hard {
                bail!("ulimit soft limit must be less than or equal to hard limit: {} > {}", limit.soft, limit.hard);
            }
            Ok((limit.name.clone(), limit))
        })
        .collect()
}

/// A size such as `64m`, in binary units.
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let digits = text.trim_end_matches(['k', 'm', 'g', 't', 'p']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    digits.trim().parse::<i64>().ok().filter(|n| *n >= 0)?.checked_mul(1 << shift)
}

fn networks(flags: &NetworkFlags) -> Result<NetworkConfig> {
    let mut config = NetworkConfig::new("");
    match flags.bridge.as_deref() {
        Some("none") => config.default_bridge = false,
        Some(name) if !name.is_empty() => {
            if flags.bip.is_some() {
                bail!("you specified -b & --bip, mutually exclusive options. Please specify only one");
            }
            config.bridge_name = Some(name.to_owned());
        }
        _ => {}
    }
    config.bip = flags.bip.as_deref().map(address_and_prefix).transpose()?;
    config.fixed_cidr = parsed("--fixed-cidr", flags.fixed_cidr.as_deref())?;
    config.fixed_cidr_v6 = parsed("--fixed-cidr-v6", flags.fixed_cidr_v6.as_deref())?;
    config.default_gateway = parsed("--default-gateway", flags.default_gateway.as_deref())?;
    config.ipv6 = flags.ipv6.unwrap_or(config.ipv6);
    config.icc = flags.icc.unwrap_or(config.icc);
    config.ip_masq = flags.ip_masq.unwrap_or(config.ip_masq);
    config.ip_forward = flags.ip_forward.unwrap_or(config.ip_forward);
    if let Some(address) = parsed("--ip", flags.ip.as_deref())? {
        config.default_bind = address;
    }
    config.mtu = flags.mtu.unwrap_or(config.mtu);
    config.pools = flags.default_address_pools.iter().map(|text| pool(text)).collect::<Result<_>>()?;
    config.dns = flags
        .dns
        .iter()
        .map(|text| text.parse().with_context(|| format!("{text} is not an ip address")))
        .collect::<Result<_>>()?;
    config.dns_search.clone_from(&flags.dns_search);
    config.dns_options.clone_from(&flags.dns_opts);
    Ok(config)
}

fn parsed<T>(flag: &str, text: Option<&str>) -> Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse().with_context(|| format!("invalid {flag} {text:?}")))
        .transpose()
}

/// The bridge's own address: unlike in a subnet, its host part counts.
fn address_and_prefix(text: &str) -> Result<(Ipv4Addr, u8)> {
    let read = || {
        let (address, prefix) = text.split_once('/')?;
        Some((address.parse().ok()?, prefix.parse().ok().filter(|p| *p <= 32)?))
    };
    read().with_context(|| format!("invalid --bip {text:?}: want address/prefix"))
}

/// `base=172.30.0.0/16,size=24`.
fn pool(text: &str) -> Result<AddressPool> {
    let (mut base, mut size) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("base", value)) => {
                base = Some(value.parse().with_context(|| format!("invalid base pool {value:?}"))?)
            }
            Some(("size", value)) => size = Some(value.parse().with_context(|| format!("invalid size {value:?}"))?),
            _ => bail!("unexpected key '{part}' in default-address-pool"),
        }
    }
    match (base, size) {
        (Some(base), Some(size)) => Ok(AddressPool { base, size }),
        _ => bail!("invalid default-address-pool {text:?}: want base=SUBNET,size=PREFIX"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(args: &[&str]) -> Result<EngineConfig, String> {
        engine(&Flags::parse_from(std::iter::once(&"daemon").chain(args))).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn flags_become_configuration() {
        let config = config(&[
            "--data-root=/d",
            "--bip=10.1.2.3/24",
            "--dns=1.1.1.1",
            "--dns=::1",
            "--default-ulimit=nofile=1:2",
            "--default-shm-size=1m",
            "--log-opt=max-size=1m",
            "--default-address-pool=base=10.9.0.0/16,size=24",
            "--icc=false",
            "-s",
            "overlay2",
        ])
        .unwrap();
        assert_eq!(config.data_root, PathBuf::from("/d"));
        assert_eq!(config.exec_root, PathBuf::from(EXEC_ROOT));
        assert_eq!(config.network.bip, Some((Ipv4Addr::new(10, 1, 2, 3), 24)));
        assert_eq!(config.network.dns.len(), 2);
        assert_eq!(config.default_ulimits["nofile"], Ulimit { name: "nofile".into(), soft: 1, hard: 2 });
        assert_eq!(config.default_shm_size, 1 << 20);
        assert_eq!(config.log.options["max-size"], "1m");
        assert_eq!(config.network.pools[0].size, 24);
        assert!(!config.network.icc);
        assert_eq!(config.storage_driver, "overlay");
    }

    #[test]
    fn nonsense_is_refused() {
        for (flag, message) in [
            ("--bip=10.1.2.3", "invalid --bip"),
            ("--dns=x", "x is not an ip address"),
            ("--default-ulimit=nofile", "invalid ulimit"),
            ("--default-ulimit=nofile=3:2", "ulimit soft limit must be less"),
            ("--default-shm-size=1x", "invalid --default-shm-size"),
            ("--default-address-pool=base=1.2.3.0/24", "invalid default-address-pool"),
            ("--storage-driver=btrfs", "storage driver \"btrfs\" is not known"),
            ("--fixed-cidr=1.2.3.4", "invalid --fixed-cidr"),
        ] {
            let error = config(&[flag]).unwrap_err();
            assert!(error.starts_with(message), "{flag}: {error}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("64m"), Some(64 << 20));
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("5"), Some(5));
        assert_eq!(bytes("99999999p"), None);
        assert_eq!(bytes("-1"), None);
    }
}
