//! Security contexts: what a container says goes before what its pod says.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext,
};
use pods::runtime::{Seccomp, Security};

/// Why a container cannot be created (`CreateContainerConfigError`), in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RunsAsRoot { pod: String, container: String },
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    ImageRunsAsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: \"{pod}\", container: {container})"
    )]
    ImageUserUnknown { user: String, pod: String, container: String },
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// With the message of Kubernetes' admission; the reason is `SysctlForbidden`.
    #[error("{0}")]
    Sysctl(String),
    #[error("seccomp profile {0:?} must be a relative path beneath the node's folder of profiles")]
    SeccompPath(String),
}

/// Why this node does not run a pod at all: its status becomes `Failed` with reason and message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// Whether this node can run a pod as its contexts want it.
///
/// # Errors
/// What this node has not.
pub fn admit(pod: &Pod) -> Result<(), Refusal> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    if spec.host_users == Some(false) {
        let message = "hostUsers: false is not supported: this node runs pods without user namespaces".to_owned();
        return Err(Refusal { reason: "UserNamespaces", message });
    }
    let of_pod = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let of_containers =
        containers.filter_map(|container| container.security_context.as_ref()?.app_armor_profile.as_ref());
    if of_pod.into_iter().chain(of_containers).any(enforced) || annotated(pod) {
        let message = if app_armor_enabled() {
            "Cannot enforce AppArmor: profiles are not applied by this engine"
        } else {
            "Cannot enforce AppArmor: AppArmor is not enabled on the host"
        };
        return Err(Refusal { reason: "AppArmor", message: message.to_owned() });
    }
    Ok(())
}

fn enforced(profile: &AppArmorProfile) -> bool {
    profile.type_ != "Unconfined"
}

/// Profiles were annotations once, and still are where a pod is old.
fn annotated(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.iter().flatten();
    let mut profiles =
        annotations.filter(|(key, _)| key.starts_with("container.apparmor.security.beta.kubernetes.io/"));
    profiles.any(|(_, value)| !value.is_empty() && value != "unconfined")
}

fn app_armor_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|value| value.starts_with(b"Y"))
}

/// What a container is asked to be. `image_user` is the image's (`uid`, `name`, either with a group), `extra_groups` those of its volumes.
///
/// # Errors
/// When the pod's rules forbid who it would run as, or name a profile outside of `seccomp_profiles`.
pub fn of_container(
    pod: &Pod,
    container: &Container,
    image_user: &str,
    extra_groups: &[u32],
    seccomp_profiles: &Path,
) -> Result<Security, Error> {
    let spec = pod.spec.as_ref();
    let default = (PodSecurityContext::default(), SecurityContext::default());
    let of_pod = spec.and_then(|spec| spec.security_context.as_ref()).unwrap_or(&default.0);
    let own = container.security_context.as_ref().unwrap_or(&default.1);
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        not_root(pod, container, run_as_user, image_user)?;
    }
    let privileged = own.privileged == Some(true);
    let profile = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let seccomp = if privileged { Seccomp::Unconfined } else { seccomp(profile, seccomp_profiles)? };
    let groups = of_pod.supplemental_groups.iter().flatten().chain(&of_pod.fs_group);
    let mut supplemental_groups: Vec<u32> =
        groups.filter_map(|group| u32::try_from(*group).ok()).chain(extra_groups.iter().copied()).collect();
    supplemental_groups.sort_unstable();
    supplemental_groups.dedup();
    let (add_capabilities, drop_capabilities) = capabilities(own.capabilities.as_ref());
    Ok(Security {
        privileged,
        user: user(run_as_user, own.run_as_group.or(of_pod.run_as_group), image_user),
        supplemental_groups,
        strict_groups: of_pod.supplemental_groups_policy.as_deref() == Some("Strict"),
        add_capabilities,
        drop_capabilities,
        read_only_root: own.read_only_root_filesystem == Some(true),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        seccomp,
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    })
}

fn not_root(pod: &Pod, container: &Container, run_as_user: Option<i64>, image_user: &str) -> Result<(), Error> {
    let name = |value: &Option<String>| value.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let pod = format!("{}_{}({})", name(&meta.name), name(&meta.namespace), name(&meta.uid));
    let container = container.name.clone();
    match run_as_user {
        Some(0) => return Err(Error::RunsAsRoot { pod, container }),
        Some(_) => return Ok(()),
        None => {}
    }
    let user = image_user.split(':').next().unwrap_or_default();
    match user.parse::<i64>() {
        Ok(0) => Err(Error::ImageRunsAsRoot { pod, container }),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => Err(Error::ImageRunsAsRoot { pod, container }),
        Err(_) => Err(Error::ImageUserUnknown { user: user.to_owned(), pod, container }),
    }
}

/// As the engine takes it: empty for the image's own.
fn user(run_as_user: Option<i64>, run_as_group: Option<i64>, image_user: &str) -> String {
    match (run_as_user, run_as_group) {
        (None, None) => String::new(),
        (Some(user), None) => user.to_string(),
        (Some(user), Some(group)) => format!("{user}:{group}"),
        (None, Some(group)) => {
            let user = image_user.split(':').next().filter(|user| !user.is_empty()).unwrap_or("0");
            format!("{user}:{group}")
        }
    }
}

fn capabilities(wanted: Option<&Capabilities>) -> (Vec<String>, Vec<String>) {
    let list = |names: Option<&Vec<String>>| {
        let all = names.into_iter().flatten();
        all.map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_uppercase()).collect()
    };
    (list(wanted.and_then(|wanted| wanted.add.as_ref())), list(wanted.and_then(|wanted| wanted.drop.as_ref())))
}

fn seccomp(profile: Option<&SeccompProfile>, folder: &Path) -> Result<Seccomp, Error> {
    let Some(profile) = profile else { return Ok(Seccomp::RuntimeDefault) };
    Ok(match profile.type_.as_str() {
        "Unconfined" => Seccomp::Unconfined,
        "Localhost" => {
            let path = profile.localhost_profile.as_deref().unwrap_or_default();
            let beneath = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if path.is_empty() || !beneath {
                return Err(Error::SeccompPath(path.to_owned()));
            }
            Seccomp::Localhost(folder.join(path))
        }
        _ => Seccomp::RuntimeDefault,
    })
}
