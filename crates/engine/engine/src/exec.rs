//! Processes started in running containers.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use supervisor::{ExecRequest, Io, ProcessKey, Streams, WindowSize};
use tokio::sync::{mpsc, watch};

use crate::attach::{DetachKeys, connect};
use crate::compose::document::{self, ExecProcess};
use crate::compose::users::{self, Who};
use crate::engine::{Inner, blocking, file_error};
use crate::error::{Error, Result};
use crate::model::exec::{Exec, ExecSpec, ExecStart, ExecState};
use crate::model::stream::{Attachment, InputSink, Output, OutputStream};
use crate::model::view::Status;
use crate::record::Record;
use crate::{Engine, names, root};

/// How long the exit code of a process can be asked for, at most as long as its container runs.
const REMEMBERED: Duration = Duration::from_secs(300);

/// A process in the table.
pub struct Entry {
    exec: Mutex<Exec>,
    /// Its exit code, once it has ended.
    ended: watch::Sender<Option<i32>>,
}

impl Entry {
    pub fn exec(&self) -> MutexGuard<'_, Exec> {
        self.exec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, code: i32) {
        self.ended.send_replace(Some(code));
    }
}

impl Inner {
    /// A process ended.
    pub fn exec_ended(&self, id: &str, exit: supervisor::Exit) {
        let Some(entry) = self.exec_entry(id) else {
            return;
        };
        let code = exit.status.code();
        let container = {
            let mut exec = entry.exec();
            let pid = match exec.state {
                ExecState::Running { pid } | ExecState::Exited { pid, .. } => pid,
                ExecState::Created => 0,
            };
            exec.state = ExecState::Exited { pid, code };
            exec.container.clone()
        };
        entry.end(code);
        if let Some(handle) = self.containers.get(&container) {
            let more = [("execID", id.to_owned()), ("exitCode", code.to_string())];
            self.tell(&handle.record(), "exec_die", &more);
        }
        let (table, supervisor) = (self.execs.clone(), self.supervisor.clone());
        let key = ProcessKey::exec(container, id);
        tokio::spawn(async move {
            if let Err(error) = supervisor.delete(&key).await {
                tracing::debug!(%key, %error, "an ended process was forgotten already");
            }
            tokio::time::sleep(REMEMBERED).await;
            if let Some(id) = &key.exec {
                table.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            }
        });
    }

    /// The container ended, and its processes with it; their exit codes can still be asked for.
    pub fn end_execs(&self, container: &str) {
        let execs = self.execs.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in execs.values() {
            let mut exec = entry.exec();
            if let (true, ExecState::Running { pid }) = (exec.container == container, exec.state) {
                let code = 128 + crate::signals::KILL;
                exec.state = ExecState::Exited { pid, code };
                entry.end(code);
            }
        }
    }

    /// The container is gone.
    pub fn forget_execs(&self, container: &str) {
        let mut execs = self.execs.lock().unwrap_or_else(PoisonError::into_inner);
        execs.retain(|_, entry| entry.exec().container != container);
    }

    pub fn exec_entry(&self, id: &str) -> Option<Arc<Entry>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Ids of the processes of a container that are not over.
    pub fn execs_of(&self, container: &str) -> Vec<String> {
        let execs = self.execs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<String> = execs
            .values()
            .filter_map(|entry| {
                let exec = entry.exec();
                let over = matches!(exec.state, ExecState::Exited { .. });
                (exec.container == container && !over).then(|| exec.id.clone())
            })
            .collect();
        ids.sort();
        ids
    }
}

