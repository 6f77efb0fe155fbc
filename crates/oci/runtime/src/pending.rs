//! A process between its fork and its execution, seen from the process that forked it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use cgroup::Cgroup;
use cgroup::systemd::Anchor;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus};
use spec::runtime::Hooks;
use sys::clone::Child;

use crate::error::{AtStep, Error, Result};
use crate::hooks::{self, Point};
use crate::maps;
use crate::message::{Channel, Message};

/// A process that prepares itself. Dropping it kills the process, reaps it and removes what was made for it.
#[derive(Debug)]
pub struct Pending {
    inner: Option<Box<Inner>>,
}

#[derive(Debug)]
struct Inner {
    child: Child,
    channel: Channel,
    hooks: Option<RuntimeHooks>,
    pty: Option<OwnedFd>,
    cgroup: Option<Cgroup>,
    /// Keeps a scope of systemd alive until the process is in it.
    anchor: Option<Anchor>,
    warnings: Vec<String>,
}

/// What became of a [`Pending`] that was asked to go on.
#[derive(Debug)]
pub enum Progress {
    /// Not yet; poll [`Pending::as_fd`] for reading and ask again.
    Waiting(Pending),
    /// Ready to execute.
    Created(Created),
}

/// A process that is ready to execute and waits for [`Created::start`]. Dropping it does not kill it, but the process
/// ends by itself when nobody is left who could start it.
#[derive(Debug)]
pub struct Created {
    /// Its id, as the caller sees it.
    pub pid: i32,
    /// A handle of the process; readable once it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it was given one.
    pub pty: Option<OwnedFd>,
    /// The container's control group.
    pub cgroup: Option<Cgroup>,
    /// What could not be done exactly as asked, and was not worth a failure.
    pub warnings: Vec<String>,
    channel: Channel,
}

/// The hooks that run in this process, with what they are told.
#[derive(Debug)]
pub(crate) struct RuntimeHooks {
    hooks: Hooks,
    id: String,
    bundle: PathBuf,
    annotations: Option<HashMap<String, String>>,
}

impl RuntimeHooks {
    /// Kept only if there are any.
    pub fn of(plan: &hooks::Plan<'_>) -> Option<RuntimeHooks> {
        if !plan.any(&[Point::Prestart, Point::CreateRuntime]) {
            return None;
        }
        Some(RuntimeHooks {
            hooks: plan.hooks?.clone(),
            id: plan.id.to_owned(),
            bundle: plan.bundle.to_owned(),
            annotations: plan.annotations.cloned(),
        })
    }

    fn run(&self, pid: i32) -> Result<()> {
        let plan = hooks::Plan {
            hooks: Some(&self.hooks),
            id: &self.id,
            bundle: &self.bundle,
            annotations: self.annotations.as_ref(),
        };
        plan.run_for(Point::Prestart, "creating", pid)?;
        plan.run_for(Point::CreateRuntime, "creating", pid)
    }
}

impl Pending {
    pub(crate) fn new(child: Child, channel: Channel, hooks: Option<RuntimeHooks>) -> Pending {
        let inner = Inner { child, channel, hooks, pty: None, cgroup: None, anchor: None, warnings: Vec::new() };
        Pending { inner: Some(Box::new(inner)) }
    }

    fn inner(&self) -> &Inner {
        self.inner.as_ref().expect("taken only together with self")
    }

    fn inner_mut(&mut self) -> &mut Inner {
        self.inner.as_mut().expect("taken only together with self")
    }

