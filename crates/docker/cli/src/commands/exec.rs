//! `exec`: a further process in a running container.

use crate::connection::Client;
use crate::{Failure, Outcome, create_options, terminal};
use clap::Args;
use serde_json::{Value, json};

use super::attach::{Ended, Streams, carry, exit_code};
use super::escape;

#[derive(Args)]
pub(crate) struct Exec {
    /// Detached mode: run command in the background
    #[arg(short = 'd', long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short = 'e', long)]
    env: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short = 't', long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short = 'u', long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short = 'w', long)]
    workdir: Option<String>,
    /// Print usage
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// CONTAINER COMMAND [ARG...]
    #[arg(trailing_var_arg = true, required = true, num_args = 2.., value_name = "CONTAINER COMMAND [ARG...]")]
    words: Vec<String>,
}

pub(super) async fn exec(command: Exec, client: Client) -> Outcome {
    if command.tty && command.interactive && !command.detach && !terminal::stdin_is_terminal() {
        return Err(Failure::new(1, "the input device is not a TTY"));
    }
    let attached = !command.detach;
    let mut body = json!({
        "AttachStdin": command.interactive && attached, "AttachStdout": attached, "AttachStderr": attached,
        "Cmd": command.words[1..],
        "Detach": command.detach,
        "Env": command.env.iter().filter_map(|text| create_options::from_host(text)).collect::<Vec<_>>(),
        "Privileged": command.privileged,
        "Tty": command.tty,
        "User": command.user.as_deref().unwrap_or(""),
        "WorkingDir": command.workdir.as_deref().unwrap_or(""),
    });
    if let Some((height, width)) = command.tty.then(terminal::size).flatten() {
        body["ConsoleSize"] = json!([height, width]);
    }
    let created = client.post(&format!("/containers/{}/exec", escape(&command.words[0])), Some(&body)).await?;
    let target = format!("/exec/{}", created["Id"].as_str().unwrap_or_default());
    let start = json!({ "Detach": command.detach, "Tty": command.tty });
    if command.detach {
        client.post(&format!("{target}/start"), Some(&start)).await.map_err(failed)?;
        return Ok(());
    }
    let connection = client.hijack(&format!("{target}/start"), Some(&start)).await.map_err(failed)?;
    let streams = Streams { stdin: command.interactive, stdout: true, stderr: true, tty: command.tty };
    match carry(connection, streams, command.detach_keys.as_deref(), &client, &target).await? {
        Ended::Detached => {
            eprintln!("read escape sequence");
            Ok(())
        }
        Ended::Output => {
            let info: Value = client.get(&format!("{target}/json")).await?;
            exit_code(&info["ExitCode"])
        }
    }
}

fn failed(error: crate::connection::RequestError) -> Failure {
    match super::run::start_failure_code(&error) {
        125 => Failure::new(1, error.to_string()),
        code => Failure::new(code, error.to_string()),
    }
}
