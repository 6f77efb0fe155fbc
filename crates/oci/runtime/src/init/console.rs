//! The container's terminal: a pty of its own devpts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::mount::OpenTreeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::mounts::put;
use crate::beneath::{self, Make};
use crate::error::{AtStep, Result};

/// Both ends.
pub(crate) struct Terminal {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a pty of the devpts beneath a root; its size is rows and columns.
pub(crate) fn open(root: BorrowedFd<'_>, size: Option<(u16, u16)>) -> Result<Terminal> {
    let step = || "open a terminal at /dev/pts";
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = beneath::open_with(root, Path::new("/dev/pts/ptmx"), flags).at(step)?;
    rustix::pty::unlockpt(&master).at(step)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).at(step)?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).at(|| "size the terminal")?;
    }
    Ok(Terminal { master, slave })
}

/// Makes the terminal /dev/console.
pub(crate) fn bind(root: BorrowedFd<'_>, terminal: &Terminal) -> Result<()> {
    let step = || "bind the terminal at /dev/console";
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(terminal.slave.as_fd(), "", flags).at(step)?;
    let (target, _) = beneath::open_or_make(root, Path::new("/dev/console"), Make::File).at(step)?;
    put(&tree, &target).at(step)
}
