//! Processes in containers and their standard streams, in the border's terms.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::{AttachSpec, Attachment, Engine, ExecSpec, ExecStart, WaitCondition};
use tokio::sync::{mpsc, oneshot};

use crate::pods::{Pods, error};
use crate::runtime::{Error, Exec, Future, Kind, Output, Result, Said, Session, Size, Streams};

/// Bytes of each output that are kept of a process that is waited for.
const SAID: usize = 1 << 20;
/// Pieces between a process and its client.
const PIECES: usize = 16;

impl Streams for Pods {
    fn exec<'a>(&'a self, id: &'a str, exec: Exec) -> Future<'a, Session> {
        Box::pin(async move {
            let spec = ExecSpec {
                tty: exec.tty,
                attach_stdin: exec.stdin,
                attach_stdout: exec.stdout,
                attach_stderr: exec.stderr,
                cmd: exec.command,
                ..ExecSpec::default()
            };
            let (process, attachment) = begin(&self.engine, id, spec).await?;
            let (exited, exit) = oneshot::channel();
            let (output, done) = pump(attachment.output);
            let resize = exec.tty.then(|| {
                let (engine, process) = (self.engine.clone(), process.clone());
                resizing(move |size| {
                    let (engine, process) = (engine.clone(), process.clone());
                    async move { engine.exec_resize(&process, size.height, size.width).await }
                })
            });
            let input = attachment.input.map(typing);
            tokio::spawn(look_after(self.engine.clone(), process, done, exited));
            Ok(Session { input, output, resize, exit })
        })
    }

