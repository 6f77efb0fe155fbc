//! The runtime's specification of a container, composed from its record and what a start found out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use runtime::profile;
use spec::runtime::{
    Capability, Linux, LinuxCapabilities, LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount, MountBuilder,
    Process, Root, Spec, User,
};

use super::mounts::{self, Planned};
use super::security::{Seccomp, Security};
use super::users::Who;
use super::{capabilities, devices, environment, resources, security, subpath};
use crate::error::{Error, Kind, Result};
use crate::model::host::Ulimit;
use crate::model::mode::{CgroupnsMode, IpcMode, NetworkMode, PidMode, UtsMode};
use crate::model::mount::{MountKind, TmpfsOptions};
use crate::pod::{Joined, SHM};
use crate::record::Record;
use supervisor::Namespace;

/// Path of the init in containers that ask for one.
pub const INIT: &str = "/sbin/docker-init";

/// What a start knows besides the record.
#[derive(Debug)]
pub struct Found<'a> {
    pub who: Who,
    /// Files of the host that become the container's.
    pub hosts: PathBuf,
    pub hostname: PathBuf,
    pub resolv_conf: PathBuf,
    /// The daemon's program, mounted as init where that is asked for.
    pub init: Option<&'a Path>,
    /// Process ids of the containers whose namespaces are joined.
    pub ipc_of: Option<i32>,
    pub pid_of: Option<i32>,
    /// What a member of a sandbox gets of it.
    pub pod: Option<&'a Joined>,
    pub default_ulimits: &'a [Ulimit],
    pub no_new_privileges: bool,
    /// The daemon's seccomp profile instead of the default one.
    pub seccomp_profile: Option<&'a str>,
    /// Only cgroup v2 on this host.
    pub unified: bool,
    pub cgroup: &'a str,
    /// Sizes of `/dev/shm` of containers that do not say.
    pub shm_size: i64,
}

/// Composes the specification.
pub fn compose(record: &Record, mounts: &[Planned], found: &Found<'_>) -> Result<Spec> {
    let host = &record.host;
    let security = security::parse(&host.security_opt, host.privileged, found.no_new_privileges)?;
    let granted = capabilities::of(&host.cap_add, &host.cap_drop, host.privileged)?;
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(host.readonly_rootfs));
    let mut spec = Spec::default();
    spec.set_root(Some(root))
        .set_process(Some(process(record, found, &security, &granted)?))
        .set_mounts(Some(mount_list(record, mounts, found, &security)?))
        .set_linux(Some(linux(record, found, &security, &granted)?))
        .set_hostname(None)
        .set_domainname(None);
    if host.uts != UtsMode::Host && found.pod.is_none() {
        spec.set_hostname(Some(record.config.hostname.clone()));
        let domain = &record.config.domainname;
        spec.set_domainname((!domain.is_empty()).then(|| domain.clone()));
    }
    let annotations: HashMap<_, _> = host.annotations.clone().into_iter().collect();
    spec.set_annotations((!annotations.is_empty()).then_some(annotations));
    Ok(spec)
}

fn process(record: &Record, found: &Found<'_>, security: &Security, granted: &[Capability]) -> Result<Process> {
    let config = &record.config;
    let host = &record.host;
    let mut args = record.args.clone();
    if found.init.is_some() && host.pid == PidMode::Private {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    let cwd = match config.working_dir.as_str() {
        "" => "/".to_owned(),
        folder => mounts::clean(folder),
    };
    let mut process = Process::default();
    process
        .set_terminal(Some(config.tty))
        .set_user(user(&found.who))
        .set_args(Some(args))
        .set_env(Some(environment::of_container(&config.hostname, config.tty, &config.env, &found.who.home)))
        .set_cwd(cwd.into())
        .set_capabilities(Some(capability_sets(granted)))
        .set_rlimits(Some(resources::rlimits(&host.resources.ulimits, found.default_ulimits.iter())?))
        .set_no_new_privileges(Some(security.no_new_privileges))
        .set_oom_score_adj(i32::try_from(host.oom_score_adj).ok().filter(|it| *it != 0));
    Ok(process)
}

/// The specification of a further process in the container.
pub struct ExecProcess<'a> {
    pub args: Vec<String>,
    pub env: &'a [String],
    pub cwd: &'a str,
    pub tty: bool,
    pub privileged: bool,
    pub who: &'a Who,
    pub no_new_privileges: bool,
}

