//! `create` and `run`.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cgroup::Hierarchy;
use clap::Args;
use spec::runtime::Spec;

use super::log::{Log, timestamp};
use super::rootless::Rootless;
use super::state::{Lock, State, Store, process};
use super::{console, delete, foreground};
use crate::error::{AtStep, Error, Result};
use crate::hooks::Point;
use crate::{Created, Enter, Group, Keyring, Launch, Root, StartBy, Stdio};

#[derive(Args)]
pub(super) struct Create {
    #[command(flatten)]
    options: Options,
    /// Name of the container
    id: String,
}

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,
    /// Do not wait for the end of the container
    #[arg(short, long)]
    detach: bool,
    /// Keep the container after its end, until it is deleted
    #[arg(long)]
    keep: bool,
    /// Taken for compatibility: orphans are adopted by the container's own first process
    #[arg(long)]
    no_subreaper: bool,
    /// Name of the container
    id: String,
}

/// What both have.
#[derive(Args)]
struct Options {
    /// Folder with config.json
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// Unix socket that gets the master of the terminal
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// Unix socket that gets a handle (pidfd) of the first process
    #[arg(long)]
    pidfd_socket: Option<PathBuf>,
    /// File that gets the number of the first process
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Enter the root by chroot on top of the host's, where pivot_root is impossible
    #[arg(long)]
    no_pivot: bool,
    /// Keep the session keyring of the caller
    #[arg(long)]
    no_new_keyring: bool,
    /// Number of further descriptors, from 3 on, that the container gets
    #[arg(long, default_value_t = 0)]
    preserve_fds: u32,
}

impl Create {
    pub(super) fn run(self, store: &Store, run: Rootless, log: &Log) -> Result<()> {
        crate::seal::ensure()?;
        let bundle = Bundle::load(&self.options.bundle)?;
        let reserved = Reserved::new(store, &self.id)?;
        let terminal = self.options.terminal(&bundle.spec, Attached::No)?;
        let making = Making { options: &self.options, store, log, run, terminal };
        let listener = crate::start::listen(&store.start_socket(&self.id))?;
        let (created, state) = making.make(&self.id, bundle, StartBy::Listener(listener))?;
        // From here on it may be started, by who knows it from what was written down.
        if let Err(error) = created.begin_start() {
            delete::destroy(store, &state, log)?;
            return Err(error);
        }
        reserved.keep();
        Ok(())
    }
}

impl Run {
    pub(super) fn run(self, store: &Store, run: Rootless, log: &Log) -> Result<u8> {
        crate::seal::ensure()?;
        let bundle = Bundle::load(&self.options.bundle)?;
        let reserved = Reserved::new(store, &self.id)?;
        let attached = if self.detach { Attached::No } else { Attached::Yes };
        let terminal = self.options.terminal(&bundle.spec, attached)?;
        if !self.detach {
            sys::signals::block_all().at(|| "block signals")?;
        }
        let making = Making { options: &self.options, store, log, run, terminal };
        let (mut created, state) = making.make(&self.id, bundle, StartBy::Creator)?;
        if let Err(error) = created.start() {
            delete::destroy(store, &state, log)?;
            return Err(error);
        }
        delete::hooks(&state, Point::Poststart, "running", state.pid, log);
        reserved.keep();
        if self.detach {
            return Ok(0);
        }
        let code = foreground::wait(created.pidfd.as_fd(), created.pty.take());
        if !self.keep {
            match store.lock(&self.id) {
                Ok(_lock) => delete::destroy(store, &state, log)?,
                // Another command has removed it already.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        code
    }
}

/// A bundle that has been read.
pub(super) struct Bundle {
    pub(super) path: PathBuf,
    pub(super) spec: Spec,
    pub(super) rootfs: PathBuf,
}

impl Bundle {
    pub(super) fn load(path: &Path) -> Result<Bundle> {
        let path = fs::canonicalize(path).at(|| format!("look at the bundle {}", path.display()))?;
        let config = path.join("config.json");
        let text = fs::read(&config).at(|| format!("read {}", config.display()))?;
        let spec: Spec = spec::config::decode(&text).map_err(|source| Error::Decode { path: config, source })?;
        let Some(root) = spec.root() else {
            return Err(Error::Spec { field: "root", problem: "a container needs one".to_owned() });
        };
        let rootfs = path.join(root.path());
        let rootfs = fs::canonicalize(&rootfs).at(|| format!("look at the root {}", rootfs.display()))?;
        Ok(Bundle { path, spec, rootfs })
    }
}

/// Whether this process stays with the container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    Yes,
    No,
}

/// What becomes of the process's terminal.
pub(super) enum Terminal {
    /// It has none.
    None,
    /// It is connected to ours.
    Ours,
    /// Its master goes to this socket.
    Socket(OwnedFd),
}

impl Options {
    fn terminal(&self, spec: &Spec, attached: Attached) -> Result<Terminal> {
        let wanted = spec.process().as_ref().is_some_and(|process| process.terminal().unwrap_or(false));
        terminal(wanted, self.console_socket.as_deref(), attached)
    }
}

/// The rules of runc: a terminal needs somebody who holds its master.
pub(super) fn terminal(wanted: bool, socket: Option<&Path>, attached: Attached) -> Result<Terminal> {
    let wrong = |problem: &str| Err(Error::Spec { field: "process.terminal", problem: problem.to_owned() });
    match (wanted, socket, attached) {
        (true, Some(path), Attached::No) => Ok(Terminal::Socket(console::connect(path)?)),
        (true, None, Attached::No) => wrong("cannot allocate tty if runc will detach without setting console socket"),
        (true, None, Attached::Yes) => Ok(Terminal::Ours),
        (true, Some(_), Attached::Yes) | (false, Some(_), _) => {
            wrong("cannot use console socket if runc will not detach or allocate tty")
        }
        (false, None, _) => Ok(Terminal::None),
    }
}

/// Descriptors 0, 1 and 2 for a terminal.
pub(super) fn stdio(terminal: &Terminal, size: Option<(u16, u16)>) -> Stdio {
    match terminal {
        Terminal::None => Stdio::Inherit,
        Terminal::Ours | Terminal::Socket(_) => Stdio::Terminal { size },
    }
}

/// Rows and columns out of a specification.
pub(super) fn size(process: Option<&spec::runtime::Process>) -> Option<(u16, u16)> {
    let size = process.and_then(|process| process.console_size())?;
    Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?))
}

