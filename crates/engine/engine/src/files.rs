//! Files of containers: changes, export, copies in and out, and images made of them.
//!
//! A running container is reached through its root, a stopped one through a mount of its own that nobody else sees.

use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use serde_json::json;
use spec::image::{ContainerDefaults, Healthcheck};
use spec::reference::Reference;
use store::{Access, CommitRequest, CopyOptions};

use crate::compose::users;
use crate::engine::{Engine, Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::keeper::Command;
use crate::lifecycle::Hold;
use crate::model::config::{Config, HealthConfig};
use crate::model::event::EventKind;
use crate::model::image::CommitSpec;
use crate::model::stream::{ByteSender, ByteStream};
use crate::model::view::{Change, ChangeKind, PathStat, Status};
use crate::record::Record;
use crate::root;

/// Bytes gathered before they go to a client: a tar is written in small pieces.
const PIECE: usize = 64 * 1024;

impl Engine {
    pub async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        let record = self.inner.containers.find(container)?.record();
        let inner = self.inner.clone();
        blocking(move || {
            let change = |change: store::Change| Change {
                kind: match change.kind {
                    store::ChangeKind::Modified => ChangeKind::Modified,
                    store::ChangeKind::Added => ChangeKind::Added,
                    store::ChangeKind::Deleted => ChangeKind::Deleted,
                },
                path: change.path.to_string_lossy().into_owned(),
            };
            Ok(inner.store.changes(record.snapshot())?.into_iter().map(change).collect())
        })
        .await
    }

    /// The file system as tar.
    pub async fn export(&self, container: &str) -> Result<ByteStream> {
        let record = self.inner.containers.find(container)?.record();
        let root = self.root(&record, Access::ReadOnly).await?;
        self.inner.tell(&record, "export", &[]);
        let (sender, bytes) = ByteStream::channel();
        write_in_background(sender, move |out| store::archive::export(root.as_fd(), out));
        Ok(bytes)
    }

    pub async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        let record = self.inner.containers.find(container)?.record();
        let root = self.root(&record, Access::ReadOnly).await?;
        let (path, name) = (path.to_owned(), container.to_owned());
        let stat = blocking(move || stat(&root, &path, &name)).await?;
        self.inner.tell(&record, "archive-path", &[]);
        Ok(stat)
    }

    /// A path in the container as tar, with its stat.
    pub async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let record = self.inner.containers.find(container)?.record();
        let root = self.root(&record, Access::ReadOnly).await?;
        let (name, wanted) = (container.to_owned(), path.to_owned());
        let (root, stat) = blocking(move || stat(&root, &wanted, &name).map(|stat| (root, stat))).await?;
        self.inner.tell(&record, "archive-path", &[]);
        let path = path.to_owned();
        let (sender, bytes) = ByteStream::channel();
        write_in_background(sender, move |out| store::archive::copy_out(root.as_fd(), &path, out).map(drop));
        Ok((stat, bytes))
    }

    /// Unpacks a tar stream (plain or compressed) into a directory of the container.
    pub async fn archive_put(
        &self,
        container: &str,
        path: &str,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
        tar: ByteStream,
    ) -> Result<()> {
        let record = self.inner.containers.find(container)?.record();
        if record.host.readonly_rootfs && !is_in_writable_mount(&record, path) {
            return Err(Error::denied("container rootfs is marked read-only"));
        }
        let root = self.root(&record, Access::ReadWrite).await?;
        let (path, name, user) = (path.to_owned(), container.to_owned(), record.config.user.clone());
        blocking(move || {
            let owner = match copy_uid_gid {
                true => {
                    let texts = (root::read(root.as_fd(), "/etc/passwd")?, root::read(root.as_fd(), "/etc/group")?);
                    let who = users::resolve(&user, &[], &texts.0, &texts.1)?;
                    Some((who.uid, who.gid))
                }
                false => None,
            };
            let options = CopyOptions { no_overwrite_dir_non_dir, owner };
            store::archive::copy_in(root.as_fd(), &path, tar, options).map_err(|error| in_container(error, &name))
        })
        .await?;
        self.inner.tell(&record, "extract-to-dir", &[]);
        Ok(())
    }

    /// Image id.
    pub async fn commit(&self, spec: CommitSpec) -> Result<String> {
        let name = match &spec.reference {
            Some(text) => {
                let name = Reference::parse(text).map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
                Some(name.or_latest())
            }
            None => None,
        };
        let handle = self.inner.containers.find(&spec.container)?;
        let record = handle.record();
        let id = record.id.clone();
        if record.state.status() == Status::Removing || record.state.status() == Status::Dead {
            return Err(Error::conflict(format!("You cannot commit container {id} which is Dead")));
        }
        let paused = spec.pause && record.state.status() == Status::Running;
        if paused {
            handle.ask(|reply| Command::Pause(Hold::Commit, reply)).await?;
        }
        let (inner, record) = (self.inner.clone(), handle.record());
        let made = blocking(move || commit(&inner, &record, spec, name)).await;
        if paused {
            self.unpause(&id).await?;
        }
        made
    }

    async fn root(&self, record: &Arc<Record>, access: Access) -> Result<OwnedFd> {
        let (inner, record) = (self.inner.clone(), record.clone());
        blocking(move || match record.state.pid() {
            Some(pid) => {
                let path = format!("/proc/{pid}/root");
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let opened = rustix::fs::open(&path, flags, Mode::empty());
                opened.map_err(|error| {
                    Error::because(Kind::Internal, format_args!("open {path}"), std::io::Error::from(error))
                })
            }
            None => Ok(inner.store.mount(record.snapshot(), access)?),
        })
        .await
    }
}