/// Composes the specification of an exec.
pub fn exec(record: &Record, exec: &ExecProcess<'_>) -> Result<Process> {
    let host = &record.host;
    let security = security::parse(&host.security_opt, host.privileged, exec.no_new_privileges)?;
    let privileged = host.privileged || exec.privileged;
    let granted = capabilities::of(&host.cap_add, &host.cap_drop, privileged)?;
    let cwd = match (exec.cwd, record.config.working_dir.as_str()) {
        ("", "") => "/".to_owned(),
        ("", folder) | (folder, _) => mounts::clean(folder),
    };
    let mut process = Process::default();
    process
        .set_terminal(Some(exec.tty))
        .set_user(user(exec.who))
        .set_args(Some(exec.args.clone()))
        .set_env(Some(environment::of_exec(
            &record.config.hostname,
            exec.tty,
            &record.config.env,
            exec.env,
            &exec.who.home,
        )))
        .set_cwd(cwd.into())
        .set_capabilities(Some(capability_sets(&granted)))
        .set_rlimits(Some(resources::rlimits(&host.resources.ulimits, [].iter())?))
        .set_no_new_privileges(Some(security.no_new_privileges));
    Ok(process)
}

/// The filter of an exec: the container's.
pub fn exec_seccomp(
    record: &Record,
    privileged: bool,
    daemon: Option<&str>,
) -> Result<Option<spec::runtime::LinuxSeccomp>> {
    let host = &record.host;
    let privileged = host.privileged || privileged;
    let security = security::parse(&host.security_opt, privileged, false)?;
    let granted = capabilities::of(&host.cap_add, &host.cap_drop, privileged)?;
    seccomp(&security, &granted, daemon)
}

fn user(who: &Who) -> User {
    let mut user = User::default();
    user.set_uid(who.uid).set_gid(who.gid).set_additional_gids(Some(who.groups.clone()));
    user
}

fn capability_sets(granted: &[Capability]) -> LinuxCapabilities {
    let set: std::collections::HashSet<_> = granted.iter().copied().collect();
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

fn linux(record: &Record, found: &Found<'_>, security: &Security, granted: &[Capability]) -> Result<Linux> {
    let host = &record.host;
    let mut nodes = profile::default_devices();
    let mut limits: LinuxResources = resources::limits(&host.resources)?;
    let mut rules = if host.privileged {
        nodes.extend(devices::every()?);
        profile::privileged_device_rules()
    } else {
        profile::default_device_rules()
    };
    for mapping in &host.resources.devices {
        let (more, allowed) = devices::mapped(mapping)?;
        nodes.extend(more);
        if !host.privileged {
            rules.extend(allowed);
        }
    }
    for text in &host.resources.device_cgroup_rules {
        rules.push(devices::rule(text)?);
    }
    if !host.resources.device_requests.is_empty() {
        return Err(Error::new(
            Kind::Unimplemented,
            "could not select device driver \"\" with capabilities: device requests are not implemented",
        ));
    }
    let mut seen = std::collections::HashSet::new();
    nodes.retain(|it| seen.insert(it.path().clone()));
    limits.set_devices(Some(rules));
    let (masked, readonly) = if host.privileged {
        (Vec::new(), Vec::new())
    } else {
        (
            host.masked_paths.clone().unwrap_or_else(profile::masked_paths),
            host.readonly_paths.clone().unwrap_or_else(profile::readonly_paths),
        )
    };
    let sysctls: HashMap<_, _> = host.sysctls.clone().into_iter().collect();
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(record, found)))
        .set_devices(Some(nodes))
        .set_resources(Some(limits))
        .set_cgroups_path(Some(found.cgroup.into()))
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(readonly))
        .set_sysctl((!sysctls.is_empty()).then_some(sysctls))
        .set_rootfs_propagation(Some(propagation(&record.mounts).to_owned()))
        .set_seccomp(seccomp(security, granted, found.seccomp_profile)?);
    Ok(linux)
}

fn seccomp(
    security: &Security,
    granted: &[Capability],
    daemon: Option<&str>,
) -> Result<Option<spec::runtime::LinuxSeccomp>> {
    let text = match &security.seccomp {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Profile(text) => text,
        Seccomp::Default => match daemon {
            Some(text) => text,
            None => return Ok(Some(profile::default_seccomp(granted))),
        },
    };
    profile::seccomp_from_docker_json(text, granted)
        .map(Some)
        .map_err(|error| Error::new(Kind::Invalid, error.to_string()))
}

