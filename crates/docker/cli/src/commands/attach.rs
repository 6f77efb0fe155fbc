//! `attach` and `start`: a session of the user's streams with a container.

use crate::connection::{Answer, Client, RawStream, RequestError};
use crate::terminal::{self, DetachKeys, Input, RawMode};
use crate::{Failure, Outcome, connection, stream};
use anyhow::Context;
use clap::Args;
use http::Method;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{SignalKind, signal};

use super::escape;

#[derive(Args)]
pub(crate) struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    sig_proxy: bool,
    container: String,
}

#[derive(Args)]
pub(crate) struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short = 'a', long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Restore from this checkpoint
    #[arg(long)]
    checkpoint: Option<String>,
    #[arg(required = true)]
    containers: Vec<String>,
}

pub(super) async fn attach(command: Attach, client: Client) -> Outcome {
    let info = client.get(&format!("/containers/{}/json", escape(&command.container))).await?;
    if info["State"]["Running"] != true {
        return Err(Failure::new(1, "cannot attach to a stopped container, start it first"));
    }
    if info["State"]["Paused"] == true {
        return Err(Failure::new(1, "cannot attach to a paused container, unpause it first"));
    }
    let id = info["Id"].as_str().unwrap_or(&command.container).to_string();
    let tty = info["Config"]["Tty"] == true;
    let streams =
        Streams { stdin: !command.no_stdin && info["Config"]["OpenStdin"] == true, stdout: true, stderr: true, tty };
    let session = Session {
        client: client.clone(),
        id: id.clone(),
        streams,
        sig_proxy: command.sig_proxy && !tty,
        detach_keys: command.detach_keys,
    };
    let prepared = session.prepare().await?;
    let waiting = client.request(Method::POST, &format!("/containers/{id}/wait?condition=not-running"), None).await?;
    prepared.until_exit(waiting).await
}

pub(super) async fn start(command: Start, client: Client) -> Outcome {
    if command.checkpoint.is_some() {
        return Err(Failure::new(1, "sampan: checkpoints are unimplemented"));
    }
    if !command.attach && !command.interactive {
        let client = &client;
        return super::for_each(&command.containers, |name| async move {
            client.post(&format!("/containers/{}/start", escape(&name)), None).await.map(drop)
        })
        .await
        .map_err(|failure| {
            Failure::new(
                1,
                format!("{}\nError: failed to start containers: {}", failure.message, command.containers.join(", ")),
            )
        });
    }
    let [name] = command.containers.as_slice() else {
        return Err(Failure::new(1, "you cannot start and attach multiple containers at once"));
    };
    let info = client.get(&format!("/containers/{}/json", escape(name))).await?;
    let id = info["Id"].as_str().unwrap_or(name).to_string();
    let tty = info["Config"]["Tty"] == true;
    let stdin = command.interactive && info["Config"]["OpenStdin"] == true;
    let streams = Streams { stdin, stdout: true, stderr: true, tty };
    let session =
        Session { client: client.clone(), id: id.clone(), streams, sig_proxy: !tty, detach_keys: command.detach_keys };
    let prepared = session.prepare().await?;
    let condition = if info["HostConfig"]["AutoRemove"] == true { "removed" } else { "next-exit" };
    let waiting = client.request(Method::POST, &format!("/containers/{id}/wait?condition={condition}"), None).await?;
    if let Err(error) = client.post(&format!("/containers/{id}/start"), None).await {
        return Err(Failure::new(
            super::run::start_failure_code(&error),
            format!("{error}\nError: failed to start containers: {name}"),
        ));
    }
    prepared.until_exit(waiting).await
}

/// Which streams a session has.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// An attachment to be made.
pub(super) struct Session {
    pub client: Client,
    pub id: String,
    pub streams: Streams,
    pub sig_proxy: bool,
    pub detach_keys: Option<String>,
}

/// An attachment that stands; the container may be started now.
pub(super) struct Attached {
    session: Session,
    connection: RawStream,
}

impl Session {
    pub(super) async fn prepare(self) -> anyhow::Result<Attached> {
        let Streams { stdin, stdout, stderr, .. } = self.streams;
        let keys = escape(self.detach_keys.as_deref().unwrap_or(""));
        let path = format!(
            "/containers/{}/attach?stream=1&stdin={}&stdout={}&stderr={}&detachKeys={keys}",
            escape(&self.id),
            u8::from(stdin),
            u8::from(stdout),
            u8::from(stderr)
        );
        let connection = self.client.hijack(&path, None).await?;
        Ok(Attached { session: self, connection })
    }
}

