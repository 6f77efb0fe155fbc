//! Becoming the one supervisor of an exec-root: session, lock, socket, limits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::table::{Seat, Supervisor};
use crate::error::{Error, Result};

/// Name of the socket in the exec-root.
pub(crate) const SOCKET: &str = "supervisor.sock";
/// Name of the file whose lock says that a supervisor lives.
pub(crate) const LOCK: &str = "supervisor.lock";
/// Name of the file that standard error goes to.
pub(crate) const LOG: &str = "supervisor.log";

/// Takes the place of the exec-root's supervisor.
pub(super) fn fresh(exec_root: &Path) -> Result<Supervisor> {
    // Fails where this is the leader of a session already.
    let _ = rustix::process::setsid();
    let lock = lock(&exec_root.join(LOCK))?;
    let listener = listener(&exec_root.join(SOCKET))?;
    std::env::set_current_dir("/").map_err(system("go to /"))?;
    let limit = raise_descriptor_limit();
    let supervisor = Supervisor::new(Seat { lock, listener, descriptor_limit: limit })?;
    detach_from_starter()?;
    Ok(supervisor)
}

/// An error of a named step.
pub(super) fn system<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::System { step, source: error.into() }
}

/// A lock of the process, so neither a forked child nor a re-execution changes who holds it, and death drops it.
fn lock(path: &Path) -> Result<File> {
    let step = |step| move |source: io::Error| Error::Connect { step, path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(step("open the lock of"))?;
    if let Err(error) = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        return Err(step("lock (another one lives)")(error.into()));
    }
    file.set_len(0).map_err(step("write the pid of"))?;
    writeln!(file, "{}", std::process::id()).map_err(step("write the pid of"))?;
    Ok(file)
}

fn listener(path: &Path) -> Result<OwnedFd> {
    let step = |step| move |source: io::Error| Error::Connect { step, path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(step("remove the old socket of")(error));
        }
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(system("make the supervisor's socket"))?;
    // Through the folder's descriptor: socket addresses are short, paths need not be.
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder = File::open(folder).map_err(step("open the folder of"))?;
    let address = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let address = SocketAddrUnix::new(address.as_str()).map_err(|error| step("name the socket of")(error.into()))?;
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let bound = bind(&socket, &address);
    rustix::process::umask(old);
    bound.map_err(|error| step("bind the socket of")(error.into()))?;
    listen(&socket, 64).map_err(system("listen on the supervisor's socket"))?;
    Ok(socket)
}

/// Each process takes about eight descriptors. Tells the former limit, which containers get.
fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Not being allowed means fewer containers, not none.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    limit.current
}

/// Says that the socket answers, and lets go of what the starter may wait for.
fn detach_from_starter() -> Result<()> {
    println!("ready");
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(system("let go of standard input"))?;
    rustix::stdio::dup2_stdout(&null).map_err(system("let go of standard output"))?;
    Ok(())
}