fn namespaces(record: &Record, found: &Found<'_>) -> Vec<LinuxNamespace> {
    let host = &record.host;
    let mut list = vec![namespace(LinuxNamespaceType::Mount, None)];
    let joined = |pid: Option<i32>, name: &str| pid.map(|pid| format!("/proc/{pid}/ns/{name}"));
    if host.network_mode != NetworkMode::Host {
        // Which one is told by descriptor.
        list.push(namespace(LinuxNamespaceType::Network, None));
    }
    // Which ones a member of a sandbox joins is told by descriptor, too.
    let of_pod = |kind| found.pod.is_none_or(|pod| pod.has(kind));
    match &host.ipc {
        _ if !of_pod(Namespace::Ipc) => {}
        IpcMode::Host => {}
        IpcMode::Container(_) => list.push(namespace(LinuxNamespaceType::Ipc, joined(found.ipc_of, "ipc"))),
        IpcMode::Default | IpcMode::None | IpcMode::Private | IpcMode::Shareable => {
            list.push(namespace(LinuxNamespaceType::Ipc, None));
        }
    }
    match &host.pid {
        PidMode::Host => {}
        PidMode::Container(_) => list.push(namespace(LinuxNamespaceType::Pid, joined(found.pid_of, "pid"))),
        PidMode::Private => list.push(namespace(LinuxNamespaceType::Pid, None)),
    }
    if host.uts == UtsMode::Private && of_pod(Namespace::Uts) {
        list.push(namespace(LinuxNamespaceType::Uts, None));
    }
    if cgroup_private(record, found.unified) {
        list.push(namespace(LinuxNamespaceType::Cgroup, None));
    }
    list
}

fn cgroup_private(record: &Record, unified: bool) -> bool {
    match record.host.cgroupns {
        CgroupnsMode::Private => true,
        CgroupnsMode::Host => false,
        CgroupnsMode::Default => unified,
    }
}

/// How far the container's tree must stay tied to the host's, for mounts that are to travel.
fn propagation(mounts: &[Planned]) -> &'static str {
    let any = |what: &str| mounts.iter().any(|it| it.point.propagation.ends_with(what));
    if any("shared") {
        "rshared"
    } else if any("slave") {
        "rslave"
    } else {
        "private"
    }
}

fn namespace(kind: LinuxNamespaceType, path: Option<String>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind).set_path(path.map(PathBuf::from));
    namespace
}

fn mount_list(record: &Record, planned: &[Planned], found: &Found<'_>, security: &Security) -> Result<Vec<Mount>> {
    let host = &record.host;
    let shm_size = if host.shm_size > 0 { host.shm_size } else { found.shm_size };
    let mut list = profile::default_mounts(u64::try_from(shm_size).unwrap_or(64 << 20));
    let replaced = |path: &Path| {
        planned.iter().any(|it| Path::new(&it.point.destination) == path)
            || host.tmpfs.keys().any(|it| Path::new(&mounts::clean(it)) == path)
    };
    list.retain(|it| !replaced(it.destination()));
    match host.ipc {
        IpcMode::None => list.retain(|it| it.destination() != Path::new("/dev/shm")),
        IpcMode::Host => {
            list.retain(|it| !["/dev/shm", "/dev/mqueue"].iter().any(|path| it.destination() == Path::new(path)));
            // A host without one of them has none to share.
            for path in ["/dev/shm", "/dev/mqueue"].into_iter().filter(|it| Path::new(it).exists()) {
                list.push(bind(Path::new(path), path, &["rbind", "rprivate"])?);
            }
        }
        IpcMode::Default | IpcMode::Private | IpcMode::Shareable | IpcMode::Container(_) => {}
    }
    if found.pod.is_some_and(|pod| pod.shm.is_some()) {
        for own in list.iter_mut().filter(|it| it.destination() == Path::new("/dev/shm")) {
            *own = bind(Path::new(SHM), "/dev/shm", &["bind", "rprivate", "nosuid", "nodev", "noexec"])?;
        }
    }
    if host.privileged || security.writable_cgroups {
        writable(&mut list, host.privileged);
    }
    let mut own: Vec<(usize, Mount)> = Vec::new();
    for (source, target) in
        [(&found.resolv_conf, "/etc/resolv.conf"), (&found.hostname, "/etc/hostname"), (&found.hosts, "/etc/hosts")]
    {
        if !replaced(Path::new(target)) {
            let access = if host.readonly_rootfs { "ro" } else { "rw" };
            own.push((2, bind(source, target, &["rbind", "rprivate", access])?));
        }
    }
    for mount in planned {
        own.push((mounts::depth(&mount.point.destination), planned_mount(mount)?));
    }
    for (target, options) in &host.tmpfs {
        let target = mounts::clean(target);
        own.push((mounts::depth(&target), tmpfs(&target, options)?));
    }
    if let Some(binary) = found.init.filter(|_| host.pid == PidMode::Private) {
        own.push((2, bind(binary, INIT, &["bind", "ro"])?));
    }
    own.sort_by_key(|(depth, _)| *depth);
    list.extend(own.into_iter().map(|(_, mount)| mount));
    Ok(list)
}

