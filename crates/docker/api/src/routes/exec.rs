//! Processes started in running containers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docker_types::IdResponse;
use docker_types::exec as wire;
use engine::{ExecSpec, ExecStart, ExecState};
use http::StatusCode;

use crate::App;
use crate::body;
use crate::call::{Answer, Call, json, ok, status};
use crate::error::ApiError;
use crate::streams::hijack;

/// How long the end of a stream waits for the end of its process.
const PATIENCE: Duration = Duration::from_secs(2);

/// `POST /containers/{id}/exec`.
pub async fn create(call: Call) -> Answer {
    let (app, id) = (call.app.clone(), call.id());
    let request: wire::CreateRequest = call.json().await?;
    let cmd = request.cmd.unwrap_or_default();
    if cmd.is_empty() {
        return Err(ApiError::bad_request("no exec command specified"));
    }
    let spec = ExecSpec {
        user: request.user,
        privileged: request.privileged,
        tty: request.tty,
        console_size: request.console_size,
        attach_stdin: request.attach_stdin,
        attach_stdout: request.attach_stdout,
        attach_stderr: request.attach_stderr,
        detach_keys: Some(request.detach_keys).filter(|keys| !keys.is_empty()),
        env: request.env.unwrap_or_default(),
        working_dir: request.working_dir,
        cmd,
    };
    let id = app.engine.exec_create(&id, spec).await?;
    json(StatusCode::CREATED, &IdResponse { id })
}

/// `POST /exec/{id}/start`.
pub async fn start(call: Call) -> Answer {
    let id = call.id();
    let request: wire::StartRequest = body::read_json(&call.headers, call.body).await?;
    let start = ExecStart { detach: request.detach, tty: request.tty, console_size: request.console_size };
    match call.app.engine.exec_start(&id, start).await? {
        Some(attachment) => {
            let ended = ended(call.app.clone(), id);
            hijack::take_over(call.upgrade, call.switch, call.api, attachment, ended)
        }
        None => status(StatusCode::OK),
    }
}

/// Waits until the exit code is known; not for long, since a process may close its outputs and go on.
async fn ended(app: Arc<App>, id: String) {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(500);
    while Instant::now() < deadline {
        match app.engine.exec_inspect(&id).await {
            Ok(exec) if matches!(exec.state, ExecState::Running { .. }) => tokio::time::sleep(pause).await,
            Ok(_) | Err(_) => return,
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// `POST /exec/{id}/resize`.
pub async fn resize(call: Call) -> Answer {
    let (height, width) = super::output::size(&call)?;
    call.app.engine.exec_resize(call.param("id"), height, width).await?;
    status(StatusCode::OK)
}

/// `GET /exec/{id}/json`.
pub async fn inspect(call: Call) -> Answer {
    ok(&view(call.app.engine.exec_inspect(call.param("id")).await?))
}

fn view(exec: engine::Exec) -> wire::Inspect {
    let (running, exit_code, pid) = match exec.state {
        ExecState::Created => (false, None, 0),
        ExecState::Running { pid } => (true, None, pid),
        ExecState::Exited { pid, code } => (false, Some(code.into()), pid),
    };
    let mut words = exec.spec.cmd.into_iter();
    wire::Inspect {
        id: exec.id,
        running,
        exit_code,
        process_config: wire::ProcessConfig {
            tty: exec.spec.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: Some(words.collect()),
            privileged: Some(exec.spec.privileged),
            user: exec.spec.user,
        },
        open_stdin: exec.spec.attach_stdin,
        open_stderr: exec.spec.attach_stderr,
        open_stdout: exec.spec.attach_stdout,
        can_remove: !running && exit_code.is_some(),
        container_id: exec.container,
        detach_keys: exec.spec.detach_keys,
        pid: pid.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_null_until_there_is_one() {
        let shown = |state| {
            let exec = engine::Exec {
                id: "e".into(),
                container: "c".into(),
                spec: ExecSpec { cmd: vec!["ls".into(), "-l".into()], ..Default::default() },
                state,
            };
            serde_json::to_value(view(exec)).unwrap()
        };
        let running = shown(ExecState::Running { pid: 7 });
        assert_eq!(
            (&running["ExitCode"], &running["Pid"], &running["Running"]),
            (&serde_json::Value::Null, &7.into(), &true.into())
        );
        assert_eq!(
            running["ProcessConfig"],
            serde_json::json!({"tty": false, "entrypoint": "ls", "arguments": ["-l"], "privileged": false})
        );
        assert_eq!(shown(ExecState::Exited { pid: 7, code: 3 })["ExitCode"], 3);
    }
}