impl Attached {
    /// Carries the streams until the container ends, and ends with its code.
    pub(super) async fn until_exit(self, waiting: Answer) -> Outcome {
        let Session { client, id, streams, sig_proxy, detach_keys } = self.session;
        let target = format!("/containers/{}", escape(&id));
        if sig_proxy {
            proxy_signals(client.clone(), target.clone());
        }
        match carry(self.connection, streams, detach_keys.as_deref(), &client, &target).await? {
            Ended::Detached => {
                eprintln!("read escape sequence");
                Ok(())
            }
            Ended::Output => {
                let status = connection::json(waiting).await?;
                if let Some(message) = status["Error"]["Message"].as_str().filter(|message| !message.is_empty()) {
                    return Err(Failure::new(125, message));
                }
                exit_code(&status["StatusCode"])
            }
        }
    }
}

/// An exit code from the daemon as ours.
pub(super) fn exit_code(code: &Value) -> Outcome {
    match code.as_i64().unwrap_or(125) as i32 {
        0 => Ok(()),
        code => Err(Failure::silent(code)),
    }
}

/// How a session of streams ended.
pub(super) enum Ended {
    Output,
    Detached,
}

/// Copies input and output between the user and `connection`; `target` is what is resized.
pub(super) async fn carry(
    connection: RawStream,
    streams: Streams,
    detach_keys: Option<&str>,
    client: &Client,
    target: &str,
) -> anyhow::Result<Ended> {
    let (reader, writer) = tokio::io::split(connection);
    let terminal_in = streams.stdin && terminal::stdin_is_terminal();
    let raw = if streams.tty && terminal_in { Some(RawMode::enter()?) } else { None };
    if streams.tty {
        follow_size(client.clone(), target.to_string());
    }
    let configured = client.config().file["detachKeys"].as_str();
    let keys = detach_keys.or(configured).unwrap_or("ctrl-p,ctrl-q");
    let keys = if streams.tty && terminal_in { Some(DetachKeys::parse(keys)?) } else { None };
    let mut output = std::pin::pin!(output(reader, streams.tty));
    let ended = if streams.stdin {
        tokio::select! {
            result = &mut output => result.map(|()| Ended::Output),
            ended = input(writer, keys) => match ended {
                Ended::Detached => Ok(Ended::Detached),
                Ended::Output => output.await.map(|()| Ended::Output),
            }
        }
    } else {
        let result = output.await.map(|()| Ended::Output);
        drop(writer);
        result
    };
    drop(raw);
    ended.context("read the container's output")
}

async fn output(reader: ReadHalf<RawStream>, tty: bool) -> std::io::Result<()> {
    if tty { stream::copy_raw(reader).await } else { stream::demultiplex(reader).await }
}

/// Sends standard input; its end closes our half of the connection. A container that no longer reads is no error.
async fn input(mut writer: WriteHalf<RawStream>, keys: Option<DetachKeys>) -> Ended {
    let mut input = terminal::input(keys);
    while let Some(piece) = input.recv().await {
        match piece {
            Input::Detach => return Ended::Detached,
            Input::Bytes(bytes) => {
                if writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = writer.shutdown().await;
    Ended::Output
}

/// Tells the daemon the terminal's size now and whenever it changes.
fn follow_size(client: Client, target: String) {
    tokio::spawn(async move {
        let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
        loop {
            if let Some((height, width)) = terminal::size() {
                let path = format!("{target}/resize?h={height}&w={width}");
                // the container may not have started yet: a few tries, as it takes milliseconds
                for _ in 0..10 {
                    match client.post(&path, None).await {
                        Ok(_) => break,
                        Err(RequestError::Refused { .. }) => {
                            tokio::time::sleep(std::time::Duration::from_millis(20)).await
                        }
                        Err(_) => return,
                    }
                }
            }
            if changes.recv().await.is_none() {
                return;
            }
        }
    });
}

/// Hands the signals that end programs on to the container.
fn proxy_signals(client: Client, target: String) {
    let kinds = [
        (SignalKind::interrupt(), "INT"),
        (SignalKind::terminate(), "TERM"),
        (SignalKind::hangup(), "HUP"),
        (SignalKind::quit(), "QUIT"),
        (SignalKind::user_defined1(), "USR1"),
        (SignalKind::user_defined2(), "USR2"),
    ];
    for (kind, name) in kinds {
        let (client, target) = (client.clone(), target.clone());
        let Ok(mut signals) = signal(kind) else { continue };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if let Err(error) = client.post(&format!("{target}/kill?signal={name}"), None).await {
                    report_lost_signal(&error);
                }
            }
        });
    }
}

/// A signal that could not be handed on: the user should know, the session goes on.
fn report_lost_signal(error: &RequestError) {
    eprintln!("Error sending signal: {error}");
}
