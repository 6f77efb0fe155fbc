//! `cp`: files between a container and here, as tar streams.

use crate::connection::{self, Client};
use crate::{Failure, Outcome, stream};
use anyhow::{Context, bail};
use base64::Engine as _;
use clap::Args;
use http::Method;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;

use super::escape;

#[derive(Args)]
pub(crate) struct Copy {
    /// Archive mode (copy all uid/gid information)
    #[arg(short = 'a', long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy
    #[arg(short = 'q', long)]
    quiet: bool,
    /// CONTAINER:PATH, PATH or - for a tar archive on standard input
    source: String,
    /// CONTAINER:PATH, PATH or - for a tar archive on standard output
    destination: String,
}

pub(super) async fn copy(command: Copy, client: Client) -> Outcome {
    match (container_path(&command.source), container_path(&command.destination)) {
        (Some((container, path)), None) => copy_out(&client, container, path, &command).await,
        (None, Some((container, path))) => copy_in(&client, container, path, &command).await,
        (Some(_), Some(_)) => Err(Failure::new(1, "copying between containers is not supported")),
        (None, None) => Err(Failure::new(1, "must specify at least one container source")),
    }
}

fn container_path(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['/', '.']) { None } else { text.split_once(':') }
}

/// Standing of a path in a container; nothing where there is none.
async fn stat(client: &Client, container: &str, path: &str) -> Result<Option<Value>, Failure> {
    let url = format!("/containers/{}/archive?path={}", escape(container), escape(path));
    match client.request(Method::HEAD, &url, None).await {
        Ok(answer) => {
            let header =
                answer.headers().get("x-docker-container-path-stat").context("the daemon told nothing of the path")?;
            let json = base64::engine::general_purpose::STANDARD.decode(header.as_bytes())?;
            Ok(Some(serde_json::from_slice(&json)?))
        }
        // HEAD has no body to tell a missing container from a missing path: GET will say
        Err(error) if error.status() == Some(http::StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Go's bit for directories in a file mode.
fn is_directory(stat: &Value) -> bool {
    stat["mode"].as_u64().is_some_and(|mode| mode & (1 << 31) != 0)
}

async fn copy_out(client: &Client, container: &str, path: &str, command: &Copy) -> Outcome {
    let mut path = path.to_string();
    if command.follow_link
        && let Some(target) =
            stat(client, container, &path).await?.and_then(|stat| stat["linkTarget"].as_str().map(String::from))
        && !target.is_empty()
    {
        path = target;
    }
    let url = format!("/containers/{}/archive?path={}", escape(container), escape(&path));
    let answer = client.request(Method::GET, &url, None).await?;
    if command.destination == "-" {
        return super::transfer::write_body(answer, None).await;
    }
    let mut archive = Vec::new();
    let mut reader = stream::reader(answer);
    reader.read_to_end(&mut archive).await?;
    let content_only = path.ends_with("/.");
    unpack(&archive, Path::new(&command.destination), content_only, &path)?;
    if !command.quiet {
        eprintln!(
            "Successfully copied {} to {}",
            crate::units::human_size(archive.len() as f64, 3),
            command.destination
        );
    }
    Ok(())
}

/// Unpacks beneath the destination, with the first name replaced where the destination names it.
fn unpack(archive: &[u8], destination: &Path, content_only: bool, source: &str) -> anyhow::Result<()> {
    let into_directory = destination.is_dir();
    let base = Path::new(source.trim_end_matches("/.")).file_name().map(PathBuf::from).unwrap_or_default();
    if !into_directory && !destination.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent.is_dir()) {
        bail!("invalid output path: directory {:?} does not exist", destination.parent().unwrap_or(destination));
    }
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        anyhow::ensure!(
            name.components()
                .all(|part| !matches!(part, std::path::Component::ParentDir | std::path::Component::RootDir)),
            "refusing the path {} in the archive",
            name.display()
        );
        let inner = name.strip_prefix(&base).unwrap_or(&name);
        let target = if into_directory && !content_only { destination.join(&name) } else { destination.join(inner) };
        let target = if inner.as_os_str().is_empty() && (content_only || !into_directory) {
            destination.to_path_buf()
        } else {
            target
        };
        write_entry(&mut entry, &target).with_context(|| format!("write {}", target.display()))?;
    }
    Ok(())
}

/// One file, directory or link; links within the archive are never followed on the way.
fn write_entry(entry: &mut tar::Entry<'_, &[u8]>, target: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mode = entry.header().mode()? & 0o7777;
    match entry.header().entry_type() {
        tar::EntryType::Directory => {
            if !target.is_dir() {
                std::fs::create_dir(target)?;
            }
            std::fs::set_permissions(target, PermissionsExt::from_mode(mode))?;
        }
        tar::EntryType::Symlink => {
            let link = entry.link_name()?.context("a link without a target")?;
            if target.symlink_metadata().is_ok() {
                std::fs::remove_file(target)?;
            }
            std::os::unix::fs::symlink(link, target)?;
        }
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            if target.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                std::fs::remove_file(target)?;
            }
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(target)?;
            std::io::copy(entry, &mut file)?;
            file.set_permissions(PermissionsExt::from_mode(mode))?;
        }
        other => bail!("an entry of kind {other:?} is not copied"),
    }
    Ok(())
}

