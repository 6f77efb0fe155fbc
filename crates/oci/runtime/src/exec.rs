//! One more process in a running container.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cgroup::{Cgroup, Entry};
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::{CpuSet, ThreadNameSpaceType};
use spec::runtime::{Linux, Process};

use crate::error::{AtStep, Result};
use crate::hooks;
use crate::init::execute::{self, Execution, MissingCwd, Starter, Streams};
use crate::init::labels::{self, Labels};
use crate::init::notify::Agent;
use crate::init::{console, credentials, root};
use crate::join;
use crate::launch::Stdio;
use crate::message::{self, Channel, Message};
use crate::pending::Pending;
use crate::plan::namespaces::{Kind, Namespaces};
use crate::plan::process::ProcessPlan;
use crate::plan::scheduling::Affinity;
use crate::rights;
use crate::state::StateView;

/// What is executed where. The caller must be single-threaded.
pub struct Exec<'a> {
    /// The container's first process, whose namespaces and root are joined.
    pub init: BorrowedFd<'a>,
    /// Its process id, as the caller sees it.
    pub init_pid: i32,
    /// The container's group, entered before anything of the container is joined.
    pub cgroup: Option<&'a Cgroup>,
    /// What is executed.
    pub process: &'a Process,
    /// Of the container's configuration: its filter, personality and memory policy, and whether it has mounts of its own.
    pub linux: Option<&'a Linux>,
    /// The container's state, for the agent of its filter.
    pub state: StateView,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// Descriptors from 3 on that stay open in the container.
    pub preserve_fds: u32,
}

/// Starts the process; it joins the container and then waits for its start like a new container's does.
///
/// [`crate::Created::cgroup`] is `None`. On failure nothing is left.
pub fn spawn(exec: Exec<'_>) -> Result<Pending> {
    let plan = ProcessPlan::of(exec.process, exec.linux)?;
    labels::check(&plan.labels)?;
    let affinity = Affinity::of(exec.process.exec_cpu_affinity().as_ref())?;
    let agent = match &plan.notify {
        Some(notify) => Some(Agent::connect(notify, exec.state)?),
        None => None,
    };
    // Without a mount namespace of its own, a container's root is that of its first process alone.
    let namespaces = exec.linux.map(Namespaces::of).transpose()?;
    let root = match namespaces.is_some_and(|namespaces| !namespaces.is_new(Kind::Mount)) {
        true => Some(root_of(exec.init_pid)?),
        false => None,
    };
    let foreign = foreign_namespaces(exec.init_pid)?;
    let entry = exec.cgroup.map(Cgroup::entry).transpose()?;
    let dir = entry.as_ref().and_then(|entry| entry.v2_dir.as_ref()?.try_clone().ok());
    let (ours, theirs) = message::pair().at(|| "make a socket pair")?;
    // A plain user may join only inside the user namespace that it has made.
    let from_inside = foreign.contains(&Kind::User) && !rights::is_administrator();
    let joined_before = |kind: &Kind| *kind == Kind::Pid || from_inside && *kind == Kind::User;
    let joining = Joining {
        init: exec.init,
        namespaces: foreign.iter().copied().filter(|kind| !joined_before(kind)).collect(),
        becomes_root: foreign.contains(&Kind::User),
        plan,
        entry,
        stdio: exec.stdio,
        preserve_fds: exec.preserve_fds,
        channel: theirs,
        agent,
        root,
        affinity: affinity.last,
    };
    let placed = Placed::on(&affinity.first)?;
    if from_inside {
        let mut kinds = ThreadNameSpaceType::USER;
        // Only children are in a pid namespace.
        kinds.set(ThreadNameSpaceType::PROCESS_ID, foreign.contains(&Kind::Pid));
        let enter = || rustix::thread::move_into_thread_name_spaces(exec.init, kinds).at(|| "join the user namespace");
        let child = join::by_way_of_another(enter, 0, dir.as_ref().map(AsFd::as_fd), || joining.run())?;
        return Ok(Pending::new(child, ours, None));
    }
    let guard = match foreign.contains(&Kind::Pid) {
        true => Some(ChildrenOf::enter(exec.init)?),
        false => None,
    };
    let dir = dir.as_ref().map(AsFd::as_fd);
    let child = sys::clone::clone_process(0, dir, || joining.run()).at(|| "clone a process for the container")?;
    drop((guard, placed));
    Ok(Pending::new(child, ours, None))
}

fn root_of(pid: i32) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = format!("/proc/{pid}/root");
    rustix::fs::open(&path, flags, Mode::empty()).at(|| format!("open {path}"))
}

/// While it lives, this process is kept to some processors, and so are its children for all their life.
struct Placed(Option<CpuSet>);

impl Placed {
    fn on(processors: &[usize]) -> Result<Placed> {
        if processors.is_empty() {
            return Ok(Placed(None));
        }
        let before = rustix::thread::sched_getaffinity(None).at(|| "read the processors of this process")?;
        place(processors)?;
        Ok(Placed(Some(before)))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // They were ours a moment ago.
            let _ = rustix::thread::sched_setaffinity(None, before);
        }
    }
}

