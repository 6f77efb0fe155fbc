//! Starts one container: its image, what it is made of, the container itself, its hook.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_client::Severity::{Normal, Warning};
use pods::runtime::{ContainerSpec, Image, Kind, Mount, Sandbox, Scope, State};
use tokio::sync::watch;

use crate::context::Context;
use crate::environment::Addresses;
use crate::observed::{GRACE, HASH, MESSAGE_PATH, MESSAGE_POLICY, RESOURCES};
use crate::security::{self, resources};
use crate::view::{Part, Role, View};
use crate::volumes::MountedVolumes;
use crate::{hooks, network_files};

/// Everything that one start needs.
pub struct Start {
    pub context: Arc<Context>,
    pub view: View,
    pub part: Part,
    pub attempt: u32,
    pub sandbox: Sandbox,
    pub volumes: Arc<MountedVolumes>,
    /// The container whose processes an ephemeral one looks at.
    pub target: Option<String>,
    /// Turns true when the pod is to end.
    pub ending: watch::Receiver<bool>,
}

/// Why it did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStarted {
    /// Reason and message for its status.
    Failed(&'static str, String),
    /// It ran and its hook failed; it was ended.
    Hook,
    /// The pod is to end.
    Ending,
}

fn failed<E: std::fmt::Display>(reason: &'static str) -> impl FnOnce(E) -> NotStarted {
    move |error| NotStarted::Failed(reason, error.to_string())
}

/// Where what a container says at its end is found on the node.
pub fn message_file(folder: &Path, name: &str, attempt: u32) -> PathBuf {
    folder.join("containers").join(name).join(attempt.to_string())
}