    fn exec_sync<'a>(&'a self, id: &'a str, command: Vec<String>, timeout: Duration) -> Future<'a, Said> {
        Box::pin(async move {
            let spec = ExecSpec { attach_stdout: true, attach_stderr: true, cmd: command, ..ExecSpec::default() };
            let (process, mut attachment) = begin(&self.engine, id, spec).await?;
            let guard = Killing { engine: self.engine.clone(), process: Some(process.clone()) };
            let listening = async {
                let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
                while let Some((stream, bytes)) = attachment.output.next().await {
                    let into = match stream {
                        engine::Output::Stdout => &mut stdout,
                        engine::Output::Stderr => &mut stderr,
                    };
                    let room = SAID - into.len();
                    into.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                let code = self.engine.exec_wait(&process).await.map_err(error)?;
                Ok(Said { code, stdout: stdout.freeze(), stderr: stderr.freeze() })
            };
            // A timeout of zero means none, as in the interface of Kubernetes.
            let said = match timeout.is_zero() {
                true => listening.await,
                false => match tokio::time::timeout(timeout, listening).await {
                    Ok(said) => said,
                    Err(_) => {
                        let message = format!("the command did not end within {} s", timeout.as_secs_f64());
                        return Err(Error { kind: Kind::Unavailable, message });
                    }
                },
            };
            guard.over();
            said
        })
    }

    fn attach<'a>(&'a self, id: &'a str) -> Future<'a, Session> {
        Box::pin(async move {
            let view = self.engine.inspect(id, false).await.map_err(error)?;
            let waiting = self.engine.begin_wait(id, WaitCondition::NotRunning).await.map_err(error)?;
            let spec = AttachSpec {
                stdin: view.config.open_stdin,
                stdout: true,
                stderr: true,
                stream: true,
                ..AttachSpec::default()
            };
            let attachment = self.engine.attach(id, spec).await.map_err(error)?;
            let (output, done) = pump(attachment.output);
            let resize = view.config.tty.then(|| {
                let (engine, id) = (self.engine.clone(), view.id.clone());
                resizing(move |size| {
                    let (engine, id) = (engine.clone(), id.clone());
                    async move { engine.resize(&id, size.height, size.width).await }
                })
            });
            let input = attachment.input.map(typing);
            let (mut exited, exit) = oneshot::channel();
            tokio::spawn(async move {
                let ended = async {
                    let result = waiting.await;
                    // All output first.
                    let _ = done.await;
                    result
                };
                tokio::select! {
                    () = exited.closed() => {}
                    result = ended => {
                        // Who asked may have gone.
                        let _ = exited.send(Ok(result.exit_code));
                    }
                }
            });
            Ok(Session { input, output, resize, exit })
        })
    }
}

/// Starts a process in a container; tells its id.
async fn begin(engine: &Engine, container: &str, spec: ExecSpec) -> Result<(String, Attachment)> {
    let start = ExecStart { detach: false, tty: spec.tty, console_size: None };
    let process = engine.exec_create(container, spec).await.map_err(error)?;
    let attachment = engine.exec_run(&process, start).await.map_err(|failed| {
        let mut failed = error(failed);
        failed.message = format!("failed to exec in container: failed to start exec \"{process}\": {}", failed.message);
        failed
    })?;
    let nothing = || Error { kind: Kind::Internal, message: "a process without its streams".to_owned() };
    Ok((process, attachment.ok_or_else(nothing)?))
}

/// Kills a process unless it is told that there is no need.
struct Killing {
    engine: Engine,
    process: Option<String>,
}

impl Killing {
    fn over(mut self) {
        self.process = None;
    }
}

impl Drop for Killing {
    fn drop(&mut self) {
        if let (Some(process), Ok(runtime)) = (self.process.take(), tokio::runtime::Handle::try_current()) {
            let engine = self.engine.clone();
            runtime.spawn(async move { kill(&engine, &process).await });
        }
    }
}

async fn kill(engine: &Engine, process: &str) {
    if let Err(error) = engine.exec_kill(process).await {
        tracing::debug!(process, %error, "a process whose client has gone could not be killed");
    }
}

/// Tells the exit code of a process, or kills it when nobody waits for that any more.
async fn look_after(
    engine: Engine,
    process: String,
    output: oneshot::Receiver<()>,
    mut exited: oneshot::Sender<Result<i32>>,
) {
    let ended = async {
        let code = engine.exec_wait(&process).await;
        // All output first.
        let _ = output.await;
        code
    };
    tokio::select! {
        () = exited.closed() => kill(&engine, &process).await,
        code = ended => {
            // Who asked may have gone.
            let _ = exited.send(code.map_err(error));
        }
    }
}

/// Carries output to the client; what comes after it has gone is thrown away. Also tells when there is no more.
fn pump(mut from: engine::OutputStream) -> (mpsc::Receiver<(Output, Bytes)>, oneshot::Receiver<()>) {
    let (send, receive) = mpsc::channel(PIECES);
    let (done, over) = oneshot::channel();
    tokio::spawn(async move {
        while let Some((stream, bytes)) = from.next().await {
            let stream = match stream {
                engine::Output::Stdout => Output::Stdout,
                engine::Output::Stderr => Output::Stderr,
            };
            // Nobody listens any more: the process is not held back.
            let _ = send.send((stream, bytes)).await;
        }
        drop(send);
        let _ = done.send(());
    });
    (receive, over)
}

fn typing(sink: engine::InputSink) -> mpsc::Sender<Bytes> {
    let (send, mut receive) = mpsc::channel::<Bytes>(PIECES);
    tokio::spawn(async move {
        while let Some(bytes) = receive.recv().await {
            if sink.write(bytes).await.is_err() {
                return;
            }
        }
        sink.close();
    });
    send
}

fn resizing<F>(resize: impl Fn(Size) -> F + Send + 'static) -> mpsc::Sender<Size>
where
    F: std::future::Future<Output = engine::Result<()>> + Send,
{
    let (send, mut receive) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        while let Some(size) = receive.recv().await {
            if let Err(error) = resize(size).await {
                tracing::debug!(%error, "a terminal has not got its size");
            }
        }
    });
    send
}