/// Runs `write` on a thread that may block; an error ends the stream as an error, so that nobody takes a part for the whole.
fn write_in_background(sender: ByteSender, write: impl FnOnce(&mut dyn Write) -> store::Result<()> + Send + 'static) {
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PIECE, sender.clone());
        let written = write(&mut out).map_err(std::io::Error::other).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::debug!(%error, "a tar stream to a client ended early");
            let _ = sender.blocking_send(Err(error));
        }
    });
}

fn stat(root: &OwnedFd, path: &str, container: &str) -> Result<PathStat> {
    let stat = store::archive::stat_path(root.as_fd(), path).map_err(|error| in_container(error, container))?;
    Ok(PathStat {
        name: stat.name,
        size: stat.size,
        mode: go_mode(stat.mode),
        mtime: stat.mtime,
        link_target: stat.link_target,
    })
}

/// Docker names the container after a path that is not there.
fn in_container(error: store::Error, container: &str) -> Error {
    match error {
        store::Error::NoSuchPath(path) => {
            Error::not_found(format!("Could not find the file {path} in container {container}"))
        }
        other => other.into(),
    }
}

/// `st_mode` as Go's `os.FileMode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        0o020_000 => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).fold(0, |all, (_, shift)| all | 1 << shift);
    kind | special | (mode & 0o777)
}

fn is_in_writable_mount(record: &Record, path: &str) -> bool {
    let mut mounts: Vec<_> = record.mounts.iter().map(|mount| &mount.point).collect();
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.destination.len()));
    let within = |destination: &str| std::path::Path::new("/").join(path).starts_with(destination);
    mounts.iter().find(|mount| within(&mount.destination)).is_some_and(|mount| mount.rw)
}

fn commit(inner: &Inner, record: &Record, spec: CommitSpec, name: Option<Reference>) -> Result<String> {
    let mut config = defaults(&record.config);
    if let Some(sent) = &spec.config {
        overlay(&mut config, sent);
    }
    let parent = inner.store.resolve(&record.image).ok().map(|image| image.id);
    let request = CommitRequest {
        parent,
        config,
        changes: spec.changes,
        name,
        message: spec.comment,
        author: spec.author,
        created_by: record.args.join(" "),
        container: record.id.clone(),
    };
    let image = inner.store.commit(record.snapshot(), &request)?;
    let name = request.name.as_ref().map(Reference::familiar).unwrap_or_default();
    inner.tell(
        record,
        "commit",
        &[("comment", request.message.clone()), ("imageID", image.id.to_string()), ("imageRef", name.clone())],
    );
    if request.name.is_some() {
        inner.tell_of(EventKind::Image, "tag", image.id.as_str(), &[("name", &name)]);
    }
    Ok(image.id.to_string())
}

/// What an image takes over from a container's configuration.
fn defaults(config: &Config) -> ContainerDefaults {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ContainerDefaults {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.iter().map(|port| (port.to_string(), json!({}))).collect(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: config.volumes.iter().map(|path| (path.clone(), json!({}))).collect(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: text(&config.stop_signal),
        healthcheck: config.healthcheck.as_ref().map(health),
        shell: config.shell.clone(),
        on_build: Some(config.on_build.clone()).filter(|steps| !steps.is_empty()),
        ..ContainerDefaults::default()
    }
}

fn health(check: &HealthConfig) -> Healthcheck {
    let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Healthcheck {
        test: check.test.clone(),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
        retries: check.retries.into(),
    }
}

/// What a client sent with the commit goes before the container's own.
fn overlay(config: &mut ContainerDefaults, sent: &Config) {
    let sent = defaults(sent);
    if !sent.user.is_empty() {
        config.user = sent.user;
    }
    config.exposed_ports.extend(sent.exposed_ports);
    for variable in sent.env {
        let name = variable.split('=').next().unwrap_or_default().to_owned();
        config.env.retain(|it| it.split('=').next() != Some(&name));
        config.env.push(variable);
    }
    config.volumes.extend(sent.volumes);
    config.labels.extend(sent.labels);
    if !sent.working_dir.is_empty() {
        config.working_dir = sent.working_dir;
    }
    for (own, sent) in [
        (&mut config.entrypoint, sent.entrypoint),
        (&mut config.cmd, sent.cmd),
        (&mut config.shell, sent.shell),
        (&mut config.on_build, sent.on_build),
    ] {
        if sent.as_ref().is_some_and(|words| !words.is_empty()) {
            *own = sent;
        }
    }
    if sent.stop_signal.is_some() {
        config.stop_signal = sent.stop_signal;
    }
    if sent.healthcheck.is_some() {
        config.healthcheck = sent.healthcheck;
    }
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o100_644), 0o644);
        assert_eq!(go_mode(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o120_777), 1 << 27 | 0o777);
        assert_eq!(go_mode(0o104_755), 1 << 23 | 0o755);
        assert_eq!(go_mode(0o020_620), 1 << 26 | 1 << 21 | 0o620);
    }
}
