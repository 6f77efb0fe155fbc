//! `checkpoint` and `restore`, done by criu where it is installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use cgroup::Hierarchy;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use spec::runtime::Spec;
use sys::mount::{Change, Depth};

use super::create::{Bundle, write_pid_file};
use super::delete;
use super::log::{Log, timestamp};
use super::rootless::Rootless;
use super::state::{State, Status, Store, process};
use crate::error::{AtStep, Error, Result};
use crate::init::mounts;
use crate::plan::mounts::MS_PRIVATE;

/// What both hand on to criu.
#[derive(Args)]
struct Options {
    /// Folder of the images
    #[arg(long, default_value = "checkpoint")]
    image_path: PathBuf,
    /// Folder of criu's log; that of the images if not given
    #[arg(long)]
    work_path: Option<PathBuf>,
    /// Allow open TCP connections
    #[arg(long)]
    tcp_established: bool,
    /// Allow unix sockets whose other end is outside
    #[arg(long)]
    ext_unix_sk: bool,
    /// Allow a terminal of the caller's
    #[arg(long)]
    shell_job: bool,
    /// Handle locks of files
    #[arg(long)]
    file_locks: bool,
    /// What becomes of control groups: soft, full, strict or ignore
    #[arg(long)]
    manage_cgroups_mode: Option<String>,
    /// Namespaces that are made, but not filled
    #[arg(long)]
    empty_ns: Vec<String>,
    /// Keep memory images free of what is there already
    #[arg(long)]
    auto_dedup: bool,
}

#[derive(Args)]
pub(super) struct Checkpoint {
    #[command(flatten)]
    options: Options,
    /// Folder of the images of an earlier `--pre-dump`, relative to the images
    #[arg(long)]
    parent_path: Option<PathBuf>,
    /// Let the container run on
    #[arg(long)]
    leave_running: bool,
    /// Only memory, and let the container run on
    #[arg(long)]
    pre_dump: bool,
    /// ADDRESS:PORT of a server that takes the memory
    #[arg(long)]
    page_server: Option<String>,
    /// Name of the container
    id: String,
}

#[derive(Args)]
pub(super) struct Restore {
    #[command(flatten)]
    options: Options,
    /// Folder with config.json
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// Taken for compatibility: a restored container is always left by itself
    #[arg(short, long)]
    detach: bool,
    /// File that gets the number of the first process
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Name of the container
    id: String,
}

impl Options {
    fn work_path(&self) -> &Path {
        self.work_path.as_deref().unwrap_or(&self.image_path)
    }

    /// A command line of criu with what both ways have.
    fn criu(&self, program: &Path, verb: &str, spec: &Spec, log: &str) -> Result<Command> {
        for folder in [&self.image_path, self.work_path()] {
            fs::create_dir_all(folder).at(|| format!("make {}", folder.display()))?;
        }
        let mut command = Command::new(program);
        command.arg(verb).arg("--images-dir").arg(&self.image_path).arg("--work-dir").arg(self.work_path());
        command.args(["--log-file", log, "-v4"]);
        let flags = [
            (self.tcp_established, "--tcp-established"),
            (self.ext_unix_sk, "--ext-unix-sk"),
            (self.shell_job, "--shell-job"),
            (self.file_locks, "--file-locks"),
            (self.auto_dedup, "--auto-dedup"),
        ];
        command.args(flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag));
        command.arg(format!("--manage-cgroups={}", self.manage_cgroups_mode.as_deref().unwrap_or("soft")));
        for kind in &self.empty_ns {
            command.args(["--empty-ns", kind]);
        }
        // What the host has mounted into the container is the host's, and is mounted there again.
        for mount in spec.mounts().iter().flatten() {
            let options = mount.options().iter().flatten();
            if options.clone().any(|option| option == "bind" || option == "rbind")
                && let Some(source) = mount.source()
            {
                let inside = mount.destination().display();
                match verb {
                    "restore" => command.arg("--external").arg(format!("mnt[{inside}]:{}", source.display())),
                    _ => command.arg("--external").arg(format!("mnt[{inside}]:{inside}")),
                };
            }
        }
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs it; a failure shows the last words of its log.
    fn carry_out(&self, mut command: Command, program: &Path, verb: &'static str, log: &str) -> Result<()> {
        let step = || format!("{verb} with {}", program.display());
        let status = match command.status() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let advice = "it is not installed (package criu), or not where --criu says";
                return Err(Error::step(step(), io::Error::new(io::ErrorKind::NotFound, advice)));
            }
            result => result.at(step)?,
        };
        if status.success() {
            return Ok(());
        }
        let path = self.work_path().join(log);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let errors: Vec<&str> = text.lines().filter(|line| line.contains("Error")).collect();
        let last = errors.last().copied().unwrap_or("no error in its log").trim();
        Err(Error::step(step(), io::Error::other(format!("{status}: {last} (log: {})", path.display()))))
    }
}

