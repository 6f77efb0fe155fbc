//! Exec and attach: a client's streams, and a process's.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use k8s_stream::{Outcome, Process, Wanted};
use pods::runtime::{self, Exec, Output, Session, State as Running};

use super::State;
use super::answer::{self, Body};
use super::route::{self, Query};

/// A process that a client wants.
pub struct Target {
    namespace: String,
    pod: String,
    container: String,
    what: What,
}

enum What {
    /// A new process of this command.
    Exec(Vec<String>),
    /// The container's own.
    Attach,
}

impl Target {
    /// A new process.
    pub fn exec(namespace: &str, pod: &str, container: &str, query: &Query) -> Target {
        let command = query.all("command").map(str::to_owned).collect();
        Target { what: What::Exec(command), ..Target::attach(namespace, pod, container) }
    }

    /// The container's own process.
    pub fn attach(namespace: &str, pod: &str, container: &str) -> Target {
        let owned = |text: &str| text.to_owned();
        Target { namespace: owned(namespace), pod: owned(pod), container: owned(container), what: What::Attach }
    }
}

/// Answers a request for a process's streams.
pub async fn serve(state: Arc<State>, request: Request<Incoming>, query: &Query, target: &Target) -> Response<Body> {
    let seen = match route::pod(&state, &target.namespace, &target.pod) {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    let found = seen.container(&target.container);
    // what the kubelet has seen may be older than what runs
    let found = match state.lookup.runtime().containers.list().await {
        Ok(all) => {
            let uid = found.map(|found| found.sandbox.clone()).or_else(|| seen.sandbox().map(|s| s.id.clone()));
            let own = all.into_iter().filter(|c| c.name == target.container && Some(&c.sandbox) == uid.as_ref());
            own.max_by_key(|container| container.attempt)
        }
        Err(_) => found.cloned(),
    };
    let Some(container) = found.filter(|container| matches!(container.state, Running::Running { .. })) else {
        let text = format!("container not found (\"{}\")", target.container);
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    };
    let tty = query.is_set(&["tty"]);
    let wanted = Wanted {
        stdin: query.is_set(&["input", "stdin"]),
        stdout: query.is_set(&["output", "stdout"]),
        stderr: query.is_set(&["error", "stderr"]) && !tty,
        tty,
    };
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return answer::text(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
    }
    let accepted = match Process::accept(request, wanted) {
        Ok(accepted) => accepted,
        Err(why) => return answer::refused(why),
    };
    let exec = match &target.what {
        What::Attach => None,
        What::Exec(command) => {
            let Wanted { stdin, stdout, stderr, tty } = wanted;
            Some(Exec { command: command.clone(), stdin, stdout, stderr, tty })
        }
    };
    tokio::spawn(async move {
        match accepted.opened.await {
            Ok(process) => run(&state, process, &container.id, exec).await,
            Err(error) => tracing::debug!(%error, "a client for a process was lost"),
        }
    });
    answer::switching(accepted.response)
}

async fn run(state: &State, process: Process, container: &str, exec: Option<Exec>) {
    let streams = &state.lookup.runtime().streams;
    let executes = exec.is_some();
    let starting = async {
        match exec {
            Some(exec) => streams.exec(container, exec).await,
            None => streams.attach(container).await,
        }
    };
    let gone = process.gone();
    let session = tokio::select! {
        session = starting => session,
        // whoever comes to be started for nobody ends with its session
        () = gone => return,
    };
    let what = if executes { "error executing command in container" } else { "error attaching to container" };
    let session = match session {
        Ok(session) => session,
        Err(error) => return process.finish(Outcome::Failed(format!("{what}: {error}"))).await,
    };
    let mut process = process;
    let (gone, ended) = (process.gone(), state.ended());
    let exit = tokio::select! {
        exit = carry(&mut process, session) => exit,
        () = gone => return,
        () = ended => return,
    };
    let outcome = match exit {
        // how the container ended is in its status
        Ok(_) if !executes => Outcome::Exited(0),
        Ok(code) => Outcome::Exited(code),
        Err(error) => Outcome::Failed(format!("{what}: {error}")),
    };
    process.finish(outcome).await;
}

/// Carries everything between a client and a process until the process has ended and all it said is on its way.
async fn carry(process: &mut Process, session: Session) -> runtime::Result<i32> {
    let Session { input, mut output, resize, exit } = session;
    let (stdin, sizes) = (process.stdin.take(), process.resize.take());
    let inputs = async {
        let Some(input) = input else { return };
        let Some(mut stdin) = stdin else { return };
        while let Some(piece) = stdin.recv().await {
            if input.send(piece).await.is_err() {
                return;
            }
        }
    };
    let resizes = async {
        let (Some(mut sizes), Some(resize)) = (sizes, resize) else { return };
        while let Some(size) = sizes.next().await {
            let size = runtime::Size { width: size.width, height: size.height };
            if resize.send(size).await.is_err() {
                return;
            }
        }
    };
    let outputs = async {
        while let Some((which, piece)) = output.recv().await {
            let writer = match which {
                Output::Stdout => process.stdout.as_mut(),
                Output::Stderr => process.stderr.as_mut(),
            };
            if let Some(writer) = writer {
                // a stream that the client gave up is no reason to stop the others
                let _ = writer.send(piece).await;
            }
        }
        exit.await
    };
    let idle = async {
        tokio::join!(inputs, resizes);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        exit = outputs => exit.unwrap_or_else(|_| Err(lost())),
        () = idle => Err(lost()),
    }
}

fn lost() -> runtime::Error {
    runtime::Error { kind: runtime::Kind::Internal, message: "the process was lost".to_owned() }
}