fn writable(list: &mut [Mount], privileged: bool) {
    for mount in list {
        let cgroup = mount.destination() == Path::new("/sys/fs/cgroup");
        let wanted = cgroup || (privileged && mount.destination() == Path::new("/sys"));
        if let Some(options) = mount.options_mut().as_mut().filter(|_| wanted) {
            options.retain(|it| it != "ro");
            options.push("rw".to_owned());
        }
    }
}

fn planned_mount(mount: &Planned) -> Result<Mount> {
    let point = &mount.point;
    if let (MountKind::Tmpfs, Some(options)) = (point.kind, &mount.tmpfs) {
        return configured_tmpfs(&point.destination, options, point.rw);
    }
    let propagation = match point.propagation.as_str() {
        "" => "rprivate",
        propagation => propagation,
    };
    let mut options = vec![if mount.recursive { "rbind" } else { "bind" }, propagation];
    if !point.rw {
        options.push(if mount.read_only_recursive { "rro" } else { "ro" });
    }
    let source = match mount.subpath.is_empty() {
        // Joining nothing would leave a slash at the end, which no file can have.
        true => Path::new(&point.source).to_owned(),
        false => subpath::beneath(Path::new(&point.source), &mount.subpath)?,
    };
    bind(&source, &point.destination, &options)
}

fn bind(source: &Path, target: &str, options: &[&str]) -> Result<Mount> {
    mount("bind", source, target, options.iter().map(|it| (*it).to_owned()).collect())
}

/// `--tmpfs`: docker's defaults before what was said.
fn tmpfs(target: &str, said: &str) -> Result<Mount> {
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).into();
    for word in said.split(',').filter(|it| !it.is_empty()) {
        let opposite = match word {
            "exec" => "noexec",
            "suid" => "nosuid",
            "dev" => "nodev",
            _ => "",
        };
        options.retain(|it| it != opposite && it != word);
        options.push(word.to_owned());
    }
    mount("tmpfs", Path::new("tmpfs"), target, options)
}

fn configured_tmpfs(target: &str, said: &TmpfsOptions, rw: bool) -> Result<Mount> {
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).into();
    if !rw {
        options.push("ro".to_owned());
    }
    if said.mode != 0 {
        options.push(format!("mode={:o}", said.mode));
    }
    if said.size > 0 {
        options.push(format!("size={}", said.size));
    }
    for option in &said.options {
        match option.as_slice() {
            [word] if word == "exec" => options.retain(|it| it != "noexec"),
            [word] if word == "noexec" => {}
            [name, ..] => {
                return Err(Error::invalid(format!("invalid mount config for type \"tmpfs\": invalid option: {name}")));
            }
            [] => {
                return Err(Error::invalid("invalid mount config for type \"tmpfs\": invalid option array length"));
            }
        }
    }
    mount("tmpfs", Path::new("tmpfs"), target, options)
}

fn mount(kind: &str, source: &Path, target: &str, options: Vec<String>) -> Result<Mount> {
    MountBuilder::default()
        .typ(kind)
        .source(source)
        .destination(target)
        .options(options)
        .build()
        .map_err(|error| Error::because(Kind::Internal, format_args!("mount at {target}"), error))
}

#[cfg(test)]
mod tests;
