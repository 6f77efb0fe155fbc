//! Seccomp profiles in docker's own JSON: as OCI's, with conditions on capabilities, architecture and kernel.

use serde::Deserialize;
use spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompFilterFlag, LinuxSyscall, LinuxSyscallBuilder,
};

use super::seccomp::{Facts, parse_kernel};
use crate::seccomp::native_architecture;

/// Why a profile of the user's could not be read.
#[derive(Debug, thiserror::Error)]
#[error("decoding seccomp profile failed: {0}")]
pub struct ProfileError(String);

/// A profile in docker's JSON (with `archMap`, `includes`, `excludes`) or plain OCI JSON, decided for a process
/// with the given capabilities in its bounding set, on this architecture and kernel.
pub fn seccomp_from_docker_json(text: &str, capabilities: &[Capability]) -> Result<LinuxSeccomp, ProfileError> {
    decide(text, &Facts::here(capabilities))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

/// Go's zero values: what is absent is 0, `op` must be told.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: spec::runtime::LinuxSeccompOperator,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

fn decide(text: &str, facts: &Facts<'_>) -> Result<LinuxSeccomp, ProfileError> {
    let profile: Profile = serde_json::from_str(text).map_err(|error| ProfileError(error.to_string()))?;
    let wrong = |text: &str| Err(ProfileError(text.to_owned()));
    let listed = profile.architectures.as_ref().is_some_and(|list| !list.is_empty());
    let mapped = profile.arch_map.as_ref().is_some_and(|list| !list.is_empty());
    if listed && mapped {
        return wrong(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
        );
    }
    let mut architectures = profile.architectures.unwrap_or_default();
    let (native, _) = native_architecture();
    for map in profile.arch_map.into_iter().flatten().filter(|map| map.architecture == native) {
        architectures.push(map.architecture);
        architectures.extend(map.sub_architectures.into_iter().flatten());
    }
    let mut syscalls = Vec::new();
    for rule in profile.syscalls.into_iter().flatten() {
        if included(rule.includes.as_ref(), facts)? && !excluded(rule.excludes.as_ref(), facts)? {
            syscalls.push(syscall(rule)?);
        }
    }
    let mut seccomp = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .architectures(architectures)
        .syscalls(syscalls)
        .build()
        .map_err(|error| ProfileError(error.to_string()))?;
    seccomp.set_default_errno_ret(profile.default_errno_ret);
    seccomp.set_flags(profile.flags);
    let listener = profile.listener_path.filter(|path| !path.is_empty());
    seccomp.set_listener_path(listener.map(Into::into));
    let metadata = profile.listener_metadata.filter(|text| !text.is_empty());
    seccomp.set_listener_metadata(metadata);
    Ok(seccomp)
}

fn syscall(rule: Rule) -> Result<LinuxSyscall, ProfileError> {
    let name = rule.name.filter(|name| !name.is_empty());
    let names = rule.names.filter(|names| !names.is_empty());
    let names = match (name, names) {
        (Some(_), Some(_)) => {
            let text = "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'";
            return Err(ProfileError(text.to_owned()));
        }
        (Some(name), None) => vec![name],
        (None, names) => names.unwrap_or_default(),
    };
    let mut args = Vec::new();
    for arg in rule.args.unwrap_or_default() {
        let condition = LinuxSeccompArgBuilder::default()
            .index(arg.index)
            .value(arg.value)
            .value_two(arg.value_two)
            .op(arg.op)
            .build();
        args.push(condition.map_err(|error| ProfileError(error.to_string()))?);
    }
    let mut syscall = LinuxSyscallBuilder::default()
        .names(names)
        .action(rule.action)
        .args(args)
        .build()
        .map_err(|error| ProfileError(error.to_string()))?;
    syscall.set_errno_ret(rule.errno_ret);
    Ok(syscall)
}

/// Every capability, any of the architectures, and the kernel.
fn included(filter: Option<&Filter>, facts: &Facts<'_>) -> Result<bool, ProfileError> {
    let Some(filter) = filter else {
        return Ok(true);
    };
    let capabilities = filter.caps.iter().flatten().all(|name| has(name, facts));
    let architectures = filter.arches.as_deref().unwrap_or_default();
    let architecture = architectures.is_empty() || architectures.iter().any(|name| name == facts.architecture);
    Ok(capabilities && architecture && kernel(filter, facts)?.unwrap_or(true))
}

/// Any capability, any of the architectures, or the kernel.
fn excluded(filter: Option<&Filter>, facts: &Facts<'_>) -> Result<bool, ProfileError> {
    let Some(filter) = filter else {
        return Ok(false);
    };
    let capability = filter.caps.iter().flatten().any(|name| has(name, facts));
    let architecture = filter.arches.iter().flatten().any(|name| name == facts.architecture);
    Ok(capability || architecture || kernel(filter, facts)?.unwrap_or(false))
}

fn has(name: &str, facts: &Facts<'_>) -> bool {
    let name = name.strip_prefix("CAP_").unwrap_or(name);
    facts.capabilities.iter().any(|capability| capability.to_string() == name)
}

fn kernel(filter: &Filter, facts: &Facts<'_>) -> Result<Option<bool>, ProfileError> {
    let Some(version) = filter.min_kernel.as_deref().filter(|version| !version.is_empty()) else {
        return Ok(None);
    };
    match parse_kernel(version) {
        Some(version) => Ok(Some(facts.kernel >= version)),
        None => Err(ProfileError(format!("invalid kernel version: {version}"))),
    }
}
