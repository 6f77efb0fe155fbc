//! The end of the line, the same for a container's first process and for one more: become the program.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cgroup::Entry;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::labels::Labels;
use super::notify::Helper;
use super::{command, credentials};
use crate::error::{AtStep, Error, Result};
use crate::hooks;
use crate::launch::Stdio;
use crate::message::{self, Channel, Message};
use crate::plan::process::ProcessPlan;

/// What is left to do once the process is where it belongs.
pub(crate) struct Execution {
    pub process: ProcessPlan,
    pub stdio: Streams,
    pub preserve_fds: u32,
    pub start_hooks: hooks::Prepared,
    pub starter: Starter,
    pub missing_cwd: MissingCwd,
    pub labels: Labels,
    /// Who hands over the listener of the filter.
    pub helper: Option<Helper>,
}

/// What becomes of a working directory that is not there: a container's first process gets it, one more is refused.
#[derive(Clone, Copy)]
pub(crate) enum MissingCwd {
    Make,
    Refuse,
}

/// Descriptors 0, 1 and 2.
pub(crate) enum Streams {
    Inherit,
    Fds([OwnedFd; 3]),
    Terminal(OwnedFd),
}

/// Who says when.
pub(crate) enum Starter {
    Creator(Channel),
    Listener { listener: OwnedFd, creator: Channel },
}

impl Execution {
    /// Becomes the program; returns why it could not.
    pub fn run(self) -> Error {
        match self.steps() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn steps(mut self) -> Result<std::convert::Infallible> {
        self.add_home();
        connect(self.stdio)?;
        own_streams(self.process.uid)?;
        close_on_execution(self.preserve_fds)?;
        credentials::set_limits(&self.process)?;
        enter_cwd(&self.process.cwd, self.missing_cwd)?;
        if self.process.no_new_privs {
            rustix::thread::set_no_new_privs(true).at(|| "set no_new_privs")?;
        } else {
            // Needs a right that is about to be given up.
            filter(&self.process, self.helper.take())?;
        }
        credentials::become_user(&self.process)?;
        check_cwd(&self.process.cwd)?;
        let path = command::find(&self.process)?;
        let notifies = self.process.seccomp.as_ref().is_some_and(|program| program.notifies);
        if self.process.no_new_privs && notifies {
            // The agent is told while the container is created, not only once it is started.
            filter(&self.process, self.helper.take())?;
        }
        let channel = match self.starter {
            Starter::Creator(channel) => {
                channel.send(&Message::Created).at(|| "tell of the creation")?;
                message::expect(&channel, "the start", |m| matches!(m, Message::Start))?;
                channel
            }
            Starter::Listener { listener, creator } => {
                creator.send(&Message::Created).at(|| "tell of the creation")?;
                // Whoever starts it finds it by what its creator writes down: without that it must not stay.
                message::expect(&creator, "being written down", |m| matches!(m, Message::Start))?;
                drop(creator);
                accept_start(&listener)?
            }
        };
        let last = Last {
            process: &self.process,
            path: &path,
            labels: self.labels,
            filter: self.process.no_new_privs && !notifies,
        };
        let error = match self.start_hooks.run().and_then(|()| last.execute()) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // The starter may be another than the creator, so it is told here.
        let _ = channel.send(&Message::Failed(error));
        Err(Error::step("execute", io::Error::from(io::ErrorKind::BrokenPipe)))
    }

    /// Programs expect HOME; the image's passwd file knows it.
    fn add_home(&mut self) {
        if self.process.variable("HOME").is_some_and(|home| !home.is_empty()) {
            return;
        }
        self.process.env.retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
        let home = home_of(self.process.uid).unwrap_or_else(|| "/".to_owned());
        if let Ok(entry) = CString::new(format!("HOME={home}")) {
            self.process.env.push(entry);
        }
    }
}

/// Enters the v1 groups; the process was born into that of the v2 tree.
pub(crate) fn enter_cgroup(entry: Entry) -> Result<()> {
    for file in &entry.tasks {
        // One thread that moves itself: the process has no other.
        rustix::io::write(file, b"0").at(|| "enter the control group")?;
    }
    Ok(())
}

/// Closes what is not kept, beside descriptors 0 to 2 and those to preserve, and starts a session.
pub(crate) fn forget_parent(keep: Vec<BorrowedFd<'_>>, stdio: &Stdio, preserve_fds: u32) -> Result<()> {
    let mut numbers: Vec<u32> = (0..3 + preserve_fds).collect();
    numbers.extend(keep.iter().map(|fd| fd.as_raw_fd() as u32));
    if let Stdio::Fds(fds) = stdio {
        numbers.extend(fds.iter().map(|fd| fd.as_raw_fd() as u32));
    }
    sys::fd::close_all_but(numbers).at(|| "close the parent's descriptors")?;
    rustix::process::setsid().at(|| "start a session")?;
    Ok(())
}

fn connect(streams: Streams) -> Result<()> {
    let step = || "connect standard streams";
    let fds = match streams {
        Streams::Inherit => return Ok(()),
        Streams::Terminal(slave) => {
            rustix::process::ioctl_tiocsctty(&slave).at(|| "take the terminal")?;
            let copy = || rustix::io::fcntl_dupfd_cloexec(&slave, 3);
            [copy().at(step)?, copy().at(step)?, copy().at(step)?]
        }
        // Out of the way of the numbers that are about to be taken.
        Streams::Fds([input, output, errors]) => {
            let high = |fd: OwnedFd| rustix::io::fcntl_dupfd_cloexec(&fd, 3);
            [high(input).at(step)?, high(output).at(step)?, high(errors).at(step)?]
        }
    };
    rustix::stdio::dup2_stdin(&fds[0]).at(step)?;
    rustix::stdio::dup2_stdout(&fds[1]).at(step)?;
    rustix::stdio::dup2_stderr(&fds[2]).at(step)
}

/// What is opened from here on is closed by its own flag. Early, as a filter may not know the call.
fn close_on_execution(preserve_fds: u32) -> Result<()> {
    for fd in 3..3 + preserve_fds {
        // One that is not open is not preserved.
        let _ = sys::fd::keep_on_exec(fd);
    }
    sys::fd::close_on_exec_from(3 + preserve_fds).at(|| "close descriptors on execution")
}

/// Lets the process's user open its own streams again (/dev/stdout), unless they are the null device.
fn own_streams(uid: u32) -> Result<()> {
    let null = rustix::fs::makedev(1, 3);
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let Ok(stat) = rustix::fs::fstat(stream) else {
            continue;
        };
        if stat.st_uid == uid || stat.st_rdev == null {
            continue;
        }
        match rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None) {
            // Not everything has an owner to change.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(Error::step("own the standard streams", error)),
        }
    }
    Ok(())
}

