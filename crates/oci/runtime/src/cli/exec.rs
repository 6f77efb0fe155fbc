//! `exec`.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cgroup::{Cgroup, Mode};
use clap::Args;
use spec::runtime::{Capability, Process, User};

use super::create::{Attached, Terminal, size, stdio, terminal, write_pid_file};
use super::log::Log;
use super::state::{State, Status, Store};
use super::{console, foreground};
use crate::error::{AtStep, Error, Result};
use crate::state::StateView;

#[derive(Args)]
pub(super) struct Exec {
    /// Unix socket that gets the master of the terminal
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// Unix socket that gets a handle (pidfd) of the process
    #[arg(long)]
    pidfd_socket: Option<PathBuf>,
    /// Folder to work in, in the container
    #[arg(long)]
    cwd: Option<PathBuf>,
    /// Variable of the environment, NAME=VALUE
    #[arg(short, long)]
    env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Numbers of user and group, UID[:GID]
    #[arg(short, long)]
    user: Option<String>,
    /// Number of a further group
    #[arg(short = 'g', long)]
    additional_gids: Vec<u32>,
    /// JSON of the specification's process instead of a command
    #[arg(short, long)]
    process: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// File that gets the number of the process
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// SELinux label (not built)
    #[arg(long)]
    process_label: Option<String>,
    /// AppArmor profile (not built)
    #[arg(long)]
    apparmor: Option<String>,
    /// Nothing that it executes may gain privileges
    #[arg(long)]
    no_new_privs: bool,
    /// A capability more than the container has
    #[arg(short, long)]
    cap: Vec<String>,
    /// Number of further descriptors, from 3 on, that it gets
    #[arg(long, default_value_t = 0)]
    preserve_fds: u32,
    /// A group beneath the container's, which must be there: PATH or CONTROLLER:PATH
    #[arg(long)]
    cgroup: Vec<String>,
    /// Go on although the container is paused: it runs once that is resumed
    #[arg(long)]
    ignore_paused: bool,
    /// Name of the container
    id: String,
    /// What to execute
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<u8> {
        crate::seal::ensure()?;
        self.refuse_unbuilt()?;
        let state = store.load(&self.id)?;
        match store.status(&state)? {
            Status::Running | Status::Created => {}
            Status::Paused if self.ignore_paused => {}
            other => return Err(Error::WrongState { action: "exec in", state: other.word() }),
        }
        let gone = || Error::WrongState { action: "exec in", state: "stopped" };
        let init = state.pidfd()?.ok_or_else(gone)?;
        let process = self.process(&state)?;
        let attached = if self.detach { Attached::No } else { Attached::Yes };
        let wanted = process.terminal().unwrap_or(false);
        let terminal = terminal(wanted, self.console_socket.as_deref(), attached)?;
        if !self.detach {
            sys::signals::block_all().at(|| "block signals")?;
        }
        let group = match state.cgroup()? {
            Some(group) => Some(self.place(group, &state)?),
            None => None,
        };
        let pending = crate::exec::spawn(crate::Exec {
            init: init.as_fd(),
            init_pid: state.pid,
            cgroup: group.as_ref(),
            process: &process,
            linux: state.spec.linux().as_ref(),
            state: StateView::new(&state.id, "running", state.pid, &state.bundle, state.spec.annotations().as_ref()),
            stdio: stdio(&terminal, size(Some(&process))),
            preserve_fds: self.preserve_fds,
        })?;
        let mut created = pending.wait_created()?;
        for warning in &created.warnings {
            log.warning(warning);
        }
        let mut pty = created.pty.take();
        if let Terminal::Socket(socket) = &terminal
            && let Some(master) = pty.take()
        {
            console::send(socket, master.as_fd(), console::TERMINAL)?;
        }
        if let Some(path) = &self.pidfd_socket {
            console::send(&console::connect(path)?, created.pidfd.as_fd(), console::PIDFD)?;
        }
        if let Some(path) = &self.pid_file {
            write_pid_file(path, created.pid)?;
        }
        created.start()?;
        match attached {
            Attached::No => Ok(0),
            Attached::Yes => foreground::wait(created.pidfd.as_fd(), pty),
        }
    }

