//! Namespaces that are there already: who joins which, and being born into them.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use cgroup::Entry;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::thread::LinkNameSpaceType;
use sys::clone::Child;

use crate::error::{AtStep, Error, Result};
use crate::init::execute;
use crate::message::{self, Channel, Message};
use crate::plan::Plan;
use crate::plan::namespaces::Kind;

/// Namespaces to join, by who joins them.
pub(crate) struct Joins {
    /// Who makes the first process, so that it is born into them.
    pub before: Vec<(Kind, OwnedFd)>,
    /// The first process.
    pub inside: Vec<(Kind, OwnedFd)>,
}

impl Joins {
    /// A pid namespace can be joined only by being born into it, a user namespace only before namespaces that shall belong
    /// to it are made, and the host's namespaces only before a user namespace has taken the rights to them.
    pub fn of(plan: &Plan, netns: Option<BorrowedFd<'_>>) -> Result<Joins> {
        let in_userns = plan.namespaces.in_userns();
        let mut fds = Vec::new();
        for (kind, path) in &plan.namespaces.joined {
            if *kind == Kind::Net && netns.is_some() {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(path, flags, Mode::empty())
                .at(|| format!("open {} namespace {}", kind.name(), path.display()))?;
            fds.push((*kind, fd));
        }
        if in_userns && let Some(fd) = netns {
            let fd = fd.try_clone_to_owned().at(|| "duplicate the network namespace")?;
            fds.push((Kind::Net, fd));
        }
        let early = |kind: Kind| match kind {
            Kind::User | Kind::Pid => true,
            // It takes the paths of the host away.
            Kind::Mount => false,
            Kind::Cgroup | Kind::Ipc | Kind::Uts | Kind::Net | Kind::Time => in_userns,
        };
        let (before, inside) = fds.into_iter().partition(|(kind, _)| early(*kind));
        Ok(Joins { before, inside })
    }
}

/// Makes the first process, born into the namespaces of `before` and into `group`.
///
/// `entry` is the way into the control group for a process that this one makes on the way; it is left where the first process is
/// made directly and can enter by itself.
pub(crate) fn clone_into(
    before: Vec<(Kind, OwnedFd)>,
    flags: u64,
    group: Option<BorrowedFd<'_>>,
    entry: Option<Entry>,
    body: impl FnOnce(Option<Entry>) -> i32,
) -> Result<Child> {
    if before.iter().any(|(kind, _)| *kind == Kind::User) {
        return by_way_of_another(|| enter_all(before, entry), flags, group, || body(None));
    }
    let _back_later = JoinedHere::enter(before)?;
    sys::clone::clone_process(flags, group, || body(entry)).at(|| "clone the container's first process")
}

/// While it lives, children are born into other namespaces; afterwards this process is back in its own.
struct JoinedHere(Vec<(Kind, OwnedFd)>);

impl JoinedHere {
    fn enter(wanted: Vec<(Kind, OwnedFd)>) -> Result<JoinedHere> {
        let mut guard = JoinedHere(Vec::new());
        for (kind, fd) in wanted {
            let own = format!("/proc/self/ns/{}", kind.name());
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let own = rustix::fs::open(&own, flags, Mode::empty()).at(|| format!("open {own}"))?;
            join(kind, &fd)?;
            guard.0.push((kind, own));
        }
        Ok(guard)
    }
}

impl Drop for JoinedHere {
    fn drop(&mut self) {
        for (_, own) in self.0.drain(..).rev() {
            // It was ours a moment ago: the kernel has no reason to refuse.
            let _ = rustix::thread::move_into_link_name_space(own.as_fd(), None);
        }
    }
}

/// Joins a namespace that must be of that kind: one of another kind would be entered unasked, the host's mounts for example.
pub(crate) fn join(kind: Kind, fd: impl AsFd) -> Result<()> {
    enter(kind, fd).at(|| format!("join {} namespace", kind.name()))
}

fn enter(kind: Kind, fd: impl AsFd) -> rustix::io::Result<()> {
    let kind = match kind {
        Kind::Time => LinkNameSpaceType::Time,
        Kind::Mount => LinkNameSpaceType::Mount,
        Kind::Cgroup => LinkNameSpaceType::ControlGroup,
        Kind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        Kind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        Kind::User => LinkNameSpaceType::User,
        Kind::Pid => LinkNameSpaceType::ProcessID,
        Kind::Net => LinkNameSpaceType::Network,
    };
    rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind))
}

/// From another user namespace there is no way back, so a copy of this process goes there by `enter`, makes the process as a child
/// of this one, and ends. Both are born into `group`.
pub(crate) fn by_way_of_another(
    enter: impl FnOnce() -> Result<()>,
    flags: u64,
    group: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> i32,
) -> Result<Child> {
    let (ours, theirs) = message::pair().at(|| "make a socket pair")?;
    let other = sys::clone::clone_process(0, group, || {
        let made = enter().and_then(|()| {
            let flags = flags | sys::clone::CLONE_PARENT;
            sys::clone::clone_process(flags, None, body).at(|| "clone a process for the container")
        });
        let told = match made {
            Ok(child) => theirs.send(&Message::Born(child.pidfd)),
            Err(error) => theirs.send(&Message::Failed(error)),
        };
        i32::from(told.is_err())
    })
    .at(|| "clone a process to join the user namespace")?;
    drop(theirs);
    let born = hear(&ours);
    let ended = || rustix::process::waitid(WaitId::PidFd(other.pidfd.as_fd()), WaitIdOptions::EXITED);
    while let Err(Errno::INTR) = ended() {}
    born
}

fn hear(channel: &Channel) -> Result<Child> {
    match channel.receive().at(|| "hear of a process that was made for the container")? {
        Some(Message::Born(pidfd)) => Ok(Child { pid: pid_of(&pidfd)?, pidfd }),
        Some(Message::Failed(error)) => Err(error),
        _ => Err(Error::InitDied { during: "joining the user namespace", status: "unknown".to_owned() }),
    }
}

/// The number of a process by its handle, as this process sees it.
fn pid_of(pidfd: &OwnedFd) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs::read_to_string(&path).at(|| format!("read {path}"))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| Error::step(format!("find a process in {path}"), Errno::SRCH))
}

/// Namespaces of the host are joined while the rights to them are there, those of the user namespace once they are.
fn enter_all(before: Vec<(Kind, OwnedFd)>, entry: Option<Entry>) -> Result<()> {
    if let Some(entry) = entry {
        execute::enter_cgroup(entry)?;
    }
    let (users, others): (Vec<_>, Vec<_>) = before.into_iter().partition(|(kind, _)| *kind == Kind::User);
    let mut later = Vec::new();
    for (kind, fd) in others {
        match enter(kind, &fd) {
            Err(Errno::PERM) => later.push((kind, fd)),
            result => result.at(|| format!("join {} namespace", kind.name()))?,
        }
    }
    users.into_iter().chain(later).try_for_each(|(kind, fd)| join(kind, fd))
}