fn enter_cwd(cwd: &Path, missing: MissingCwd) -> Result<()> {
    match (rustix::process::chdir(cwd), missing) {
        (Err(Errno::NOENT), MissingCwd::Make) => {
            fs::create_dir_all(cwd).at(|| format!("make working directory {}", cwd.display()))?;
            set_mode(cwd);
            rustix::process::chdir(cwd)
        }
        // A user may enter where root, without rights of its own there, may not.
        (Err(Errno::ACCESS), _) => Ok(()),
        (result, _) => result,
    }
    .at(|| format!("enter working directory {}", cwd.display()))
}

/// The umask is clear during the start.
fn set_mode(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // An image where this fails still works.
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
}

/// The working directory must be inside the container, and be enterable by the user.
fn check_cwd(cwd: &Path) -> Result<()> {
    let step = || format!("enter working directory {}", cwd.display());
    rustix::process::chdir(cwd).at(step)?;
    let here = rustix::process::getcwd(Vec::new()).at(step)?;
    match here.as_bytes().first() {
        Some(b'/') => Ok(()),
        _ => Err(Error::step(step(), io::Error::other("it is outside of the container"))),
    }
}

fn filter(process: &ProcessPlan, helper: Option<Helper>) -> Result<()> {
    let Some(program) = &process.seccomp else {
        return Ok(());
    };
    let listener = sys::seccomp::install(&program.instructions, program.flags).at(|| "load the seccomp filter")?;
    match (listener, helper) {
        (Some(listener), Some(helper)) => helper.send(&listener),
        _ => Ok(()),
    }
}

fn accept_start(listener: &OwnedFd) -> Result<Channel> {
    loop {
        let socket = match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            result => result.at(|| "wait for the start")?,
        };
        let channel = Channel::from_socket(socket);
        if let Ok(Some(Message::Start)) = channel.receive() {
            return Ok(channel);
        }
    }
}

/// What is done when the start has been said and the hooks have run.
struct Last<'a> {
    process: &'a ProcessPlan,
    path: &'a CString,
    labels: Labels,
    /// Whether the filter is to be loaded now, after which only the execution follows.
    filter: bool,
}

impl Last<'_> {
    fn execute(self) -> Result<std::convert::Infallible> {
        let process = self.process;
        rustix::process::umask(Mode::from_raw_mode(process.umask));
        self.labels.set()?;
        if self.filter {
            filter(process, None)?;
        }
        let error = sys::exec::execve(self.path, &process.args, &process.env);
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Err(command::refused(&process.args[0], errno, "exec"))
    }
}

/// Home directory of a user by the container's passwd file.
fn home_of(uid: u32) -> Option<String> {
    const LONGEST: u64 = 1 << 20;
    let path = Path::new("/etc/passwd");
    // Nothing that could block.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    home_in(&String::from_utf8_lossy(&text), uid)
}

fn home_in(passwd: &str, uid: u32) -> Option<String> {
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let home = fields.get(5)?;
        (fields.get(2)?.parse() == Ok(uid) && !home.is_empty()).then(|| (*home).to_owned())
    };
    passwd.lines().find_map(entry)
}

#[cfg(test)]
mod tests {
    use super::home_in;

    #[test]
    fn home_is_that_of_the_first_entry_with_the_id() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nweb:x:33:33::/srv:/bin/false\nw2:x:33:33::/x:\n";
        assert_eq!(home_in(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(home_in(passwd, 33).as_deref(), Some("/srv"));
        assert_eq!(home_in(passwd, 5), None);
    }
}
