//! `run`: create, attach, start, and end as the container ends.

use crate::connection::{Client, RequestError};
use crate::create_options::CreateOptions;
use crate::{Failure, Outcome};
use clap::Args;
use http::Method;

use super::attach::{Session, Streams};
use super::create::create_container;

#[derive(Args)]
pub(crate) struct Run {
    /// Run container in background and print container ID
    #[arg(short = 'd', long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    sig_proxy: bool,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) async fn run(command: Run, client: Client) -> Outcome {
    let options = &command.options;
    let usage = |error: anyhow::Error| Failure::new(125, format!("sampan: {error:#}"));
    let attached = options.attached(command.detach).map_err(usage)?;
    if options.tty && attached[0] && !crate::terminal::stdin_is_terminal() {
        return Err(Failure::new(1, "the input device is not a TTY"));
    }
    let id = create_container(options, attached, &client).await?;
    if attached == [false; 3] {
        start(&client, &id, options.rm).await?;
        println!("{id}");
        return Ok(());
    }
    let streams = Streams { stdin: attached[0], stdout: attached[1], stderr: attached[2], tty: options.tty };
    let session = Session {
        client: client.clone(),
        id: id.clone(),
        streams,
        sig_proxy: command.sig_proxy && !options.tty,
        detach_keys: command.detach_keys,
    };
    let prepared = session.prepare().await.map_err(|error| Failure::new(125, format!("sampan: {error:#}")))?;
    let condition = if options.rm { "removed" } else { "next-exit" };
    // asked for before the start, so that even the shortest life is seen to end
    let waiting = client.request(Method::POST, &format!("/containers/{id}/wait?condition={condition}"), None).await;
    let waiting = waiting.map_err(|error| Failure::new(125, format!("sampan: {error}")))?;
    start(&client, &id, options.rm).await?;
    prepared.until_exit(waiting).await
}

/// Starts a container that was just created; what cannot be started gives the exit codes 127, 126 or 125.
async fn start(client: &Client, id: &str, remove: bool) -> Result<(), Failure> {
    let Err(error) = client.post(&format!("/containers/{id}/start"), None).await else { return Ok(()) };
    if remove {
        // the daemon removes it as well; whoever comes second finds nothing
        let _ = client.delete(&format!("/containers/{id}?v=1&force=1")).await;
    }
    Err(Failure::new(start_failure_code(&error), format!("sampan: {error}")))
}

/// The shell's convention for what the error of a start says.
pub(super) fn start_failure_code(error: &RequestError) -> i32 {
    let RequestError::Refused { message, .. } = error else { return 125 };
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match () {
        _ if says(&[
            "executable file not found",
            "no such file or directory",
            "system cannot find the file specified",
        ]) =>
        {
            127
        }
        _ if says(&["permission denied", "is a directory"]) => 126,
        _ => 125,
    }
}
