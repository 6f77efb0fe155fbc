//! Hooks: programs that run at points of a container's life and are told its state on their standard input.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use spec::runtime::{Hook, Hooks};

use crate::error::{Error, Result};
use crate::state::StateView;

/// A point of the life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Point {
    fn name(self) -> &'static str {
        match self {
            Point::Prestart => "prestart",
            Point::CreateRuntime => "createRuntime",
            Point::CreateContainer => "createContainer",
            Point::StartContainer => "startContainer",
            Point::Poststart => "poststart",
            Point::Poststop => "poststop",
        }
    }

    fn of(self, hooks: &Hooks) -> &[Hook] {
        #[allow(deprecated)]
        let list = match self {
            Point::Prestart => hooks.prestart(),
            Point::CreateRuntime => hooks.create_runtime(),
            Point::CreateContainer => hooks.create_container(),
            Point::StartContainer => hooks.start_container(),
            Point::Poststart => hooks.poststart(),
            Point::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// The hooks of one container and what they are told.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub hooks: Option<&'a Hooks>,
    pub id: &'a str,
    pub bundle: &'a Path,
    pub annotations: Option<&'a HashMap<String, String>>,
}

impl Plan<'_> {
    /// Whether any hook is at one of these points.
    pub fn any(&self, points: &[Point]) -> bool {
        let at = |point: &Point| self.hooks.is_some_and(|hooks| !point.of(hooks).is_empty());
        points.iter().any(at)
    }

    /// Runs the hooks of a point from inside the container's first process.
    pub fn run(&self, point: Point, status: &'static str) -> Result<()> {
        self.run_for(point, status, rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Runs the hooks of a point about a process.
    pub fn run_for(&self, point: Point, status: &'static str, pid: i32) -> Result<()> {
        self.prepared_for(point, status, pid).run()
    }

    /// The hooks of a point, to be run later without the plan.
    pub fn prepared(&self, point: Point) -> Prepared {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        self.prepared_for(point, "created", pid)
    }

    fn prepared_for(&self, point: Point, status: &'static str, pid: i32) -> Prepared {
        let hooks: Vec<Hook> = self.hooks.map(|hooks| point.of(hooks).to_vec()).unwrap_or_default();
        let state = match hooks.is_empty() {
            true => String::new(),
            false => StateView::new(self.id, status, pid, self.bundle, self.annotations).to_json(),
        };
        Prepared { point, hooks, state }
    }
}

/// Hooks with the state that they are told.
#[derive(Debug)]
pub(crate) struct Prepared {
    point: Point,
    hooks: Vec<Hook>,
    state: String,
}

impl Prepared {
    /// No hooks at all.
    pub fn none() -> Prepared {
        Prepared { point: Point::StartContainer, hooks: Vec::new(), state: String::new() }
    }

    /// Runs them in order until one fails.
    pub fn run(&self) -> Result<()> {
        for hook in &self.hooks {
            run(hook, &self.state).map_err(|problem| Error::Hook {
                point: self.point.name(),
                path: PathBuf::from(hook.path()),
                problem,
            })?;
        }
        Ok(())
    }
}

fn run(hook: &Hook, state: &str) -> std::result::Result<(), String> {
    // A file, not a pipe: what a hook leaves running in the background cannot block us.
    let printed =
        rustix::fs::memfd_create("hook", rustix::fs::MemfdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    let printed = File::from(printed);
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    command.env_clear();
    for entry in hook.env().iter().flatten() {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(key, value);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(printed.try_clone().map_err(|error| error.to_string())?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A hook need not read its state.
        let _ = input.write_all(state.as_bytes());
    }
    if let Some(seconds) = hook.timeout()
        && let Ok(seconds) = u64::try_from(seconds)
        && !ended_within(child.id(), Duration::from_secs(seconds))
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("not done after {seconds} s"));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let mut text = vec![0; 4096];
    let length = printed.read_at(&mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    Err(format!("{status}: {}", text.trim()))
}

fn ended_within(pid: u32, timeout: Duration) -> bool {
    let Some(pid) = Pid::from_raw(pid as i32) else {
        return true;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let Ok(timeout) = Timespec::try_from(timeout) else {
        return true;
    };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    !matches!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(0))
}
