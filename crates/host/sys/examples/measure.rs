//! Measures what starting a program takes, and how little starting a container can: for `cargo xtask bench oci`.
//!
//! ```text
//! measure COUNT COMMAND...         starts COUNT at once, `{}` in the words being the number; prints for each
//!                                  nanoseconds until it ended, microseconds of processor time, KiB, exit code
//! measure floor ROOTFS COMMAND...  a container of the least code: namespaces, a root, /proc, /dev, /sys
//! ```
//!
//! A program of its own, because a process that executes keeps the peak of memory of what it was copied from.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use sys::mount::{Change, Depth};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == "floor" && rest.len() > 1 => floor(&rest[0], &rest[1..]),
        Some((count, command)) if !command.is_empty() => at_once(count.parse().unwrap_or(1), command),
        _ => ExitCode::FAILURE,
    }
}

#[expect(clippy::zombie_processes, reason = "wait_any reaps them all")]
fn at_once(count: usize, words: &[String]) -> ExitCode {
    let mut started = HashMap::new();
    for number in 0..count {
        let words: Vec<String> = words.iter().map(|word| word.replace("{}", &number.to_string())).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("start {words:?}: {error}"));
        started.insert(child.id(), start);
    }
    while !started.is_empty() {
        let ended = sys::process::wait_any().unwrap_or_else(|error| panic!("wait: {error}"));
        if let Some(start) = started.remove(&ended.pid) {
            let wall = start.elapsed().as_nanos();
            println!("{wall} {} {} {}", ended.cpu.as_micros(), ended.peak, ended.code);
        }
    }
    ExitCode::SUCCESS
}

/// Namespaces as `runc spec` has them without that of control groups.
const NAMESPACES: u64 = 0x0002_0000 | 0x0400_0000 | 0x0800_0000 | 0x2000_0000 | 0x4000_0000;
const MS_PRIVATE: u64 = 1 << 18;

fn floor(rootfs: &str, command: &[String]) -> ExitCode {
    let words: Vec<CString> = command.iter().filter_map(|word| CString::new(word.as_str()).ok()).collect();
    let body = || match enter(rootfs) {
        Err(_) => 1,
        Ok(()) => {
            let _ = sys::exec::execve(&words[0], &words, &[]);
            1
        }
    };
    let started = sys::clone::clone_process(NAMESPACES, None, body).and_then(|_| sys::process::wait_any());
    match started {
        Ok(ended) if ended.code == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn enter(rootfs: &str) -> Result<()> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let place = |path: &str| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let top = place("/")?;
    let private = Change { propagation: MS_PRIVATE, ..Change::default() };
    sys::mount::set_attr(&top, private, Depth::Recursive).map_err(failed)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let root = rustix::mount::open_tree(CWD, rootfs, flags)?;
    put(&root, &top)?;
    rustix::process::fchdir(&root)?;
    for (kind, path) in [("proc", "proc"), ("tmpfs", "dev"), ("sysfs", "sys")] {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        let tree = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        put(&tree, &place(path)?)?;
    }
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
}

fn put(tree: &OwnedFd, target: &OwnedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags)
}
