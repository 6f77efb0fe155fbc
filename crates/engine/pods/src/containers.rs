//! Containers in sandboxes, in the border's terms.

use std::sync::OnceLock;
use std::time::Duration;

use engine::{
    BindOptions, DeviceMapping, Groups, HealthConfig, HostConfig, IpcMode, Member, MountKind, NetworkMode, PidMode,
    Processes, RemoveOptions, StopOptions, UpdateSpec, UtsMode, Whose,
};

use crate::owner::{OfContainer, OfSandbox, container_labels, container_name, text};
use crate::pods::{Pods, error, invalid};
use crate::runtime::{
    Container, ContainerSpec, Containers, Error, Future, Kind, Mount, Propagation, Resources, Result, Scope, Seccomp,
    Security, State, Usage,
};
use crate::usage;

impl Containers for Pods {
    fn create<'a>(&'a self, sandbox: &'a str, spec: ContainerSpec) -> Future<'a, String> {
        Box::pin(async move {
            let view = self.engine.sandbox(sandbox).map_err(error)?;
            let asked = asked(&view, &spec).await?;
            match self.engine.create(asked).await {
                Ok(created) => Ok(created.id),
                Err(taken) if taken.kind() == engine::Kind::Conflict => {
                    Err(Error { kind: Kind::AlreadyExists, message: taken.message().to_owned() })
                }
                Err(other) => Err(error(other)),
            }
        })
    }

    fn start<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        Box::pin(async move {
            match self.engine.start(id).await {
                Err(error) if error.kind() == engine::Kind::NotModified => Ok(()),
                outcome => outcome.map_err(error),
            }
        })
    }

    fn stop<'a>(&'a self, id: &'a str, grace: Duration) -> Future<'a, ()> {
        Box::pin(async move {
            let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
            let timeout = Some(i64::try_from(seconds).unwrap_or(i64::MAX));
            match self.engine.stop(id, StopOptions { signal: None, timeout }).await {
                Err(error) if matches!(error.kind(), engine::Kind::NotModified | engine::Kind::NotFound) => Ok(()),
                outcome => outcome.map_err(error),
            }
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        Box::pin(async move {
            let options = RemoveOptions { force: true, volumes: true, link: false };
            match self.engine.remove(id, options).await {
                Err(error) if error.kind() == engine::Kind::NotFound => Ok(()),
                outcome => outcome.map_err(error),
            }
        })
    }

    fn list(&self) -> Future<'_, Vec<Container>> {
        Box::pin(async move { Ok(self.engine.members().into_iter().map(told).collect()) })
    }

    fn update<'a>(&'a self, id: &'a str, resources: Resources) -> Future<'a, ()> {
        Box::pin(async move {
            let update = UpdateSpec { resources: usage::limits(&resources), restart: None };
            self.engine.update_member(id, update).await.map_err(error)
        })
    }

    fn usage<'a>(&'a self, id: &'a str) -> Future<'a, Usage> {
        Box::pin(async move { Ok(usage::usage(&self.engine.member_usage(id).await.map_err(error)?)) })
    }

    fn reopen_log<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        Box::pin(async move { self.engine.reopen_log(id).await.map_err(error) })
    }
}

async fn asked(sandbox: &engine::SandboxView, spec: &ContainerSpec) -> Result<engine::ContainerSpec> {
    let (pod, own) = (OfSandbox::read(&sandbox.spec.owner), OfContainer::of(spec));
    let filled = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let config = engine::Config {
        hostname: match sandbox.spec.network {
            Whose::Pod => sandbox.spec.hostname.clone(),
            Whose::Node => String::new(),
        },
        user: spec.security.user.clone(),
        tty: spec.tty,
        open_stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        env: spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        entrypoint: filled(&spec.command),
        cmd: filled(&spec.args),
        // Probes are the kubelet's business, whatever the image says.
        healthcheck: Some(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() }),
        image: spec.image.clone(),
        working_dir: spec.working_dir.clone(),
        labels: container_labels(&pod, &own),
        stop_signal: spec.stop_signal.clone(),
        ..engine::Config::default()
    };
    let member = Member {
        sandbox: sandbox.id.clone(),
        image: spec.image_id.clone(),
        groups: if spec.security.strict_groups { Groups::Strict } else { Groups::Merged },
        log: sandbox.spec.log_directory.join(&spec.log_path),
        owner: text(&own),
    };
    Ok(engine::ContainerSpec {
        name: Some(container_name(&pod, &own)),
        config,
        host: host(sandbox, spec).await?,
        pod: Some(member),
        ..engine::ContainerSpec::default()
    })
}