/// What making a container needs besides its bundle.
struct Making<'a> {
    options: &'a Options,
    store: &'a Store,
    log: &'a Log,
    run: Rootless,
    terminal: Terminal,
}

impl Making<'_> {
    /// Writes down what is known, makes the container, writes down its process, and tells everybody of it.
    fn make(&self, id: &str, bundle: Bundle, start: StartBy) -> Result<(Created, State)> {
        let hierarchy = Hierarchy::detect()?;
        let mut state = State {
            id: id.to_owned(),
            pid: 0,
            start_time: 0,
            bundle: bundle.path,
            rootfs: bundle.rootfs,
            created: timestamp(SystemTime::now()),
            cgroup: self.run.cgroup(&hierarchy, &bundle.spec, id)?,
            spec: bundle.spec,
        };
        self.store.save(&state)?;
        let mut created = match self.launch(&state, &hierarchy, start) {
            Ok(created) => created,
            Err(error) => {
                self.run.give_back(&hierarchy, state.cgroup.as_deref());
                return Err(error);
            }
        };
        for warning in &created.warnings {
            self.log.warning(warning);
        }
        state.pid = created.pid;
        state.start_time = process(created.pid).map_or(0, |(_, start)| start);
        if let Err(error) = self.tell(&state, &mut created) {
            delete::destroy(self.store, &state, self.log)?;
            return Err(error);
        }
        Ok((created, state))
    }

    fn launch(&self, state: &State, hierarchy: &Hierarchy, start: StartBy) -> Result<Created> {
        let options = self.options;
        let pending = crate::launch::spawn(Launch {
            trees: Vec::new(),
            id: &state.id,
            spec: &state.spec,
            root: Root::Path(state.rootfs.clone()),
            bundle: &state.bundle,
            netns: None,
            stdio: stdio(&self.terminal, size(state.spec.process().as_ref())),
            hierarchy,
            cgroup: state.cgroup.as_deref().map(Group::At),
            preserve_fds: options.preserve_fds,
            start,
            keyring: if options.no_new_keyring { Keyring::Keep } else { Keyring::New },
            enter: if options.no_pivot { Enter::Chroot } else { Enter::Pivot },
        })?;
        pending.wait_created()
    }

    fn tell(&self, state: &State, created: &mut Created) -> Result<()> {
        if let Terminal::Socket(socket) = &self.terminal
            && let Some(master) = created.pty.take()
        {
            console::send(socket, master.as_fd(), console::TERMINAL)?;
        }
        if let Some(path) = &self.options.pidfd_socket {
            console::send(&console::connect(path)?, created.pidfd.as_fd(), console::PIDFD)?;
        }
        self.store.save_process(state)?;
        // Last: whoever waits for the file may ask for the state at once.
        match &self.options.pid_file {
            Some(path) => write_pid_file(path, state.pid),
            None => Ok(()),
        }
    }
}

/// Appears whole, as others watch for it.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, pid.to_string()).at(|| format!("write {}", new.display()))?;
    fs::rename(&new, path).at(|| format!("rename to {}", path.display()))
}

/// A name, and its lock, that is given back unless a container comes of it.
struct Reserved<'a> {
    store: &'a Store,
    id: &'a str,
    _lock: Lock,
    keep: bool,
}

impl<'a> Reserved<'a> {
    fn new(store: &'a Store, id: &'a str) -> Result<Reserved<'a>> {
        match store.reserve(id) {
            Err(Error::Step { step, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::Step { step: format!("{step} (--root)"), source })
            }
            result => result.map(|lock| Reserved { store, id, _lock: lock, keep: false }),
        }
    }

    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.keep {
            // The failure that led here is what is told.
            let _ = self.store.remove(self.id);
        }
    }
}
