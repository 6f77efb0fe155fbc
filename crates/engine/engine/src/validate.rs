//! Docker's checks of what is asked for, in its words, and the defaults it fills in.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::model::config::{Config, HealthConfig};
use crate::model::host::{HostConfig, Resources};
use crate::model::mode::{CgroupnsMode, IpcMode, NetworkMode, RestartPolicy};

const LEAST_MEMORY: i64 = 6 << 20;

/// Checks a configuration and fills in what docker fills in. Warnings are for the user.
pub fn container(config: &Config, host: &mut HostConfig, facts: &Facts, purpose: Purpose) -> Result<Vec<String>> {
    check_config(config)?;
    check_host(host, facts)?;
    let mut warnings = resources(&mut host.resources, facts, purpose)?;
    if host.network_mode == NetworkMode::Host && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    fill_in(host, facts);
    Ok(warnings)
}

/// What limits are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Create,
    /// As [`Purpose::Create`], without docker's least memory.
    Pod,
    Update,
}

/// Checks limits and drops those that this host cannot hold.
pub fn resources(it: &mut Resources, facts: &Facts, purpose: Purpose) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    check_memory(it, facts, purpose, &mut warnings)?;
    check_cpus(it, facts)?;
    if it.blkio_weight != 0 && !(10..=1000).contains(&it.blkio_weight) {
        return Err(Error::invalid("Range of blkio weight is from 10 to 1000"));
    }
    if it.io_maximum_bandwidth != 0 || it.io_maximum_iops != 0 {
        return Err(Error::invalid(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        ));
    }
    if it.cpu_percent > 0 {
        warnings.push("linux does not support CPU percent. Percent discarded.".to_owned());
        it.cpu_percent = 0;
    }
    Ok(warnings)
}

/// The default of memory and swap together is twice the memory.
pub fn fill_in_swap(resources: &mut Resources) {
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
}

