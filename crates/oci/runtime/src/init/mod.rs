//! What a container's first process does between its birth and its program: one straight line of named steps.

pub(crate) mod cgroups;
mod clocks;
pub(crate) mod command;
pub(crate) mod console;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod execute;
pub(crate) mod labels;
pub(crate) mod mounts;
pub(crate) mod notify;
pub(crate) mod paths;
mod procfs;
pub(crate) mod root;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cgroup::{Entry, Hierarchy};
use rustix::fs::Mode;
use rustix::process::DumpableBehavior;

use crate::error::{AtStep, Result};
use crate::hooks::{self, Point};
use crate::join::join;
use crate::launch::{Enter, Keyring, Root, Stdio};
use crate::message::{self, Channel, Message};
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use execute::{Execution, MissingCwd, Starter};
use labels::Labels;
use notify::Agent;

/// Everything that the first process takes with it from its parent.
pub(crate) struct Init<'a> {
    pub id: &'a str,
    pub plan: Plan,
    pub root: Root,
    /// Trees to bind, opened by the parent where the process itself may not reach them.
    pub sources: Vec<Option<OwnedFd>>,
    /// Namespaces to join here.
    pub joins: Vec<(Kind, OwnedFd)>,
    pub netns: Option<BorrowedFd<'a>>,
    pub stdio: Stdio,
    pub hierarchy: &'a Hierarchy,
    pub cgroup: Option<String>,
    /// The way into the control group.
    pub entry: Option<Entry>,
    /// Who gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
    pub keyring: Keyring,
    pub enter: Enter,
    pub preserve_fds: u32,
    pub hooks: hooks::Plan<'a>,
    pub channel: Channel,
    pub listener: Option<OwnedFd>,
}