    /// Process id, as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.inner().child.pid
    }

    /// A handle of the process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.inner().child.pidfd.as_fd()
    }

    pub(crate) fn own_cgroup(&mut self, cgroup: Option<Cgroup>, anchor: Option<Anchor>) {
        let inner = self.inner_mut();
        (inner.cgroup, inner.anchor) = (cgroup, anchor);
    }

    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        self.inner_mut().warnings.extend(warnings);
    }

    pub(crate) fn write_maps(&self, uids: &str, gids: &str) -> Result<()> {
        maps::write(self.pid(), uids, gids)?;
        self.tell(&Message::Mapped)
    }

    /// A process that has failed by now says why itself.
    fn tell(&self, message: &Message) -> Result<()> {
        match self.inner().channel.send(message) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.at(|| "talk to the container's first process"),
        }
    }

    /// Takes what the process has to say, without blocking but for the time that hooks take.
    pub fn advance(mut self) -> Result<Progress> {
        loop {
            match self.inner().channel.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waiting(self));
                }
                result => {
                    let message = result.at(|| "hear the container's first process")?;
                    if self.take(message)? {
                        return Ok(Progress::Created(self.into_created()));
                    }
                }
            }
        }
    }

    /// Blocks until the process is ready or has failed.
    pub fn wait_created(mut self) -> Result<Created> {
        loop {
            let message = self.inner().channel.receive();
            let message = message.at(|| "hear the container's first process")?;
            if self.take(message)? {
                return Ok(self.into_created());
            }
        }
    }

    /// Whether this was the last message of the preparation.
    fn take(&mut self, message: Option<Message>) -> Result<bool> {
        match message {
            Some(Message::Created) => Ok(true),
            Some(Message::Pty(master)) => {
                self.inner_mut().pty = Some(master);
                Ok(false)
            }
            Some(Message::Hooks) => {
                if let Some(hooks) = &self.inner().hooks {
                    hooks.run(self.pid())?;
                }
                self.tell(&Message::Hooked)?;
                Ok(false)
            }
            Some(Message::Failed(error)) => Err(error),
            None => {
                let status = kill_and_reap(self.pidfd());
                Err(Error::InitDied { during: "its creation", status })
            }
            Some(other @ (Message::Mapped | Message::Hooked | Message::Start | Message::Born(_))) => Err(Error::step(
                format!("hear the container's first process: {other:?}"),
                io::Error::from(io::ErrorKind::InvalidData),
            )),
        }
    }

    fn into_created(mut self) -> Created {
        let inner = *self.inner.take().expect("taken only together with self");
        Created {
            pid: inner.child.pid,
            pidfd: inner.child.pidfd,
            pty: inner.pty,
            cgroup: inner.cgroup,
            warnings: inner.warnings,
            channel: inner.channel,
        }
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner().channel.as_fd()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(inner) = &self.inner else {
            return;
        };
        kill_and_reap(inner.child.pidfd.as_fd());
        if let Some(cgroup) = &inner.cgroup {
            // Only a failure has led here, and that is what the caller hears of.
            let _ = cgroup.kill_all();
            let _ = cgroup.delete();
            cgroup.delete_empty_parents();
        }
    }
}

impl Created {
    /// Lets the process execute, and returns when it has or has failed to; then the process has been reaped,
    /// the control group is still there.
    ///
    /// Only for [`crate::StartBy::Creator`].
    pub fn start(&mut self) -> Result<()> {
        let failure = start_over(&self.channel);
        if failure.is_err() {
            kill_and_reap(self.pidfd.as_fd());
        }
        failure
    }

    /// Like [`Created::start`], but does not wait: poll [`Created::as_fd`] for reading and ask [`Created::started`].
    ///
    /// With [`crate::StartBy::Listener`] this says that the process is written down and may listen.
    pub fn begin_start(&self) -> Result<()> {
        say_start(&self.channel)
    }

    /// Whether a begun start is over; on failure the process is about to end by itself.
    pub fn started(&self) -> Result<bool> {
        match self.channel.try_receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            result => hear_start(result.at(|| "hear of the start")?).map(|()| true),
        }
    }
}

impl AsFd for Created {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Says start, and hears how it went.
pub(crate) fn start_over(channel: &Channel) -> Result<()> {
    say_start(channel)?;
    hear_start(channel.receive().at(|| "hear of the start")?)
}

fn say_start(channel: &Channel) -> Result<()> {
    match channel.send(&Message::Start) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(died_before_start("it ended before".to_owned())),
        result => result.at(|| "start the container's process"),
    }
}

fn hear_start(message: Option<Message>) -> Result<()> {
    match message {
        // Closed by the execution.
        None => Ok(()),
        Some(Message::Failed(error)) => Err(error),
        Some(other) => Err(died_before_start(format!("it answered {other:?}"))),
    }
}

fn died_before_start(status: String) -> Error {
    Error::InitDied { during: "its start", status }
}

/// Kills a child and takes its status, as a text.
fn kill_and_reap(pidfd: BorrowedFd<'_>) -> String {
    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(Some(status)) => return describe(&status),
            // Somebody else has reaped it.
            Ok(None) | Err(_) => return "unknown".to_owned(),
        }
    }
}

fn describe(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