async fn host(sandbox: &engine::SandboxView, spec: &ContainerSpec) -> Result<HostConfig> {
    let security = &spec.security;
    let of_pod = || sandbox.id.clone();
    let (network_mode, uts) = match sandbox.spec.network {
        Whose::Pod => (NetworkMode::Container(of_pod()), UtsMode::Private),
        Whose::Node => (NetworkMode::Host, UtsMode::Host),
    };
    let unmasked = security.unmasked_proc.then(Vec::new);
    let mut resources = usage::limits(&spec.resources);
    resources.devices = spec
        .devices
        .iter()
        .map(|device| DeviceMapping {
            host_path: device.host_path.clone(),
            container_path: device.container_path.clone(),
            permissions: device.permissions.clone(),
        })
        .collect();
    Ok(HostConfig {
        resources,
        mounts: spec.mounts.iter().map(mount).collect(),
        network_mode,
        uts,
        ipc: match sandbox.spec.ipc {
            Whose::Pod => IpcMode::Container(of_pod()),
            Whose::Node => IpcMode::Host,
        },
        pid: match (&spec.pid, sandbox.spec.processes) {
            (Scope::Pod, Processes::Shared) => PidMode::Container(of_pod()),
            (Scope::Pod, Processes::Apart) | (Scope::Container, _) => PidMode::Private,
            (Scope::Node, _) => PidMode::Host,
            (Scope::Target(container), _) => PidMode::Container(container.clone()),
        },
        annotations: spec.annotations.clone(),
        cap_add: security.add_capabilities.clone(),
        cap_drop: security.drop_capabilities.clone(),
        group_add: security.supplemental_groups.iter().map(ToString::to_string).collect(),
        oom_score_adj: oom_score(spec.resources.oom_score_adj),
        privileged: security.privileged,
        readonly_rootfs: security.read_only_root,
        security_opt: security_options(security).await?,
        masked_paths: unmasked.clone(),
        readonly_paths: unmasked,
        init: Some(false),
        ..HostConfig::default()
    })
}

fn mount(mount: &Mount) -> engine::Mount {
    let propagation = match mount.propagation {
        Propagation::None => "rprivate",
        Propagation::HostToContainer => "rslave",
        Propagation::Bidirectional => "rshared",
    };
    engine::Mount {
        kind: MountKind::Bind,
        source: mount.host_path.to_string_lossy().into_owned(),
        target: mount.container_path.to_string_lossy().into_owned(),
        read_only: mount.read_only,
        consistency: String::new(),
        bind: Some(BindOptions {
            propagation: propagation.to_owned(),
            create_mountpoint: true,
            read_only_force_recursive: mount.recursive_read_only,
            ..BindOptions::default()
        }),
        volume: None,
        tmpfs: None,
        image_subpath: None,
    }
}

async fn security_options(security: &Security) -> Result<Vec<String>> {
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &security.seccomp {
        _ if security.privileged => {}
        Seccomp::RuntimeDefault => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Localhost(path) => {
            let profile = tokio::fs::read_to_string(path).await;
            let profile =
                profile.map_err(|error| invalid(format!("read the seccomp profile {}: {error}", path.display())))?;
            options.push(format!("seccomp={profile}"));
        }
    }
    Ok(options)
}

/// The score as far as this host lets it be set: going below its own needs a capability that not every daemon has.
fn oom_score(wanted: i64) -> i64 {
    static FLOOR: OnceLock<Option<i64>> = OnceLock::new();
    match FLOOR.get_or_init(oom_floor) {
        Some(floor) if wanted < *floor => {
            tracing::warn!(wanted, floor, "without CAP_SYS_RESOURCE the score for want of memory cannot go lower");
            *floor
        }
        _ => wanted,
    }
}

/// `None` where everything may be set.
fn oom_floor() -> Option<i64> {
    const SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    if effective >> SYS_RESOURCE & 1 == 1 {
        return None;
    }
    std::fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok()
}

fn told(view: engine::MemberView) -> Container {
    let owner = OfContainer::read(&view.member.owner);
    Container {
        state: state(&view),
        id: view.id,
        sandbox: view.member.sandbox,
        name: owner.name,
        attempt: owner.attempt,
        image: owner.image,
        image_id: view.image,
        created: view.created,
        pid: view.state.pid,
        labels: owner.labels,
        annotations: owner.annotations,
        log_path: view.member.log,
    }
}

fn state(view: &engine::MemberView) -> State {
    let state = &view.state;
    match state.status {
        engine::Status::Running | engine::Status::Paused | engine::Status::Restarting => {
            State::Running { started: state.started.unwrap_or(view.created) }
        }
        engine::Status::Created if state.error.is_empty() => State::Created,
        engine::Status::Created | engine::Status::Exited | engine::Status::Removing | engine::Status::Dead => {
            State::Exited {
                started: state.started,
                finished: state.finished.unwrap_or(view.created),
                code: state.exit_code,
                oom_killed: state.oom_killed,
                message: state.error.clone(),
            }
        }
    }
}