impl Engine {
    /// Id of the new process.
    pub async fn exec_create(&self, container: &str, spec: ExecSpec) -> Result<String> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        check_running(&record)?;
        if spec.cmd.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        if let Some(keys) = &spec.detach_keys
            && DetachKeys::parse(keys).is_none()
        {
            return Err(Error::invalid(format!("Invalid escape keys ({keys}) provided")));
        }
        let id = names::random_id()?;
        let action = format!("exec_create: {}", spec.cmd.join(" "));
        let exec = Exec { id: id.clone(), container: record.id.clone(), spec, state: ExecState::Created };
        let entry = Arc::new(Entry { exec: Mutex::new(exec), ended: watch::Sender::new(None) });
        self.inner.execs.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), entry);
        self.inner.tell(&record, action, &[("execID", id.clone())]);
        Ok(id)
    }

    /// `None` when detached. To whoever is attached a command that cannot be started says so in its output, as Docker has it.
    pub async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        let detach = start.detach;
        match self.exec_begin(exec, start).await {
            Err(NotBegun::Refused(error)) => Err(error),
            Err(NotBegun::Failed(error, tty)) if !detach => Ok(Some(failure(&error, tty).await)),
            Err(NotBegun::Failed(error, _)) => Err(error),
            Ok(attachment) => Ok(attachment),
        }
    }

    /// As [`Engine::exec_start`], but a command that cannot be started is an error.
    pub async fn exec_run(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        match self.exec_begin(exec, start).await {
            Err(NotBegun::Refused(error) | NotBegun::Failed(error, _)) => Err(error),
            Ok(attachment) => Ok(attachment),
        }
    }

    async fn exec_begin(&self, exec: &str, start: ExecStart) -> std::result::Result<Option<Attachment>, NotBegun> {
        let entry = self.find_exec(exec)?;
        let (id, container, spec) = {
            let exec = entry.exec();
            match exec.state {
                ExecState::Created => {}
                ExecState::Running { .. } => {
                    return Err(Error::conflict(format!("exec command {} is already running", exec.id)).into());
                }
                ExecState::Exited { .. } => {
                    return Err(Error::conflict(format!("exec command {} has already run", exec.id)).into());
                }
            }
            (exec.id.clone(), exec.container.clone(), exec.spec.clone())
        };
        let record = self.inner.containers.find(&container)?.record();
        check_running(&record)?;
        let streams = Streams {
            stdin: !start.detach && spec.attach_stdin,
            stdout: !start.detach && spec.attach_stdout,
            stderr: !start.detach && spec.attach_stderr && !spec.tty,
        };
        let attach = (!start.detach).then_some(streams);
        let size = start.console_size.or(spec.console_size);
        let request = self.request(&record, &id, &spec, attach, size).await?;
        self.inner.tell(&record, format!("exec_start: {}", spec.cmd.join(" ")), &[("execID", id.clone())]);
        // Before the process exists: its end may be told before its start is answered.
        entry.exec().state = ExecState::Running { pid: 0 };
        let created = match self.inner.supervisor.exec(request).await {
            Ok(created) => created,
            Err(error) => {
                let error = Error::from(error).prefixed("OCI runtime exec failed: exec failed: ");
                let code = error.exit_code().unwrap_or(126);
                entry.exec().state = ExecState::Exited { pid: 0, code };
                entry.end(code);
                return Err(NotBegun::Failed(error, spec.tty));
            }
        };
        {
            let mut exec = entry.exec();
            match &mut exec.state {
                ExecState::Running { pid } | ExecState::Exited { pid, .. } => *pid = created.pid,
                ExecState::Created => {}
            }
        }
        let Some(attachment) = created.attachment else {
            return Ok(None);
        };
        let keys = spec.detach_keys.as_deref().and_then(DetachKeys::parse).unwrap_or_default();
        let (send, output) = mpsc::channel(16);
        let (input, typed) = mpsc::channel(16);
        let typed = streams.stdin.then_some(typed);
        tokio::spawn(connect(attachment, send, typed, spec.tty.then_some(keys), true));
        Ok(Some(Attachment {
            tty: spec.tty,
            output: OutputStream(output),
            input: streams.stdin.then_some(InputSink(input)),
        }))
    }

    /// Its exit code, when it has ended.
    pub async fn exec_wait(&self, exec: &str) -> Result<i32> {
        let mut ended = self.find_exec(exec)?.ended.subscribe();
        let code = ended.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        code.ok_or_else(|| Error::not_found(format!("No such exec instance: {exec}")))
    }

    /// Kills a process and its process group, if it still runs.
    pub async fn exec_kill(&self, exec: &str) -> Result<()> {
        let entry = self.find_exec(exec)?;
        let (container, pid) = {
            let exec = entry.exec();
            match exec.state {
                ExecState::Running { pid } => (exec.container.clone(), pid),
                ExecState::Created | ExecState::Exited { .. } => return Ok(()),
            }
        };
        // It leads a session of its own; what it has started in its group goes with it.
        if let Some(group) = rustix::process::Pid::from_raw(pid) {
            // The process holds its number until it is reaped, which is told before it is forgotten.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        match self.inner.supervisor.kill(&ProcessKey::exec(container, exec), crate::signals::KILL).await {
            Err(error) if entry.ended.borrow().is_none() => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub async fn exec_inspect(&self, exec: &str) -> Result<Exec> {
        Ok(self.find_exec(exec)?.exec().clone())
    }

    pub async fn exec_resize(&self, exec: &str, height: u16, width: u16) -> Result<()> {
        let key = {
            let entry = self.find_exec(exec)?;
            let exec = entry.exec();
            match exec.state {
                ExecState::Running { .. } => ProcessKey::exec(exec.container.clone(), exec.id.clone()),
                ExecState::Created | ExecState::Exited { .. } => {
                    return Err(Error::invalid("exec process is not started"));
                }
            }
        };
        Ok(self.inner.supervisor.resize(&key, WindowSize { rows: height, columns: width }).await?)
    }

    /// What the supervisor is asked for.
    pub(crate) async fn request(
        &self,
        record: &Record,
        id: &str,
        spec: &ExecSpec,
        attach: Option<Streams>,
        size: Option<[u32; 2]>,
    ) -> Result<ExecRequest> {
        let who = self.who(record, &spec.user).await?;
        let process = ExecProcess {
            args: spec.cmd.clone(),
            env: &spec.env,
            cwd: &spec.working_dir,
            tty: spec.tty,
            privileged: spec.privileged,
            who: &who,
            no_new_privileges: self.inner.config.no_new_privileges,
        };
        let size = size.and_then(|[height, width]| {
            let (rows, columns) = (u16::try_from(height).ok()?, u16::try_from(width).ok()?);
            (rows > 0 && columns > 0).then_some(WindowSize { rows, columns })
        });
        Ok(ExecRequest {
            container: record.id.clone(),
            exec: id.to_owned(),
            process: document::exec(record, &process)?,
            seccomp: document::exec_seccomp(record, spec.privileged, self.inner.seccomp_profile.as_deref())?,
            io: match spec.tty {
                true => Io::Terminal { size },
                false => Io::Pipes { stdin: attach.is_some_and(|it| it.stdin) },
            },
            attach,
        })
    }

    /// The user of a process, looked up in the running container's own files.
    async fn who(&self, record: &Record, user: &str) -> Result<Who> {
        let user = if user.is_empty() { record.config.user.clone() } else { user.to_owned() };
        let groups = record.host.group_add.clone();
        let member = record.pod.as_ref().map(|it| it.groups);
        let pid = record.state.pid().unwrap_or(0);
        blocking(move || {
            let path = format!("/proc/{pid}/root");
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(path.as_str(), flags, Mode::empty())
                .map_err(|error| file_error("open", path.as_ref(), error.into()))?;
            let passwd = root::read(root.as_fd(), "/etc/passwd")?;
            let group = root::read(root.as_fd(), "/etc/group")?;
            match member {
                Some(policy) => users::resolve_member(&user, &groups, policy, &passwd, &group),
                None => users::resolve(&user, &groups, &passwd, &group),
            }
        })
        .await
    }

    fn find_exec(&self, id: &str) -> Result<Arc<Entry>> {
        self.inner.exec_entry(id).ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }
}

/// Why a command does not run.
enum NotBegun {
    /// It was not tried.
    Refused(Error),
    /// It cannot be started; whether it was to have a terminal.
    Failed(Error, bool),
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> NotBegun {
        NotBegun::Refused(error)
    }
}

/// Docker tells who is attached on the connection itself why the process did not start.
async fn failure(error: &Error, tty: bool) -> Attachment {
    let (send, output) = mpsc::channel(1);
    let text = format!("{}\r\n", error.message());
    // The other end is in hand.
    let _ = send.send((Output::Stdout, text.into())).await;
    Attachment { tty, output: OutputStream(output), input: None }
}

fn check_running(record: &Record) -> Result<()> {
    match record.state.status() {
        Status::Running => Ok(()),
        Status::Paused => {
            Err(Error::conflict(format!("Container {} is paused, unpause the container before exec", record.id)))
        }
        Status::Restarting => {
            Err(Error::conflict(format!("Container {} is restarting, wait until the container is running", record.id)))
        }
        Status::Created | Status::Removing | Status::Exited | Status::Dead => {
            Err(Error::conflict(format!("container {} is not running", record.id)))
        }
    }
}
