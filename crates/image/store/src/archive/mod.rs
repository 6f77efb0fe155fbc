//! Streams in and out: load, save, import, commit, export, and copies into and out of a root.

mod changes;
mod copy_in;
mod copy_out;
mod create;
mod load;
mod manifests;
mod resolve;
mod save;
pub(crate) mod walk;

use std::{io::Write, os::fd::BorrowedFd};

use spec::{digest::ImageId, platform::Platform, reference::Reference};

use crate::Result;

pub use changes::apply_changes;
pub use copy_in::copy_in;
pub use copy_out::{copy_out, stat_path};

/// What `load` brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// An image got this name (familiar form).
    Name(String),
    /// An image without a name.
    Id(ImageId),
}

/// What to import a tar of a root file system as.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// Dockerfile instructions (`--change`).
    pub changes: Vec<String>,
    /// The commit message; empty makes docker's `Imported from -`.
    pub message: String,
    /// The name it gets.
    pub name: Option<Reference>,
    /// The host's when absent.
    pub platform: Option<Platform>,
}

/// What to commit a snapshot as.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// The image the container was made from.
    pub parent: Option<ImageId>,
    /// What the new image runs with: the container's own settings, already merged by the caller.
    pub config: spec::image::ContainerDefaults,
    /// Dockerfile instructions applied on top (`--change`).
    pub changes: Vec<String>,
    /// The name it gets.
    pub name: Option<Reference>,
    /// Commit message.
    pub message: String,
    /// The author.
    pub author: String,
    /// The container's command, which `history` shows.
    pub created_by: String,
    /// The container's id.
    pub container: String,
}

/// What a path in a root is (`docker cp` asks before it copies).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Its last component.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `st_mode` as the kernel gives it.
    pub mode: u32,
    /// Modification time.
    pub mtime: jiff::Timestamp,
    /// Where a symbolic link points, resolved within the root; empty for other files.
    pub link_target: String,
}

/// How to copy a tar stream into a root.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOptions {
    /// Refuse to replace a directory by something else and the reverse (`noOverwriteDirNonDir`).
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to this user and group instead of the archive's owners.
    pub owner: Option<(u32, u32)>,
}

/// Writes everything below `root` (the descriptor of a directory) as one tar.
pub fn export(root: BorrowedFd<'_>, writer: impl Write) -> Result<()> {
    walk::write_root(root, writer)
}

#[cfg(test)]
mod tests;
