//! A minimal runtime for the tests: launches the container of a bundle, waits for it, leaves with its exit code.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use cgroup::Hierarchy;
use runtime::state::StateView;
use runtime::{Created, Enter, Exec, Group, Keyring, Launch, Root, StartBy, Stdio, exec, launch, start};
use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use spec::runtime::{Process, Spec};

/// `launch <bundle> <id> [flags]`; flags: `--mount-root`, `--preserve=N`, `--tty=ROWSxCOLUMNS`,
/// `--exec=process.json` (the container is only there to execute it in), `--exec-tty`, `--listen`
/// (started by another process), `--leave-fd` (an inheritable descriptor is open).
pub fn main(args: &[String]) -> u8 {
    let result = runtime::seal::ensure().and_then(|()| run(Path::new(&args[0]), &args[1], &args[2..]));
    match result {
        Ok(code) => code as u8,
        Err(error) => {
            eprintln!("{error}");
            error.exit_code()
        }
    }
}

fn flag<'a>(flags: &'a [String], name: &str) -> Option<&'a str> {
    flags.iter().find_map(|flag| flag.strip_prefix(name))
}

fn run(bundle: &Path, id: &str, flags: &[String]) -> runtime::Result<i32> {
    let spec: Spec = serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let hierarchy = Hierarchy::detect()?;
    let cgroup = format!("/sampan-test/{id}");
    let rootfs = bundle.join("rootfs");
    let root = match flag(flags, "--mount-root") {
        Some(_) => Root::Mount(rustix::mount::open_tree(CWD, &rootfs, OpenTreeFlags::OPEN_TREE_CLONE).unwrap()),
        None => Root::Path(rootfs),
    };
    if flag(flags, "--leave-fd").is_some() {
        let file = File::open("/etc/passwd").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        std::mem::forget(file);
    }
    let socket = bundle.join("start.sock");
    let pending = launch::spawn(Launch {
        trees: Vec::new(),
        id,
        spec: &spec,
        root,
        bundle,
        netns: None,
        stdio: stdio(flag(flags, "--tty=")),
        hierarchy: &hierarchy,
        cgroup: Some(Group::At(&cgroup)),
        preserve_fds: flag(flags, "--preserve=").map_or(0, |n| n.parse().unwrap()),
        start: match flag(flags, "--listen") {
            Some(_) => StartBy::Listener(start::listen(&socket)?),
            None => StartBy::Creator,
        },
        keyring: Keyring::New,
        enter: Enter::Pivot,
    })?;
    let mut created = pending.wait_created()?;
    let result = match flag(flags, "--listen") {
        Some(_) => created.begin_start().and_then(|()| start_elsewhere(&socket)),
        None => created.start(),
    };
    let result = result.and_then(|()| match flag(flags, "--exec=") {
        Some(file) => execute(&created, Path::new(file), flags, &spec),
        None => Ok(wait(&created)),
    });
    if let Some(cgroup) = &created.cgroup {
        cgroup.kill_all()?;
        if flag(flags, "--exec=").is_some() {
            wait(&created);
        }
        cgroup.delete()?;
        cgroup.delete_empty_parents();
    }
    result
}

fn stdio(size: Option<&str>) -> Stdio {
    match size {
        Some(size) => {
            let (rows, columns) = size.split_once('x').unwrap();
            Stdio::Terminal { size: Some((rows.parse().unwrap(), columns.parse().unwrap())) }
        }
        None => Stdio::Inherit,
    }
}

fn start_elsewhere(socket: &Path) -> runtime::Result<()> {
    println!("before");
    start::start(socket)
}

fn execute(created: &Created, file: &Path, flags: &[String], spec: &Spec) -> runtime::Result<i32> {
    let process: Process = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let pending = exec::spawn(Exec {
        init: created.pidfd.as_fd(),
        init_pid: created.pid,
        cgroup: created.cgroup.as_ref(),
        process: &process,
        linux: spec.linux().as_ref(),
        state: StateView::new("launched", "running", created.pid, Path::new("/"), None),
        stdio: stdio(flag(flags, "--exec-tty").map(|_| "10x20")),
        preserve_fds: 0,
    })?;
    let mut executed = pending.wait_created()?;
    executed.start()?;
    Ok(wait(&executed))
}

/// Copies a terminal's output until its end, and returns the exit code.
fn wait(created: &Created) -> i32 {
    if let Some(master) = &created.pty {
        let mut master = File::from(master.try_clone().unwrap());
        let mut piece = [0; 4096];
        while let Ok(length) = master.read(&mut piece)
            && length > 0
        {
            std::io::stdout().write_all(&piece[..length]).unwrap();
        }
    }
    reap(created.pidfd.as_fd())
}

fn reap(pidfd: BorrowedFd<'_>) -> i32 {
    let alarm = std::time::Instant::now();
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).unwrap() {
            Some(status) => {
                return status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255);
            }
            None if alarm.elapsed() > Duration::from_secs(20) => {
                rustix::process::pidfd_send_signal(pidfd, Signal::KILL).unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
