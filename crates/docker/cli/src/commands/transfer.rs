//! Verbs that move images: pull, push, load, save, import, export, commit.

use crate::connection::{self, Answer, Client, RequestBody};
use crate::{Failure, Outcome, progress};
use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use super::escape;

#[derive(Args)]
pub(crate) struct Pull {
    /// Download all tagged images in the repository
    #[arg(short = 'a', long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    image: String,
}

#[derive(Args)]
pub(crate) struct Push {
    /// Push all tags of an image to the repository
    #[arg(short = 'a', long)]
    all_tags: bool,
    /// Suppress verbose output
    #[arg(short = 'q', long)]
    quiet: bool,
    image: String,
}

#[derive(Args)]
pub(crate) struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short = 'i', long)]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short = 'q', long)]
    quiet: bool,
}

#[derive(Args)]
pub(crate) struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long)]
    output: Option<PathBuf>,
    #[arg(required = true)]
    images: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short = 'c', long)]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short = 'm', long)]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// file|URL|-
    source: String,
    /// REPOSITORY[:TAG]
    repository: Option<String>,
}

#[derive(Args)]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long)]
    output: Option<PathBuf>,
    container: String,
}

#[derive(Args)]
pub(crate) struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short = 'a', long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short = 'c', long)]
    change: Vec<String>,
    /// Commit message
    #[arg(short = 'm', long)]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short = 'p', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pause: bool,
    container: String,
    /// REPOSITORY[:TAG]
    repository: Option<String>,
}

/// Name and tag or digest of a reference.
pub(super) fn split_reference(reference: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, Some(digest));
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, None),
    }
}

pub(super) async fn pull(command: Pull, client: Client) -> Outcome {
    let (name, tag) = split_reference(&command.image);
    let tag = if command.all_tags { "" } else { tag.unwrap_or("latest") };
    if !command.quiet && !command.all_tags && split_reference(&command.image).1.is_none() {
        println!("Using default tag: latest");
    }
    let path = format!(
        "/images/create?fromImage={}&tag={}&platform={}",
        escape(name),
        escape(tag),
        escape(command.platform.as_deref().unwrap_or(""))
    );
    let auth = client.config().registry_auth(&command.image);
    let answer = client.stream(Method::POST, &path, &[("x-registry-auth", &auth)], connection::empty()).await?;
    progress::show(answer, command.quiet).await?;
    println!("{}", full_reference(name, tag));
    Ok(())
}

/// The reference with everything that is implied.
fn full_reference(name: &str, tag: &str) -> String {
    let has_host = name.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let prefix = if has_host {
        ""
    } else if name.contains('/') {
        "docker.io/"
    } else {
        "docker.io/library/"
    };
    let separator = if tag.contains(':') { "@" } else { ":" };
    format!("{prefix}{name}{}", if tag.is_empty() { String::new() } else { format!("{separator}{tag}") })
}

pub(super) async fn push(command: Push, client: Client) -> Outcome {
    let (name, tag) = split_reference(&command.image);
    let tag = if command.all_tags { "" } else { tag.unwrap_or("latest") };
    if !command.quiet && !command.all_tags && split_reference(&command.image).1.is_none() {
        println!("Using default tag: latest");
    }
    let auth = client.config().registry_auth(&command.image);
    let path = format!("/images/{}/push?tag={}", escape(name), escape(tag));
    let answer = client.stream(Method::POST, &path, &[("x-registry-auth", &auth)], connection::empty()).await?;
    progress::show(answer, command.quiet).await?;
    if command.quiet {
        println!("{}", full_reference(name, tag));
    }
    Ok(())
}

pub(super) async fn load(command: Load, client: Client) -> Outcome {
    if command.input.is_none() && std::io::stdin().is_terminal() {
        return Err(Failure::new(1, "requested load from stdin, but stdin is empty"));
    }
    let body = file_body(command.input.as_deref())?;
    let path = format!("/images/load?quiet={}", u8::from(command.quiet));
    let answer = client.stream(Method::POST, &path, &[("content-type", "application/x-tar")], body).await?;
    progress::show(answer, false).await?;
    Ok(())
}

pub(super) async fn save(command: Save, client: Client) -> Outcome {
    let names: Vec<String> = command.images.iter().map(|name| format!("names={}", escape(name))).collect();
    let answer = client.request(Method::GET, &format!("/images/get?{}", names.join("&")), None).await?;
    write_body(answer, command.output.as_deref()).await
}

pub(super) async fn export(command: Export, client: Client) -> Outcome {
    let answer =
        client.request(Method::GET, &format!("/containers/{}/export", escape(&command.container)), None).await?;
    write_body(answer, command.output.as_deref()).await
}

