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
use super::state::{State, Store, process};
use super::{console, delete, foreground};
use crate::error::{AtStep, Error, Result};
use crate::hooks::Point;
use crate::{Created, Group, Keyring, Launch, Root, StartBy, Stdio};

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
    /// Socket of a process that forwards pidfds (not built)
    #[arg(long)]
    pidfd_socket: Option<PathBuf>,
    /// File that gets the number of the first process
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Move the root by other means than pivot_root (not built)
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
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<()> {
        crate::seal::ensure()?;
        let bundle = Bundle::load(&self.options)?;
        let reserved = Reserved::new(store, &self.id)?;
        let terminal = self.options.terminal(&bundle.spec, Attached::No)?;
        let listener = crate::start::listen(&store.start_socket(&self.id))?;
        let created = launch(&self.options, &self.id, &bundle, &terminal, StartBy::Listener(listener))?;
        finish(&self.options, store, &self.id, bundle, created, terminal, log)?;
        reserved.keep();
        Ok(())
    }
}

impl Run {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<u8> {
        crate::seal::ensure()?;
        let bundle = Bundle::load(&self.options)?;
        let reserved = Reserved::new(store, &self.id)?;
        let attached = if self.detach { Attached::No } else { Attached::Yes };
        let terminal = self.options.terminal(&bundle.spec, attached)?;
        if !self.detach {
            sys::signals::block_all().at(|| "block signals")?;
        }
        let created = launch(&self.options, &self.id, &bundle, &terminal, StartBy::Creator)?;
        let (mut created, state) = finish(&self.options, store, &self.id, bundle, created, terminal, log)?;
        reserved.keep();
        if let Err(error) = created.start() {
            delete::destroy(store, &state, log)?;
            return Err(error);
        }
        delete::hooks(&state, Point::Poststart, "running", state.pid, log);
        if self.detach {
            return Ok(0);
        }
        let code = foreground::wait(created.pidfd.as_fd(), created.pty.take());
        if !self.keep {
            delete::destroy(store, &state, log)?;
        }
        code
    }
}

/// A bundle that has been read.
struct Bundle {
    path: PathBuf,
    spec: Spec,
    rootfs: PathBuf,
}

impl Bundle {
    fn load(options: &Options) -> Result<Bundle> {
        if options.pidfd_socket.is_some() {
            return Err(Error::Unimplemented("--pidfd-socket".to_owned()));
        }
        if options.no_pivot {
            return Err(Error::Unimplemented("--no-pivot".to_owned()));
        }
        let path = &options.bundle;
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

fn launch(options: &Options, id: &str, bundle: &Bundle, terminal: &Terminal, start: StartBy) -> Result<Created> {
    let hierarchy = Hierarchy::detect()?;
    let path = cgroup_path(&bundle.spec, id)?;
    let pending = crate::launch::spawn(Launch {
        trees: Vec::new(),
        id,
        spec: &bundle.spec,
        root: Root::Path(bundle.rootfs.clone()),
        bundle: &bundle.path,
        netns: None,
        stdio: stdio(terminal, size(bundle.spec.process().as_ref())),
        hierarchy: &hierarchy,
        cgroup: Some(Group::At(&path)),
        preserve_fds: options.preserve_fds,
        start,
        keyring: if options.no_new_keyring { Keyring::Keep } else { Keyring::New },
    })?;
    pending.wait_created()
}

/// What the specification says, or a group of the container's own beside others of this runtime.
fn cgroup_path(spec: &Spec, id: &str) -> Result<String> {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    match given.map(|path| path.to_string_lossy().into_owned()) {
        None => Ok(format!("/sampan-runtime/{id}")),
        Some(path) if path.is_empty() => Ok(format!("/sampan-runtime/{id}")),
        // slice:prefix:name
        Some(path) if path.contains(':') && !path.contains('/') => {
            Err(Error::Unimplemented(format!("cgroupsPath {path:?}: control groups made by systemd")))
        }
        Some(path) => Ok(path),
    }
}

/// Tells everybody of the container: the terminal's holder, the pid file, the state.
fn finish(
    options: &Options,
    store: &Store,
    id: &str,
    bundle: Bundle,
    mut created: Created,
    terminal: Terminal,
    log: &Log,
) -> Result<(Created, State)> {
    for warning in &created.warnings {
        log.warning(warning);
    }
    let start_time = process(created.pid).map_or(0, |(_, start)| start);
    let state = State {
        id: id.to_owned(),
        pid: created.pid,
        start_time,
        bundle: bundle.path,
        rootfs: bundle.rootfs,
        created: timestamp(SystemTime::now()),
        cgroup: created.cgroup.as_ref().map(|group| group.path().to_owned()),
        spec: bundle.spec,
    };
    let told = tell(options, store, &state, &mut created, &terminal);
    if let Err(error) = told {
        delete::destroy(store, &state, log)?;
        return Err(error);
    }
    Ok((created, state))
}

fn tell(options: &Options, store: &Store, state: &State, created: &mut Created, terminal: &Terminal) -> Result<()> {
    if let Terminal::Socket(socket) = terminal
        && let Some(master) = created.pty.take()
    {
        console::send(socket, master.as_fd())?;
    }
    store.save(state)?;
    // Last: whoever waits for the file may ask for the state at once.
    match &options.pid_file {
        Some(path) => write_pid_file(path, state.pid),
        None => Ok(()),
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

/// A name that is given back unless a container comes of it.
struct Reserved<'a> {
    store: &'a Store,
    id: &'a str,
    keep: bool,
}

impl<'a> Reserved<'a> {
    fn new(store: &'a Store, id: &'a str) -> Result<Reserved<'a>> {
        match store.reserve(id) {
            Err(Error::Step { step, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::Step { step: format!("{step} (--root)"), source })
            }
            result => result.map(|_| Reserved { store, id, keep: false }),
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
