//! Connections between clients and processes.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use supervisor::{ProcessKey, Streams};
use tokio::sync::{mpsc, oneshot};

use crate::Engine;
use crate::containers::Attaching;
use crate::error::{Error, Result};
use crate::model::stream::{AttachSpec, Attachment, InputSink, LogQuery, Output, OutputStream};
use crate::model::view::Status;

impl Engine {
    pub async fn attach(&self, container: &str, spec: AttachSpec) -> Result<Attachment> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        let keys = match &spec.detach_keys {
            Some(text) => DetachKeys::parse(text)
                .ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))?,
            None => DetachKeys::default(),
        };
        match record.state.status() {
            Status::Paused => {
                return Err(Error::conflict(format!(
                    "container {container} is paused, unpause the container before attach"
                )));
            }
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "container {container} is restarting, wait until the container is running"
                )));
            }
            Status::Created | Status::Running | Status::Removing | Status::Exited | Status::Dead => {}
        }
        let streams = Streams {
            stdin: spec.stdin && record.config.open_stdin,
            stdout: spec.stdout,
            stderr: spec.stderr && !record.tty(),
        };
        let (ready, waiting) = oneshot::channel();
        if spec.stream {
            if record.state.is_live() {
                let key = ProcessKey::container(record.id.clone());
                // Nobody has had the chance to drop the other end.
                let _ = ready.send(self.inner.supervisor.attach(&key, streams).await?);
            } else {
                let attaching = Attaching { streams, ready };
                handle.attaching.lock().unwrap_or_else(PoisonError::into_inner).push(attaching);
            }
        } else {
            drop(ready);
        }
        let past = match spec.logs {
            true => {
                let query = LogQuery { stdout: spec.stdout, stderr: spec.stderr, ..LogQuery::default() };
                Some(self.logs(container, query).await?)
            }
            false => None,
        };
        let (send, output) = mpsc::channel(16);
        let (input, typed) = mpsc::channel(16);
        let detach = record.tty().then_some(keys);
        let once = record.config.stdin_once;
        let told = (self.clone(), record.clone());
        tokio::spawn(async move {
            if let Some(mut past) = past {
                while let Some(Ok(line)) = past.next().await {
                    if send.send((line.output, line.line)).await.is_err() {
                        return;
                    }
                }
            }
            let attachment = tokio::select! {
                attachment = waiting => attachment,
                () = send.closed() => return,
            };
            if let Ok(attachment) = attachment {
                let end = connect(attachment, send, streams.stdin.then_some(typed), detach, once).await;
                if end == End::Detached {
                    told.0.inner.tell(&told.1, "detach", &[]);
                }
            }
        });
        self.inner.tell(&record, "attach", &[]);
        Ok(Attachment {
            tty: record.tty(),
            output: OutputStream(output),
            input: streams.stdin.then_some(InputSink(input)),
        })
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process has no more to say.
    Finished,
    /// The client left by the detach keys.
    Detached,
    /// The client is gone.
    Gone,
}

/// Carries bytes both ways until one side ends. `once`: the end of the input ends the process's input.
pub async fn connect(
    mut attachment: supervisor::Attachment,
    to: mpsc::Sender<(Output, Bytes)>,
    from: Option<mpsc::Receiver<Bytes>>,
    detach: Option<DetachKeys>,
    once: bool,
) -> End {
    let input = attachment.input();
    let (left, detached) = oneshot::channel::<()>();
    let typing = tokio::spawn(async move {
        let (Some(mut from), Some(input)) = (from, input) else {
            return std::future::pending().await;
        };
        let mut keys = detach;
        while let Some(bytes) = from.recv().await {
            let (pass, leave) = match &mut keys {
                Some(keys) => keys.filter(&bytes),
                None => (bytes, false),
            };
            if !pass.is_empty() && input.write(&pass).await.is_err() {
                break;
            }
            if leave {
                // The receiver lives as long as the connection.
                let _ = left.send(());
                return std::future::pending().await;
            }
        }
        if once && let Err(error) = input.close().await {
            tracing::debug!(%error, "the input of a process was closed already");
        }
        std::future::pending::<()>().await;
    });
    let telling = async {
        loop {
            match attachment.read().await {
                Ok(Some((stream, bytes))) => {
                    let stream = match stream {
                        supervisor::Stream::Stdout => Output::Stdout,
                        supervisor::Stream::Stderr => Output::Stderr,
                    };
                    if to.send((stream, Bytes::from(bytes))).await.is_err() {
                        return End::Gone;
                    }
                }
                Ok(None) => return End::Finished,
                Err(error) => {
                    tracing::debug!(%error, "an attachment ended early");
                    return End::Finished;
                }
            }
        }
    };
    let gone = async {
        to.closed().await;
        // What the client sent last still reaches the process.
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let end = tokio::select! {
        end = telling => end,
        Ok(()) = detached => End::Detached,
        () = gone => End::Gone,
    };
    typing.abort();
    end
}

/// The keys that leave a terminal, and how much of them has come.
#[derive(Debug, Clone)]
pub struct DetachKeys {
    keys: Vec<u8>,
    seen: usize,
}

impl Default for DetachKeys {
    fn default() -> DetachKeys {
        DetachKeys { keys: vec![16, 17], seen: 0 }
    }
}

impl DetachKeys {
    /// `ctrl-p,ctrl-q`, `a,b`; empty means the default ones.
    pub fn parse(text: &str) -> Option<DetachKeys> {
        if text.is_empty() {
            return Some(DetachKeys::default());
        }
        let mut keys = Vec::new();
        for word in text.split(',') {
            keys.push(match word.strip_prefix("ctrl-") {
                Some(key) => match key.as_bytes() {
                    [key @ b'a'..=b'z'] => key - b'a' + 1,
                    [b'@'] => 0,
                    [key @ (b'[' | b'\\' | b']' | b'^' | b'_')] => key - b'[' + 27,
                    _ => return None,
                },
                None => match word.as_bytes() {
                    [key] => *key,
                    _ => return None,
                },
            });
        }
        Some(DetachKeys { keys, seen: 0 })
    }

    /// What of the bytes goes on to the process, and whether the keys are complete.
    fn filter(&mut self, bytes: &[u8]) -> (Bytes, bool) {
        let mut pass = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return (pass.into(), true);
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(self.keys.first() == Some(byte));
            if self.seen == 0 {
                pass.push(*byte);
            }
        }
        (pass.into(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_across_pieces_and_everything_else_passes() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ab\x10"), (Bytes::from("ab"), false));
        assert_eq!(keys.filter(b"c"), (Bytes::from("\x10c"), false));
        assert_eq!(keys.filter(b"\x10\x10"), (Bytes::from("\x10"), false));
        assert_eq!(keys.filter(b"\x11x"), (Bytes::new(), true));
        assert!(DetachKeys::parse("ctrl-a,b").is_some());
        assert!(DetachKeys::parse("ctrl-aa").is_none());
    }
}