pub(super) async fn import(command: Import, client: Client) -> Outcome {
    let (name, tag) = command.repository.as_deref().map_or(("", None), split_reference);
    let mut path = format!("/images/create?repo={}&tag={}", escape(name), escape(tag.unwrap_or("")));
    command.change.iter().for_each(|change| path.push_str(&format!("&changes={}", escape(change))));
    path.push_str(&format!(
        "&message={}&platform={}",
        escape(command.message.as_deref().unwrap_or("")),
        escape(command.platform.as_deref().unwrap_or(""))
    ));
    let body = if command.source.contains("://") {
        path.push_str(&format!("&fromSrc={}", escape(&command.source)));
        connection::empty()
    } else {
        path.push_str("&fromSrc=-");
        file_body((command.source != "-").then_some(Path::new(&command.source)))?
    };
    let answer = client.stream(Method::POST, &path, &[("content-type", "application/x-tar")], body).await?;
    progress::show(answer, false).await?;
    Ok(())
}

pub(super) async fn commit(command: Commit, client: Client) -> Outcome {
    let (name, tag) = command.repository.as_deref().map_or(("", None), split_reference);
    let mut path = format!(
        "/commit?container={}&repo={}&tag={}&author={}&comment={}&pause={}",
        escape(&command.container),
        escape(name),
        escape(tag.unwrap_or("")),
        escape(command.author.as_deref().unwrap_or("")),
        escape(command.message.as_deref().unwrap_or("")),
        u8::from(command.pause),
    );
    command.change.iter().for_each(|change| path.push_str(&format!("&changes={}", escape(change))));
    let answer = client.post(&path, Some(&json!({}))).await?;
    println!("{}", answer["Id"].as_str().unwrap_or(""));
    Ok(())
}

/// A file or standard input as a request's body, read by a thread a piece ahead of the connection.
pub(super) fn file_body(path: Option<&Path>) -> anyhow::Result<RequestBody> {
    let source: Box<dyn Read + Send> = match path {
        Some(path) => Box::new(std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?),
        None => Box::new(std::io::stdin()),
    };
    Ok(reader_body(source))
}

/// Anything that can be read as a request's body.
pub(super) fn reader_body(mut source: Box<dyn Read + Send>) -> RequestBody {
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Frame<Bytes>>>(2);
    std::thread::spawn(move || {
        loop {
            let mut piece = vec![0; 256 * 1024];
            let read = match source.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) => {
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            };
            piece.truncate(read);
            if sender.blocking_send(Ok(Frame::data(piece.into()))).is_err() {
                return;
            }
        }
    });
    let frames =
        futures_util::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    // the stream is read by one task only; the box asks for more than that
    BodyExt::boxed(SyncBody(StreamBody::new(Box::pin(frames))))
}

/// A body that is polled through `&mut` alone, and so may be shared.
struct SyncBody<B>(B);

impl<B: hyper::body::Body + Unpin> hyper::body::Body for SyncBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }
}

/// Writes an archive to a file or to standard output, which must not be a terminal. A file appears only whole.
pub(super) async fn write_body(answer: Answer, path: Option<&Path>) -> Outcome {
    let Some(path) = path else {
        if std::io::stdout().is_terminal() {
            return Err(Failure::new(1, "cowardly refusing to save to a terminal. Use the -o flag or redirect"));
        }
        return Ok(copy(answer, &mut std::io::stdout().lock()).await?);
    };
    let part =
        path.with_file_name(format!(".{}.part", path.file_name().and_then(|name| name.to_str()).unwrap_or("archive")));
    let mut file = std::fs::File::create(&part).with_context(|| format!("create {}", part.display()))?;
    let result = async {
        copy(answer, &mut file).await?;
        std::fs::rename(&part, path).with_context(|| format!("rename to {}", path.display()))
    }
    .await;
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    Ok(result?)
}

async fn copy(answer: Answer, to: &mut impl Write) -> anyhow::Result<()> {
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.context("read the archive")?.into_data() {
            to.write_all(&data).context("write the archive")?;
        }
    }
    to.flush().context("write the archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_split_and_complete() {
        assert_eq!(split_reference("debian:12"), ("debian", Some("12")));
        assert_eq!(split_reference("127.0.0.1:5000/debian"), ("127.0.0.1:5000/debian", None));
        assert_eq!(split_reference("a@sha256:00"), ("a", Some("sha256:00")));
        assert_eq!(full_reference("debian", "12"), "docker.io/library/debian:12");
        assert_eq!(full_reference("127.0.0.1:5000/debian", "12"), "127.0.0.1:5000/debian:12");
    }
}