async fn copy_in(client: &Client, container: &str, path: &str, command: &Copy) -> Outcome {
    if command.source == "-" {
        return put(client, container, path, super::transfer::reader_body(Box::new(std::io::stdin()))).await;
    }
    let source = Path::new(&command.source);
    let meta = if command.follow_link { source.metadata() } else { source.symlink_metadata() };
    let meta = meta.with_context(|| format!("lstat {}", source.display()))?;
    let base = source.file_name().map_or_else(|| ".".to_string(), |name| name.to_string_lossy().into_owned());
    let content_only = command.source.ends_with("/.");
    let existing = stat(client, container, path).await?;
    let (directory, name) = match &existing {
        Some(stat) if is_directory(stat) && content_only => (path.to_string(), ".".to_string()),
        Some(stat) if is_directory(stat) => (path.to_string(), base),
        Some(_) if meta.is_dir() => return Err(Failure::new(1, "cannot copy directory to file")),
        _ if path.ends_with('/') && !meta.is_dir() => {
            return Err(Failure::new(1, format!("no such directory: {path}")));
        }
        _ => {
            let trimmed = path.trim_end_matches('/');
            let (parent, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
            (if parent.is_empty() { "/".into() } else { parent.to_string() }, name.to_string())
        }
    };
    put(client, container, &directory, archive_body(source.to_path_buf(), name, command.follow_link)?).await?;
    if !command.quiet {
        eprintln!("Successfully copied {} to {}", source.display(), command.destination);
    }
    Ok(())
}

async fn put(client: &Client, container: &str, directory: &str, body: connection::RequestBody) -> Outcome {
    let url = format!("/containers/{}/archive?path={}&noOverwriteDirNonDir=true", escape(container), escape(directory));
    client.stream(Method::PUT, &url, &[("content-type", "application/x-tar")], body).await?;
    Ok(())
}

/// A tar stream of `source` under `name`, made as it is sent.
fn archive_body(source: PathBuf, name: String, follow: bool) -> anyhow::Result<connection::RequestBody> {
    let (reader, writer) = std::io::pipe()?;
    std::thread::spawn(move || {
        let mut builder = tar::Builder::new(writer);
        builder.follow_symlinks(follow);
        let added = if source.is_dir() {
            builder.append_dir_all(&name, &source)
        } else {
            builder.append_path_with_name(&source, &name)
        };
        // an archive cut short is refused by the daemon
        if added.is_ok() {
            let _ = builder.finish();
        } else if let Err(error) = added {
            eprintln!("read {}: {error}", source.display());
        }
    });
    Ok(super::transfer::reader_body(Box::new(reader) as Box<dyn Read + Send>))
}
