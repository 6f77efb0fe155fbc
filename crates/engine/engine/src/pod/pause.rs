//! The process that a sandbox has only where its containers see each other's processes: its namespace is theirs.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use spec::runtime::{
    Linux, LinuxCapabilities, LinuxNamespace, LinuxNamespaceType, MountBuilder, Process, Root, Spec, User,
};
use supervisor::{CreateRequest, Io, ProcessKey};

use super::table::Sandbox;
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};

/// Where the daemon's program is in the process's root, which holds nothing else.
const PROGRAM: &str = "/pause";

impl Inner {
    /// Starts it. On failure nothing is left.
    pub(super) async fn start_pause(&self, record: &Sandbox) -> Result<()> {
        let cgroup = format!("{}/{}", self.sandbox_cgroup(&record.id, &record.spec), record.id);
        let request = CreateRequest {
            id: record.id.clone(),
            spec: specification(&self.config.binary)?,
            root: empty_root()?,
            netns: None,
            joined: Vec::new(),
            trees: Vec::new(),
            cgroup,
            io: Io::Pipes { stdin: false },
            log: supervisor::LogConfig::None,
            attach: None,
        };
        self.supervisor.create(request).await?;
        if let Err(error) = self.supervisor.start(&record.id).await {
            self.end_pause(&record.id).await;
            return Err(error.into());
        }
        Ok(())
    }

    /// Kills it, if it is there, and everything in its namespace with it.
    pub(super) async fn end_pause(&self, sandbox: &str) {
        let key = ProcessKey::container(sandbox);
        if self.supervisor.state(&key).is_none() {
            return;
        }
        // It may have ended by itself.
        let _ = self.supervisor.kill(&key, crate::signals::KILL).await;
        let ended = match self.supervisor.wait(&key).await {
            Ok(_) => self.supervisor.delete(&key).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(sandbox, %error, "the process of a sandbox could not be ended");
        }
    }

    /// Its end takes every process of the pod along: the sandbox is not ready any more.
    pub fn pause_ended(self: &Arc<Self>, sandbox: &str) {
        let engine = crate::Engine { inner: self.clone() };
        let sandbox = sandbox.to_owned();
        tokio::spawn(async move {
            if let Err(error) = engine.sandbox_stop(&sandbox).await {
                tracing::warn!(sandbox, %error, "a sandbox without its process could not be stopped");
            }
        });
    }
}

fn specification(binary: &Path) -> Result<Spec> {
    let mut user = User::default();
    user.set_uid(65534).set_gid(65534);
    let mut none = LinuxCapabilities::default();
    none.set_bounding(None).set_effective(None).set_permitted(None).set_inheritable(None).set_ambient(None);
    let mut process = Process::default();
    process
        .set_terminal(Some(false))
        .set_user(user)
        .set_args(Some([PROGRAM, "init", "--pause"].map(str::to_owned).into()))
        .set_env(Some(Vec::new()))
        .set_cwd("/".into())
        .set_capabilities(Some(none))
        .set_rlimits(None)
        .set_no_new_privileges(Some(true));
    let program = MountBuilder::default()
        .typ("bind")
        .source(binary)
        .destination(PROGRAM)
        .options(["bind", "ro"].map(str::to_owned).to_vec())
        .build()
        .map_err(|error| Error::because(Kind::Internal, "mount of the pause process", error))?;
    let mut linux = Linux::default();
    let namespaces = [
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
    ];
    let namespace = |kind| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(None::<PathBuf>);
        namespace
    };
    linux
        .set_namespaces(Some(namespaces.map(namespace).into()))
        .set_devices(None)
        .set_resources(None)
        .set_masked_paths(None)
        .set_readonly_paths(None)
        .set_rootfs_propagation(Some("private".to_owned()));
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(true));
    let mut spec = Spec::default();
    spec.set_root(Some(root))
        .set_process(Some(process))
        .set_mounts(Some(vec![program]))
        .set_linux(Some(linux))
        .set_hostname(None)
        .set_domainname(None);
    Ok(spec)
}

fn empty_root() -> Result<OwnedFd> {
    let failed = |error: rustix::io::Errno| {
        Error::because(Kind::Internal, "make the root of the pause process", std::io::Error::from(error))
    };
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    for (key, value) in [("source", "pause"), ("mode", "755"), ("size", "64k")] {
        rustix::mount::fsconfig_set_string(&context, key, value).map_err(failed)?;
    }
    rustix::mount::fsconfig_create(&context).map_err(failed)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(failed)
}