impl Checkpoint {
    pub(super) fn run(self, store: &Store, criu: &Path, log: &Log) -> Result<()> {
        let _lock = store.lock(&self.id)?;
        let state = store.load(&self.id)?;
        match store.status_held(&state)? {
            Status::Running | Status::Paused => {}
            other => return Err(Error::WrongState { action: "checkpoint", state: other.word() }),
        }
        let verb = if self.pre_dump { "pre-dump" } else { "dump" };
        let mut command = self.options.criu(criu, verb, &state.spec, "dump.log")?;
        command.args(["--tree", &state.pid.to_string()]).arg("--root").arg(&state.rootfs);
        if let Some(parent) = &self.parent_path {
            command.arg("--prev-images-dir").arg(parent).arg("--track-mem");
        } else if self.pre_dump {
            command.arg("--track-mem");
        }
        if let Some(server) = &self.page_server {
            let (address, port) = server.rsplit_once(':').unwrap_or((server, "0"));
            command.args(["--page-server", "--address", address, "--port", port]);
        }
        if self.leave_running {
            command.arg("--leave-running");
        }
        self.options.carry_out(command, criu, "checkpoint", "dump.log")?;
        if self.leave_running || self.pre_dump {
            return Ok(());
        }
        delete::destroy(store, &state, log)
    }
}

impl Restore {
    pub(super) fn run(self, store: &Store, criu: &Path, run: Rootless, log: &Log) -> Result<()> {
        let Bundle { path: bundle, spec, rootfs } = Bundle::load(&self.bundle)?;
        let _lock = store.reserve(&self.id)?;
        let cgroup = run.cgroup(&Hierarchy::detect()?, &spec, &self.id)?;
        let created = timestamp(SystemTime::now());
        let mut state = State { id: self.id.clone(), pid: 0, start_time: 0, bundle, rootfs, created, cgroup, spec };
        let restored = store.save(&state).and_then(|()| self.restore(store, criu, &mut state));
        if restored.is_err() {
            delete::destroy(store, &state, log)?;
        }
        restored
    }

    fn restore(&self, store: &Store, criu: &Path, state: &mut State) -> Result<()> {
        mount_root(&state.rootfs)?;
        let pid_file = store.dir(&self.id).join("restored.pid");
        let mut command = self.options.criu(criu, "restore", &state.spec, "restore.log")?;
        command.arg("--restore-detached").arg("--pidfile").arg(&pid_file).arg("--root").arg(&state.rootfs);
        self.options.carry_out(command, criu, "restore", "restore.log")?;
        let text = fs::read_to_string(&pid_file).at(|| format!("read {}", pid_file.display()))?;
        state.pid = text.trim().parse().unwrap_or(0);
        let gone = || Error::step(format!("look at the restored process {}", text.trim()), rustix::io::Errno::SRCH);
        state.start_time = process(state.pid).map(|(_, start)| start).ok_or_else(gone)?;
        let pid = Pid::from_raw(state.pid).ok_or_else(gone)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).at(|| "hold the restored process")?;
        store.save_process(state)?;
        if let Some(path) = &self.pid_file {
            write_pid_file(path, state.pid)?;
        }
        if self.detach {
            return Ok(());
        }
        while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&handle, PollFlags::IN)], None) {}
        Ok(())
    }
}

/// criu wants the root to be a mount. It is made one where only this process and its children see it.
fn mount_root(rootfs: &Path) -> Result<()> {
    let step = || format!("mount {} for criu", rootfs.display());
    sys::namespace::unshare_mounts_of_thread().at(step)?;
    let place = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let private = Change { propagation: MS_PRIVATE, ..Change::default() };
    sys::mount::set_attr(place(Path::new("/")).at(step)?, private, Depth::Recursive).at(step)?;
    let tree = mounts::open_source(rootfs, Depth::Recursive).at(step)?;
    mounts::put(&tree, place(rootfs).at(step)?).at(step)
}
