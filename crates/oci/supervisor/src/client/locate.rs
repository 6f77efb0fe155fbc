//! Finding the supervisor of an exec-root, or starting one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::SupervisorConfig;
use crate::error::{Error, Result};
use crate::process::{LOCK, LOG, SOCKET};

/// How often, and how long, a supervisor that somebody else is starting is waited for.
const RETRIES: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(50);

/// A connection, and the supervisor if it was started here.
pub(super) struct Located {
    pub(super) socket: OwnedFd,
    pub(super) started: Option<Child>,
}

/// Connects to the supervisor; starts one where none lives.
pub(super) async fn locate(config: &SupervisorConfig) -> Result<Located> {
    let mut reason = String::new();
    for _ in 0..RETRIES {
        match try_connect(&config.exec_root) {
            Ok(socket) => {
                let started = None;
                return Ok(Located { socket, started });
            }
            Err(error) if is_dead(&error) => {}
            Err(source) => {
                let path = config.exec_root.join(SOCKET);
                return Err(Error::Connect { step: "connect to", path, source });
            }
        }
        match start(config).await? {
            Started::Ready(child) => {
                let socket = try_connect(&config.exec_root).map_err(|source| Error::Connect {
                    step: "connect to",
                    path: config.exec_root.join(SOCKET),
                    source,
                })?;
                let started = Some(child);
                return Ok(Located { socket, started });
            }
            Started::Refused { words, locked: true } => reason = words,
            Started::Refused { words, locked: false } => {
                let path = config.exec_root.clone();
                return Err(Error::NotStarted { path, reason: words });
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
    let path = config.exec_root.clone();
    let holder = fs::read_to_string(config.exec_root.join(LOCK)).unwrap_or_default();
    let reason = format!("{reason}; process {} holds the lock but does not answer", holder.trim());
    Err(Error::NotStarted { path, reason })
}

/// A left over socket file refuses; a missing one is not found.
fn is_dead(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

fn try_connect(exec_root: &Path) -> io::Result<OwnedFd> {
    // Through the folder's descriptor: socket addresses are short, paths need not be.
    let folder = rustix::fs::open(exec_root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path.as_str())?)?;
    Ok(socket)
}

enum Started {
    Ready(Child),
    Refused { words: String, locked: bool },
}

async fn start(config: &SupervisorConfig) -> Result<Started> {
    let config = config.clone();
    match tokio::task::spawn_blocking(move || start_blocking(&config)).await {
        Ok(started) => started,
        Err(_) => Err(Error::Lost),
    }
}

fn start_blocking(config: &SupervisorConfig) -> Result<Started> {
    let log_path = config.exec_root.join(LOG);
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(|source| Error::Connect { step: "open the log of", path: log_path, source })?;
    let failed = |source| Error::Connect { step: "start", path: config.binary.clone(), source };
    let mut child = Command::new(&config.binary)
        .arg("supervisor")
        .arg("--exec-root")
        .arg(&config.exec_root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    // It lets go of its standard output after the first line.
    let mut words = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut words).map_err(failed)?;
    }
    let words = words.trim().to_owned();
    if words == "ready" {
        return Ok(Started::Ready(child));
    }
    let status = child.wait().map_err(failed)?;
    let locked = words.contains("another one lives");
    let words = match words.is_empty() {
        true => format!("{status}; see {}", config.exec_root.join(LOG).display()),
        false => words,
    };
    Ok(Started::Refused { words, locked })
}

/// A handle of the process at the other end.
pub(super) fn peer(socket: &OwnedFd) -> io::Result<(i32, OwnedFd)> {
    let peer = rustix::net::sockopt::socket_peercred(socket.as_fd())?;
    let flags = rustix::process::PidfdFlags::NONBLOCK;
    let handle = rustix::process::pidfd_open(peer.pid, flags)?;
    Ok((peer.pid.as_raw_nonzero().get(), handle))
}

/// Identity of the configured binary's file.
pub(super) fn program_of(config: &SupervisorConfig) -> io::Result<crate::wire::ProgramId> {
    let file = File::open(&config.binary)?;
    Ok(crate::process::program_id(&rustix::fs::fstat(&file)?))
}