/// Waits until the pod is to end.
pub async fn ends(ending: &mut watch::Receiver<bool>) {
    if ending.wait_for(|ending| *ending).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Start {
    /// Starts it.
    ///
    /// # Errors
    /// Why it does not run; events have been told.
    pub async fn run(mut self) -> Result<(), NotStarted> {
        let result = self.start().await;
        if let Err(NotStarted::Failed(reason, message)) = &result {
            let told = if *reason == "ErrImagePull" || *reason == "ErrImageNeverPull" || *reason == "InvalidImageName" {
                format!("Error: {reason}")
            } else {
                format!("Error: {message}")
            };
            self.context.event_of(&self.view, &self.part, Warning, "Failed", told);
        }
        result
    }

    async fn start(&mut self) -> Result<(), NotStarted> {
        let image = self.image().await?;
        self.goes_on()?;
        let spec = self.spec(&image).await?;
        self.clear_leftovers().await;
        self.goes_on()?;
        let containers = self.context.runtime.containers.clone();
        let id = containers.create(&self.sandbox.id, spec).await.map_err(failed("CreateContainerError"))?;
        self.tell("Created", format!("Created container: {}", self.part.name()));
        if let Err(error) = containers.start(&id).await {
            return Err(NotStarted::Failed("RunContainerError", error.to_string()));
        }
        self.tell("Started", format!("Started container {}", self.part.name()));
        self.hook(&id).await
    }

    fn tell(&self, reason: &str, message: String) {
        self.context.event_of(&self.view, &self.part, Normal, reason, message);
    }

    fn goes_on(&self) -> Result<(), NotStarted> {
        if *self.ending.borrow() { Err(NotStarted::Ending) } else { Ok(()) }
    }

    /// The image, pulled where the policy wants it.
    async fn image(&mut self) -> Result<Image, NotStarted> {
        let name = self.part.image().to_owned();
        let policy = self.part.container.image_pull_policy.as_deref().unwrap_or("IfNotPresent").to_owned();
        let found = self.context.runtime.images.status(&name).await.map_err(|error| match error.kind {
            Kind::Invalid => {
                NotStarted::Failed("InvalidImageName", format!("Failed to apply default image tag \"{name}\": {error}"))
            }
            _ => NotStarted::Failed("ImageInspectError", error.to_string()),
        })?;
        match (found, policy.as_str()) {
            (Some(image), "IfNotPresent" | "Never") => {
                let told =
                    format!("Container image \"{name}\" already present on machine and can be accessed by the pod");
                self.tell("Pulled", told);
                Ok(image)
            }
            (None, "Never") => {
                let message = format!("Container image \"{name}\" is not present with pull policy of Never");
                self.context.event_of(&self.view, &self.part, Warning, "ErrImageNeverPull", message.clone());
                Err(NotStarted::Failed("ErrImageNeverPull", message))
            }
            _ => self.pull(&name).await,
        }
    }

    async fn pull(&mut self, name: &str) -> Result<Image, NotStarted> {
        let context = self.context.clone();
        self.tell("Pulling", format!("Pulling image \"{name}\""));
        let waited = Instant::now();
        let pull = async {
            // Secrets that cannot be read are left out: the pull says what that leads to.
            let auths = context.environment.pull_auths(&self.view.pod, name).await.unwrap_or_default();
            let _turn = context.pulls.acquire().await;
            let began = Instant::now();
            (context.runtime.images.pull(name, auths).await, began.elapsed())
        };
        let mut ending = self.ending.clone();
        let (pulled, took) = tokio::select! {
            pulled = pull => pulled,
            () = ends(&mut ending) => return Err(NotStarted::Ending),
        };
        match pulled {
            Ok(image) => {
                let (took, all) = (whole(took), whole(waited.elapsed()));
                let size = image.size;
                self.tell("Pulled", format!("Successfully pulled image \"{name}\" in {took} ({all} including waiting). Image size: {size} bytes."));
                Ok(image)
            }
            Err(error) => {
                let message = format!("Failed to pull image \"{name}\": {error}");
                context.event_of(&self.view, &self.part, Warning, "Failed", message);
                // The name itself was read before.
                Err(NotStarted::Failed("ErrImagePull", error.to_string()))
            }
        }
    }

    /// What the container is asked to be.
    async fn spec(&self, image: &Image) -> Result<ContainerSpec, NotStarted> {
        const CONFIG: &str = "CreateContainerConfigError";
        let (context, view, part) = (&self.context, &self.view, &self.part);
        let pod = &*view.pod;
        let security = security::security(&context.config, pod, &part.container, image).map_err(failed(CONFIG))?;
        let addresses = self.addresses();
        let expanded = context.environment.expand(pod, &part.container, &addresses).await.map_err(failed(CONFIG))?;
        let mut mounts = self.volumes.mounts(pod, &part.container, &expanded.env).await.map_err(failed(CONFIG))?;
        let devices = self.volumes.devices(&part.container).map_err(failed(CONFIG))?;
        for warning in &expanded.warnings {
            context.event_of(view, part, Warning, "InvalidEnvironmentVariableNames", warning.clone());
        }
        let taken = |mounts: &[Mount], path: &Path| mounts.iter().any(|mount| mount.container_path == path);
        if let Some(hosts) = network_files::hosts(&context.config, pod, &addresses).map_err(failed(CONFIG))?
            && !taken(&mounts, &hosts.container_path)
        {
            mounts.push(hosts);
        }
        let message = part.container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
        if !taken(&mounts, Path::new(message)) {
            mounts.push(self.message_mount(message).map_err(failed(CONFIG))?);
        }
        let own = &part.container;
        let policy = own.termination_message_policy.clone().unwrap_or_default();
        let grace = view.spec().termination_grace_period_seconds.unwrap_or(30).to_string();
        let made = serde_json::to_string(&own.resources).unwrap_or_default();
        let annotations = [
            (HASH, part.hash.clone()),
            (MESSAGE_PATH, message.to_owned()),
            (MESSAGE_POLICY, policy),
            (GRACE, grace),
            (RESOURCES, made),
        ];
        let mut labels = view.labels();
        labels.insert("io.kubernetes.container.name".into(), part.name().to_owned());
        Ok(ContainerSpec {
            name: part.name().to_owned(),
            attempt: self.attempt,
            image: part.image().to_owned(),
            image_id: image.id.clone(),
            command: expanded.command,
            args: expanded.args,
            working_dir: own.working_dir.clone().unwrap_or_default(),
            env: expanded.env,
            mounts,
            devices,
            labels,
            annotations: annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            log_path: format!("{}/{}.log", part.name(), self.attempt).into(),
            stdin: own.stdin == Some(true),
            stdin_once: own.stdin_once == Some(true),
            tty: own.tty == Some(true),
            pid: self.processes(),
            resources: resources::of_container(pod, own, context.memory.try_into().unwrap_or(i64::MAX)),
            security,
            stop_signal: own.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone()).unwrap_or_default(),
        })
    }

    fn addresses(&self) -> Addresses {
        let host = self.context.host();
        let pod = if self.view.host_network() { host.clone() } else { self.sandbox.addresses.clone() };
        Addresses { pod, host }
    }

    fn processes(&self) -> Scope {
        let spec = self.view.spec();
        match &self.target {
            _ if spec.host_pid == Some(true) => Scope::Node,
            _ if spec.share_process_namespace == Some(true) => Scope::Pod,
            Some(target) => Scope::Target(target.clone()),
            None => Scope::Container,
        }
    }

    /// An empty file that the container may write its last words into.
    fn message_mount(&self, path: &str) -> std::io::Result<Mount> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.context.config.pod_folder(&self.view.uid);
        let file = message_file(&folder, self.part.name(), self.attempt);
        std::fs::create_dir_all(file.parent().unwrap_or(&folder))?;
        std::fs::write(&file, "")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666))?;
        Ok(Mount { host_path: file, container_path: path.into(), ..Mount::default() })
    }

    /// A container of this attempt that was made and never started, by this process or one before it.
    async fn clear_leftovers(&self) {
        let containers = &self.context.runtime.containers;
        let Ok(all) = containers.of_sandbox(&self.sandbox.id).await else { return };
        for one in all.iter().filter(|one| one.name == self.part.name() && one.state == State::Created) {
            if let Err(error) = containers.remove(&one.id).await {
                tracing::debug!(container = %one.id, %error, "a container that never started stays");
            }
        }
    }

    /// What runs in it right after it started; when that fails, it ends.
    async fn hook(&mut self, id: &str) -> Result<(), NotStarted> {
        let lifecycle = self.part.container.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()) else { return Ok(()) };
        let address = self.addresses().pod.first().copied();
        let run = hooks::run(&self.context.runtime, &self.part.container, id, address, handler, None);
        let mut ending = self.ending.clone();
        let ran = tokio::select! {
            ran = run => ran,
            () = ends(&mut ending) => return Ok(()),
        };
        let Err(said) = ran else { return Ok(()) };
        self.context.event_of(
            &self.view,
            &self.part,
            Warning,
            "FailedPostStartHook",
            format!("PostStartHook failed: {said}"),
        );
        let message = format!("Container {} failed postStart hook, will be restarted", self.part.name());
        self.tell("Killing", message);
        if let Err(error) = self.context.runtime.containers.stop(id, self.view.grace()).await {
            tracing::debug!(container = id, %error, "a container whose hook failed is not ended");
        }
        Err(NotStarted::Hook)
    }
}

fn whole(took: Duration) -> String {
    match took.as_millis() {
        0..1000 => format!("{}ms", took.as_millis()),
        millis => format!("{}.{:03}s", millis / 1000, millis % 1000),
    }
}

/// The container that an ephemeral one is to look at, as the runtime knows it.
pub fn target(part: &Part, observed: &crate::observed::Observed) -> Option<String> {
    if part.role != Role::Ephemeral {
        return None;
    }
    observed.current(part.target.as_deref()?).map(|container| container.id.clone())
}