    fn refuse_unbuilt(&self) -> Result<()> {
        let asked = [
            (self.process_label.as_ref().is_some_and(|label| !label.is_empty()), "--process-label"),
            (self.apparmor.as_ref().is_some_and(|profile| !profile.is_empty()), "--apparmor"),
        ];
        match asked.into_iter().find(|(asked, _)| *asked) {
            Some((_, flag)) => Err(Error::Unimplemented(format!("exec {flag}"))),
            None => Ok(()),
        }
    }

    /// The group that the process enters: that of `--cgroup`, or on v2 the one that the first process has moved to. A
    /// group with others beneath it can hold no process there.
    fn place(&self, group: Cgroup, state: &State) -> Result<Cgroup> {
        let hierarchy = group.hierarchy().clone();
        let wrong = |problem: String| Error::Spec { field: "--cgroup", problem };
        if let [path] = &self.cgroup[..] {
            if path.split('/').any(|part| part == "..") {
                return Err(wrong(format!("{path:?} leads out of the container's group")));
            }
            if path.contains(':') {
                return Err(Error::Unimplemented(format!("exec --cgroup {path}: a group for one controller")));
            }
            return Ok(Cgroup::open(&hierarchy, &format!("{}/{path}", group.path()))?);
        }
        if !self.cgroup.is_empty() {
            return Err(Error::Unimplemented("exec --cgroup more than once".to_owned()));
        }
        if hierarchy.mode() == Mode::V2 {
            let text = fs::read_to_string(format!("/proc/{}/cgroup", state.pid)).unwrap_or_default();
            let moved = text.lines().find_map(|line| line.strip_prefix("0::"));
            let beneath = format!("{}/", group.path());
            if let Some(path) = moved.filter(|path| path.starts_with(&beneath)) {
                return Ok(Cgroup::open(&hierarchy, path)?);
            }
        }
        Ok(group)
    }

    /// The process of `--process`, or the container's own with another command.
    fn process(&self, state: &State) -> Result<Process> {
        if let Some(path) = &self.process {
            let text = fs::read(path).at(|| format!("read {}", path.display()))?;
            return spec::config::decode(&text).map_err(|source| Error::Decode { path: path.clone(), source });
        }
        let wrong = |problem: &str| Error::Spec { field: "process", problem: problem.to_owned() };
        if self.command.is_empty() {
            return Err(wrong("exec needs a command or --process"));
        }
        let own = state.spec.process().clone();
        let mut process = own.ok_or_else(|| wrong("the container has none to go by"))?;
        process.set_args(Some(self.command.clone()));
        process.set_terminal(Some(self.tty));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(self.env.iter().cloned());
        process.set_env(Some(env));
        if self.no_new_privs {
            process.set_no_new_privileges(Some(true));
        }
        if let Some(user) = &self.user {
            process.set_user(parse_user(user, process.user())?);
        }
        if !self.additional_gids.is_empty() {
            let mut user = process.user().clone();
            user.set_additional_gids(Some(self.additional_gids.clone()));
            process.set_user(user);
        }
        self.add_capabilities(&mut process)?;
        Ok(process)
    }

    fn add_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.cap.is_empty() {
            return Ok(());
        }
        let mut capabilities = process.capabilities().clone().unwrap_or_default();
        for name in &self.cap {
            let name = serde_json::Value::String(name.to_ascii_uppercase());
            let capability: Capability = serde_json::from_value(name)
                .map_err(|error| Error::Spec { field: "capability", problem: error.to_string() })?;
            let add = |set: &Option<spec::runtime::Capabilities>| {
                let mut set = set.clone().unwrap_or_default();
                set.insert(capability);
                Some(set)
            };
            let (bounding, effective) = (add(capabilities.bounding()), add(capabilities.effective()));
            let permitted = add(capabilities.permitted());
            capabilities.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        }
        process.set_capabilities(Some(capabilities));
        Ok(())
    }
}

/// `UID[:GID]`; without a group it is 0, as in runc.
fn parse_user(text: &str, own: &User) -> Result<User> {
    let wrong = || Error::Spec { field: "user", problem: format!("{text:?} is not UID[:GID]") };
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    let mut user = User::default();
    user.set_uid(uid.parse().map_err(|_| wrong())?);
    user.set_gid(gid.parse().map_err(|_| wrong())?);
    user.set_umask(own.umask());
    Ok(user)
}