fn place(processors: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    rustix::thread::sched_setaffinity(None, &set).at(|| format!("run on processors {processors:?}"))
}

/// The kinds of namespace in which a process is and this one is not.
fn foreign_namespaces(pid: i32) -> Result<Vec<Kind>> {
    const ALL: [Kind; 8] =
        [Kind::User, Kind::Cgroup, Kind::Ipc, Kind::Uts, Kind::Net, Kind::Pid, Kind::Time, Kind::Mount];
    let inode = |path: String| -> Result<Option<u64>> {
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.ino())),
            // A kernel without this kind.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(crate::Error::step(format!("look at {path}"), error)),
        }
    };
    // A process that is gone is no kernel without namespaces.
    fs::metadata(format!("/proc/{pid}/ns/mnt")).at(|| format!("look at the namespaces of process {pid}"))?;
    let mut foreign = Vec::new();
    for kind in ALL {
        let name = kind.name();
        if inode(format!("/proc/{pid}/ns/{name}"))? != inode(format!("/proc/self/ns/{name}"))? {
            foreign.push(kind);
        }
    }
    Ok(foreign)
}

/// While it lives, children are born into a container's pid namespace.
struct ChildrenOf {
    own: OwnedFd,
}

impl ChildrenOf {
    fn enter(init: BorrowedFd<'_>) -> Result<ChildrenOf> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open("/proc/self/ns/pid", flags, Mode::empty()).at(|| "open /proc/self/ns/pid")?;
        rustix::thread::move_into_thread_name_spaces(init, ThreadNameSpaceType::PROCESS_ID)
            .at(|| "join pid namespace")?;
        Ok(ChildrenOf { own })
    }
}

impl Drop for ChildrenOf {
    fn drop(&mut self) {
        // It was ours a moment ago: the kernel has no reason to refuse.
        let _ = rustix::thread::move_into_link_name_space(self.own.as_fd(), None);
    }
}

/// The new process on its way in.
struct Joining<'a> {
    init: BorrowedFd<'a>,
    namespaces: Vec<Kind>,
    /// Whether its ids are those of another user namespace.
    becomes_root: bool,
    plan: ProcessPlan,
    entry: Option<Entry>,
    stdio: Stdio,
    preserve_fds: u32,
    channel: Channel,
    agent: Option<Agent>,
    /// Where the container has no mount namespace: the root of its first process.
    root: Option<OwnedFd>,
    /// Processors to run on from now on.
    affinity: Vec<usize>,
}

impl Joining<'_> {
    fn run(self) -> i32 {
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
        sys::process::reset_signals();
        rustix::process::umask(Mode::empty());
        // Given up before descriptors are closed wholesale.
        if let Some(entry) = self.entry.take() {
            execute::enter_cgroup(entry)?;
        }
        let mut keep = vec![self.channel.as_fd(), extra.as_fd(), self.init];
        keep.extend(self.agent.as_ref().map(|agent| agent.socket().as_fd()));
        keep.extend(self.root.as_ref().map(AsFd::as_fd));
        execute::forget_parent(keep, &self.stdio, self.preserve_fds)?;
        if let Some(score) = self.plan.oom_score_adj {
            credentials::set_oom_score(score)?;
        }
        if !self.affinity.is_empty() {
            place(&self.affinity)?;
        }
        let labels = Labels::prepare(&self.plan.labels)?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(|| "make the process undumpable")?;
        let helper = self.agent.take().map(Agent::prepare).transpose()?;
        let flags = self.namespaces.iter().fold(0, |flags, kind| flags | kind.flag());
        rustix::thread::move_into_thread_name_spaces(self.init, ThreadNameSpaceType::from_bits_retain(flags as u32))
            .at(|| "join the container's namespaces")?;
        if let Some(root) = &self.root {
            root::enter_detached(root.as_fd())?;
        }
        if self.becomes_root {
            credentials::become_root()?;
        }
        let stdio = match self.stdio {
            Stdio::Inherit => Streams::Inherit,
            Stdio::Fds(fds) => Streams::Fds(fds),
            Stdio::Terminal { size } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let root = rustix::fs::open(Path::new("/"), flags, Mode::empty()).at(|| "open the container's root")?;
                let terminal = console::open(root.as_fd(), size)?;
                self.channel.send(&Message::Pty(terminal.master)).at(|| "hand out the terminal")?;
                Streams::Terminal(terminal.slave)
            }
        };
        Ok(Execution {
            process: self.plan,
            stdio,
            preserve_fds: self.preserve_fds,
            start_hooks: hooks::Prepared::none(),
            starter: Starter::Creator(self.channel),
            missing_cwd: MissingCwd::Refuse,
            labels,
            helper,
        })
    }
}