impl Init<'_> {
    /// Runs to the end: it returns only on failure, which the parent has been told of, with an exit code.
    pub fn run(self) -> i32 {
        let channel = match self.channel.as_fd().try_clone_to_owned() {
            Ok(channel) => Channel::from_socket(channel),
            Err(_) => return 1,
        };
        let error = match self.steps(&channel) {
            Ok(execution) => execution.run(),
            Err(error) => error,
        };
        // Nobody is left to hear of a failure to say so.
        let _ = channel.send(&Message::Failed(error));
        1
    }

    fn steps(mut self, extra: &Channel) -> Result<Execution> {
        // Given up before descriptors are closed wholesale.
        if let Some(entry) = self.entry.take() {
            execute::enter_cgroup(entry)?;
        }
        self.forget_parent(extra)?;
        let plan = &self.plan;
        let in_userns = plan.namespaces.in_userns();
        if in_userns {
            self.become_root()?;
        }
        self.join_namespaces()?;
        if !plan.namespaces.time_offsets.is_empty() {
            clocks::enter(&plan.namespaces.time_offsets, in_userns)?;
        }
        if plan.namespaces.is_new(Kind::Cgroup) {
            sys::process::new_cgroup_namespace().at(|| "make cgroup namespace")?;
        }
        if self.keyring == Keyring::New {
            credentials::new_session_keyring(self.id)?;
        }
        self.set_names()?;
        for (file, value) in &plan.sysctls {
            paths::write_sysctl(file, value)?;
        }
        if let Some(score) = plan.process.oom_score_adj {
            credentials::set_oom_score(score)?;
        }
        let labels = Labels::prepare(&plan.process.labels)?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(|| "make init undumpable")?;
        let helper = self.agent.take().map(Agent::prepare).transpose()?;

        let own_mounts = plan.namespaces.is_new(Kind::Mount);
        let root = match own_mounts {
            true => root::attach(self.root, plan.propagation)?,
            false => root::detach(self.root)?,
        };
        let place = mounts::Place {
            root: root.as_fd(),
            hierarchy: self.hierarchy,
            cgroup: self.cgroup.as_deref(),
            own_view: plan.namespaces.is_new(Kind::Cgroup),
            own_mounts,
        };
        mounts::make_all(&place, &plan.mounts, self.sources, plan.devices.is_some())?;
        if let Some(wanted) = &plan.devices {
            devices::make(root.as_fd(), wanted, in_userns)?;
        }
        let terminal = match &self.stdio {
            Stdio::Terminal { size } => Some(console::open(root.as_fd(), *size)?),
            Stdio::Inherit | Stdio::Fds(_) => None,
        };
        if let Some(terminal) = &terminal
            && plan.devices.is_some()
        {
            console::bind(root.as_fd(), terminal)?;
        }
        mounts::finish_dev(&place, &plan.mounts, plan.devices.is_some())?;
        paths::make_readonly(root.as_fd(), &plan.readonly_paths)?;
        paths::mask(root.as_fd(), &plan.masked_paths)?;

        if self.hooks.any(&[Point::Prestart, Point::CreateRuntime]) {
            self.channel.send(&Message::Hooks).at(|| "ask for the runtime's hooks")?;
            message::expect(&self.channel, "the runtime's hooks", |m| matches!(m, Message::Hooked))?;
        }
        self.hooks.run(Point::CreateContainer, "creating")?;
        match own_mounts {
            true => root::enter(root.as_fd(), self.enter)?,
            false => root::enter_detached(root.as_fd())?,
        }
        let propagation = own_mounts.then_some(plan.propagation);
        root::finish(root, propagation, plan.root_readonly)?;

        let stdio = match (terminal, self.stdio) {
            (Some(terminal), _) => {
                self.channel.send(&Message::Pty(terminal.master)).at(|| "hand out the terminal")?;
                execute::Streams::Terminal(terminal.slave)
            }
            (None, Stdio::Fds(fds)) => execute::Streams::Fds(fds),
            (None, Stdio::Inherit | Stdio::Terminal { .. }) => execute::Streams::Inherit,
        };
        Ok(Execution {
            process: self.plan.process,
            stdio,
            preserve_fds: self.preserve_fds,
            start_hooks: self.hooks.prepared(Point::StartContainer),
            starter: match self.listener {
                Some(listener) => Starter::Listener { listener, creator: self.channel },
                None => Starter::Creator(self.channel),
            },
            missing_cwd: MissingCwd::Make,
            labels,
            helper,
        })
    }

    /// Undoes what the parent has that no container may have: its signals, its session, its descriptors.
    fn forget_parent(&self, extra: &Channel) -> Result<()> {
        sys::process::reset_signals();
        rustix::process::umask(Mode::empty());
        let mut keep = vec![self.channel.as_fd(), extra.as_fd()];
        keep.extend(self.netns);
        keep.extend(self.joins.iter().map(|(_, fd)| fd.as_fd()));
        keep.extend(self.sources.iter().flatten().map(AsFd::as_fd));
        keep.extend(self.listener.as_ref().map(AsFd::as_fd));
        keep.extend(self.agent.as_ref().map(|agent| agent.socket().as_fd()));
        if let Root::Mount(mount) = &self.root {
            keep.push(mount.as_fd());
        }
        execute::forget_parent(keep, &self.stdio, self.preserve_fds)
    }

    fn become_root(&self) -> Result<()> {
        if self.plan.namespaces.is_new(Kind::User) {
            message::expect(&self.channel, "id maps", |m| matches!(m, Message::Mapped))?;
        }
        credentials::become_root()
    }

    fn join_namespaces(&self) -> Result<()> {
        self.joins.iter().try_for_each(|(kind, fd)| join(*kind, fd))?;
        if let Some(fd) = self.netns {
            join(Kind::Net, fd)?;
        }
        Ok(())
    }

    fn set_names(&self) -> Result<()> {
        if let Some(name) = &self.plan.hostname {
            rustix::system::sethostname(name.as_bytes()).at(|| format!("set hostname {name:?}"))?;
        }
        if let Some(name) = &self.plan.domainname {
            rustix::system::setdomainname(name.as_bytes()).at(|| format!("set domainname {name:?}"))?;
        }
        Ok(())
    }
}
