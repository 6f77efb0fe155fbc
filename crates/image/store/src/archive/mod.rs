//! Streams in and out: load, save, import, commit, export, and copies into and out of a root.

mod changes;
mod copy;
pub(crate) mod walk;

use std::{
    io::{Read, Write},
    os::fd::BorrowedFd,
};

use spec::{digest::ImageId, image::ImageConfig, platform::Platform, reference::Reference};

use crate::{Image, Result, Store};

pub use changes::apply_changes;

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

/// Archives of images.
impl Store {
    /// Reads a docker archive or an OCI layout, in any compression, and adds its images.
    pub fn load(&self, reader: impl Read + Send) -> Result<Vec<Loaded>> {
        let _ = reader;
        todo!()
    }

    /// Writes images, by name or id, as an OCI layout with docker's `manifest.json` beside it.
    pub fn save(&self, names: &[String], writer: impl Write) -> Result<()> {
        let _ = writer;
        todo!("{names:?}")
    }

    /// Makes an image of one layer from the tar of a root file system, in any compression.
    pub fn import(&self, reader: impl Read + Send, request: &ImportRequest) -> Result<Image> {
        let _ = reader;
        todo!("{request:?}")
    }

    /// Makes an image of a snapshot's image and its writable layer.
    pub fn commit(&self, key: &str, request: &CommitRequest) -> Result<Image> {
        todo!("{key} {request:?}")
    }
}

/// Writes everything below `root` (the descriptor of a directory) as one tar.
pub fn export(root: BorrowedFd<'_>, writer: impl Write) -> Result<()> {
    let _ = writer;
    todo!("{root:?}")
}

/// What `path` is, every link resolved within `root`, the last one not followed.
pub fn stat_path(root: BorrowedFd<'_>, path: &str) -> Result<PathStat> {
    todo!("{root:?} {path}")
}

/// Writes `path` and everything below it as a tar whose entries start with its last component.
pub fn copy_out(root: BorrowedFd<'_>, path: &str, writer: impl Write) -> Result<PathStat> {
    let _ = writer;
    todo!("{root:?} {path}")
}

/// Unpacks a tar, in any compression, into the directory `path`; nothing is written outside of `root`.
pub fn copy_in(root: BorrowedFd<'_>, path: &str, reader: impl Read, options: CopyOptions) -> Result<()> {
    let _ = reader;
    todo!("{root:?} {path} {options:?}")
}

const _: fn(&ImageConfig) = |_| {};