fn check_memory(it: &mut Resources, facts: &Facts, purpose: Purpose, warnings: &mut Vec<String>) -> Result<()> {
    let invalid = |text: &str| Err(Error::invalid(text));
    if it.memory != 0 && it.memory < LEAST_MEMORY && purpose != Purpose::Pod {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if it.memory > 0 && it.memory_swap != -1 && !facts.swap_limit {
        warnings.push(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
                .to_owned(),
        );
        it.memory_swap = -1;
    }
    if it.memory > 0 && it.memory_swap > 0 && it.memory_swap < it.memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if it.memory == 0 && it.memory_swap > 0 && purpose != Purpose::Update {
        return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if it.memory_swappiness == Some(-1) {
        it.memory_swappiness = None;
    }
    if it.memory_swappiness.is_some() && !facts.v1_memory {
        warnings.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."
                .to_owned(),
        );
        it.memory_swappiness = None;
    }
    if let Some(value) = it.memory_swappiness.filter(|it| !(0..=100).contains(it)) {
        return invalid(&format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
    }
    if it.memory_reservation > 0 && it.memory_reservation < LEAST_MEMORY {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if it.memory > 0 && it.memory_reservation > 0 && it.memory < it.memory_reservation {
        return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if it.oom_kill_disable.is_some() && !facts.v1_memory {
        if it.oom_kill_disable == Some(true) {
            warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
        }
        it.oom_kill_disable = None;
    }
    if it.oom_kill_disable == Some(true) && it.memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
                .to_owned(),
        );
    }
    Ok(())
}

fn check_cpus(it: &Resources, facts: &Facts) -> Result<()> {
    let invalid = |text: &str| Err(Error::invalid(text));
    if it.nano_cpus > 0 && it.cpu_period > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if it.nano_cpus > 0 && it.cpu_quota > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if it.nano_cpus < 0 || it.nano_cpus > i64::from(facts.cpus) * 1_000_000_000 {
        return invalid(&format!(
            "range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available",
            facts.cpus
        ));
    }
    if it.cpu_shares < 0 {
        return invalid(&format!("invalid CPU shares ({}): value must be a positive integer", it.cpu_shares));
    }
    if it.cpu_period != 0 && !(1000..=1_000_000).contains(&it.cpu_period) {
        return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if it.cpu_quota > 0 && it.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    within(&it.cpuset_cpus, &facts.cpus_online, "cpuset cpus", "CPUs")?;
    within(&it.cpuset_mems, &facts.mems_online, "cpuset mems", "memory nodes")
}

fn within(asked: &str, online: &str, field: &str, what: &str) -> Result<()> {
    if asked.is_empty() || online.is_empty() {
        return Ok(());
    }
    let bad = || Error::invalid(format!("Invalid value {asked} for {field}"));
    let asked_set = ranges(asked).ok_or_else(bad)?;
    let online_set = ranges(online).unwrap_or_default();
    let inside = |number: u32| online_set.iter().any(|(low, high)| (*low..=*high).contains(&number));
    if asked_set.iter().all(|(low, high)| inside(*low) && inside(*high)) {
        return Ok(());
    }
    Err(Error::invalid(format!("Requested {what} are not available - requested {asked}, available: {online}")))
}

fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    text.split(',')
        .map(|part| match part.split_once('-') {
            Some((low, high)) => {
                let (low, high) = (low.parse().ok()?, high.parse().ok()?);
                (low <= high).then_some((low, high))
            }
            None => part.parse().ok().map(|it| (it, it)),
        })
        .collect()
}

fn check_config(config: &Config) -> Result<()> {
    if config.hostname.len() > 63 {
        return Err(Error::invalid(format!("hostname \"{}\" is too long (maximum 63 bytes)", config.hostname)));
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    for variable in &config.env {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    if !config.stop_signal.is_empty() {
        crate::signals::parse(&config.stop_signal)?;
    }
    config.healthcheck.as_ref().map_or(Ok(()), check_health)
}

fn check_health(check: &HealthConfig) -> Result<()> {
    let fields = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    for (field, value) in fields {
        if !value.is_zero() && value < Duration::from_millis(1) {
            return Err(Error::invalid(format!("{field} in Healthcheck cannot be less than 1ms")));
        }
    }
    Ok(())
}

fn check_host(host: &HostConfig, facts: &Facts) -> Result<()> {
    let invalid = |text: &str| Err(Error::invalid(text));
    if host.auto_remove && host.restart != RestartPolicy::No {
        return invalid("can't create 'AutoRemove' container with restart policy");
    }
    if host.shm_size < 0 {
        return invalid("SHM size can not be less than 0");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return invalid(&format!("Invalid value {}, range for oom score adj is [-1000, 1000]", host.oom_score_adj));
    }
    for hosts in &host.extra_hosts {
        if !hosts.contains(':') {
            return invalid(&format!("bad format for add-host: \"{hosts}\""));
        }
    }
    if host.annotations.contains_key("") {
        return invalid("invalid Annotations: the empty string is not permitted as an annotation key");
    }
    if !["", "default"].contains(&host.isolation.as_str()) {
        return invalid(&format!("invalid isolation '{}' on linux", host.isolation));
    }
    if !["", "runc", "sampan", "io.containerd.runc.v2"].contains(&host.runtime.as_str()) {
        return invalid(&format!("unknown or invalid runtime name: {}", host.runtime));
    }
    if host.cgroupns == CgroupnsMode::Private && !std::path::Path::new("/proc/self/ns/cgroup").exists() {
        return invalid("cgroup namespaces aren't supported by your kernel");
    }
    if let Some(driver) = unknown_log_driver(&host.log.driver) {
        return invalid(&format!("logger: no log driver named '{driver}' is registered"));
    }
    crate::logs::options::check(&host.log)?;
    let _ = facts;
    crate::compose::security::parse(&host.security_opt, host.privileged, false)?;
    crate::compose::capabilities::of(&host.cap_add, &host.cap_drop, host.privileged)?;
    crate::compose::resources::rlimits(&host.resources.ulimits, [].iter()).map(|_| ())
}

fn unknown_log_driver(driver: &str) -> Option<&str> {
    (!["", "json-file", "none", "local"].contains(&driver)).then_some(driver)
}

fn fill_in(host: &mut HostConfig, facts: &Facts) {
    fill_in_swap(&mut host.resources);
    if host.network_mode == NetworkMode::Default {
        host.network_mode = NetworkMode::Network("bridge".to_owned());
    }
    if host.ipc == IpcMode::Default {
        host.ipc = IpcMode::Private;
    }
    if host.cgroupns == CgroupnsMode::Default {
        host.cgroupns = match facts.unified && !host.privileged {
            true => CgroupnsMode::Private,
            false => CgroupnsMode::Host,
        };
    }
    if host.resources.oom_kill_disable.is_none() && facts.v1_memory {
        host.resources.oom_kill_disable = Some(false);
    }
    if !host.privileged {
        host.masked_paths.get_or_insert_with(runtime::profile::masked_paths);
        host.readonly_paths.get_or_insert_with(runtime::profile::readonly_paths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            hierarchy: cgroup::Hierarchy::from_mountinfo("1 0 0:1 / /nowhere rw - cgroup cgroup rw,memory").unwrap(),
            unified: false,
            swap_limit: true,
            v1_memory: true,
            cpus: 2,
            memory: 1 << 30,
            cpus_online: "0-1".into(),
            mems_online: "0".into(),
            hostname: "host".into(),
        }
    }

    fn message(change: impl FnOnce(&mut Resources)) -> String {
        let mut limits = Resources::default();
        change(&mut limits);
        match resources(&mut limits, &facts(), Purpose::Create) {
            Ok(_) => String::new(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn limits_are_refused_in_dockers_words() {
        assert_eq!(message(|it| it.memory = 1 << 20), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            message(|it| it.memory_swap = 1 << 30),
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        );
        assert_eq!(
            message(|it| it.nano_cpus = 3_000_000_000),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(
            message(|it| it.cpuset_cpus = "0-7".into()),
            "Requested CPUs are not available - requested 0-7, available: 0-1"
        );
        assert_eq!(message(|it| it.cpuset_cpus = "x".into()), "Invalid value x for cpuset cpus");
        assert_eq!(message(|it| it.memory = 64 << 20), "");
    }

    #[test]
    fn defaults_are_filled_in() {
        let mut host = HostConfig::default();
        host.resources.memory = 64 << 20;
        container(&Config::default(), &mut host, &facts(), Purpose::Create).unwrap();
        assert_eq!(host.resources.memory_swap, 128 << 20);
        assert_eq!(host.network_mode, NetworkMode::Network("bridge".into()));
        assert_eq!(host.ipc, IpcMode::Private);
        assert!(host.masked_paths.is_some());
    }

    #[test]
    fn automatic_removal_excludes_restarts() {
        let mut host = HostConfig { auto_remove: true, restart: RestartPolicy::Always, ..HostConfig::default() };
        let error = container(&Config::default(), &mut host, &facts(), Purpose::Create).unwrap_err();
        assert_eq!(error.message(), "can't create 'AutoRemove' container with restart policy");
    }
}
