//! The descriptors of a sandbox: namespaces made by a thread that ends afterwards, and the mount of its shared memory.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use crate::error::{Error, Kind, Result};
use crate::model::pod::{SandboxSpec, Whose};

/// Names under which the descriptors are held.
pub mod role {
    pub const NET: &str = "net";
    pub const IPC: &str = "ipc";
    pub const UTS: &str = "uts";
    pub const SHM: &str = "shm";
    /// Says that the sandbox lives, where it has nothing of its own.
    pub const ALIVE: &str = "alive";
}

/// Makes what a sandbox has besides its network namespace, and sets names and kernel parameters inside all of it.
/// Blocks.
pub fn make(spec: &SandboxSpec, netns: Option<OwnedFd>, shm_size: i64) -> Result<Vec<(String, OwnedFd)>> {
    let sysctls = sysctls(spec)?;
    let own = (spec.network == Whose::Pod, spec.ipc == Whose::Pod);
    let hostname = spec.hostname.clone();
    let thread = std::thread::Builder::new().name("sandbox".to_owned()).stack_size(256 << 10);
    let inside = thread.spawn(move || inside(own, netns, &hostname, &sysctls));
    let inside = inside.map_err(|error| Error::because(Kind::Internal, "start a thread for a sandbox", error))?;
    let mut made = match inside.join() {
        Ok(made) => made?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    if spec.ipc == Whose::Pod
        && let Some(shm) = shared_memory(shm_size)?
    {
        made.push((role::SHM.to_owned(), shm));
    }
    if made.is_empty() {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        made.push((role::ALIVE.to_owned(), root.map_err(step("open /"))?));
    }
    Ok(made)
}

/// Files beneath /proc/sys with their values; the first that is not the sandbox's own is refused by name.
fn sysctls(spec: &SandboxSpec) -> Result<Vec<(String, String)>> {
    let own = runtime::OwnNamespaces {
        ipc: spec.ipc == Whose::Pod,
        net: spec.network == Whose::Pod,
        uts: spec.network == Whose::Pod,
    };
    let file = |(name, value): (&String, &String)| match runtime::sysctl_file(name, own) {
        Ok(file) => Ok((file, value.clone())),
        Err(problem) => Err(Error::invalid(format!("sysctl {name:?} {problem}"))),
    };
    spec.sysctls.iter().map(file).collect()
}

fn inside(
    (network, ipc): (bool, bool),
    netns: Option<OwnedFd>,
    hostname: &str,
    sysctls: &[(String, String)],
) -> Result<Vec<(String, OwnedFd)>> {
    let mut made = Vec::new();
    if let Some(netns) = &netns {
        sys::netns::enter(netns.as_fd()).map_err(step("enter the sandbox's network namespace"))?;
    }
    // A pod on the host's network has the host's name, too.
    sys::namespace::unshare_ipc_and_uts_of_thread(ipc, network).map_err(step("make the sandbox's namespaces"))?;
    if network {
        rustix::system::sethostname(hostname.as_bytes()).map_err(step("set the sandbox's name"))?;
    }
    for (file, value) in sysctls {
        let path = Path::new("/proc/sys").join(file);
        std::fs::write(&path, value)
            .map_err(|error| Error::because(Kind::Invalid, format_args!("set sysctl {file} to {value:?}"), error))?;
    }
    made.extend(netns.map(|netns| (role::NET.to_owned(), netns)));
    for (wanted, name) in [(ipc, role::IPC), (network, role::UTS)] {
        if wanted {
            let path = format!("/proc/thread-self/ns/{name}");
            let fd = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            made.push((name.to_owned(), fd.map_err(step("open the sandbox's namespaces"))?));
        }
    }
    Ok(made)
}

/// A tmpfs that is mounted nowhere; `None` on kernels that cannot bind such a one (before 6.15): there each container
/// has shared memory of its own.
fn shared_memory(size: i64) -> Result<Option<OwnedFd>> {
    let failed = || step("make the sandbox's shared memory");
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed())?;
    for (key, value) in [("source", "shm"), ("mode", "1777"), ("size", &size.to_string())] {
        rustix::mount::fsconfig_set_string(&context, key, value).map_err(failed())?;
    }
    rustix::mount::fsconfig_create(&context).map_err(failed())?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed())?;
    Ok(copy(&mount).is_ok().then_some(mount))
}

/// Another mount of the same file system, for one container.
pub fn copy(mount: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(mount, "", flags)
}

fn step<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::because(Kind::Internal, what, error.into())
}
