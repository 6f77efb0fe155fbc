//! The short verbs on containers: kill, stop, pause, rm, rename, wait, top, port, diff, update.

use crate::connection::{Client, RequestError};
use crate::{Failure, Outcome, create_options, table};
use clap::Args;
use serde_json::{Value, json};

use super::{escape, for_each};

#[derive(Args)]
pub(crate) struct Names {
    #[arg(required = true)]
    containers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Kill {
    /// Signal to send to the container
    #[arg(short = 's', long)]
    signal: Option<String>,
    #[arg(required = true)]
    containers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Stop {
    /// Signal to send to the container
    #[arg(short = 's', long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short = 't', long = "timeout", alias = "time", allow_hyphen_values = true)]
    timeout: Option<i64>,
    #[arg(required = true)]
    containers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short = 'f', long)]
    force: bool,
    /// Remove the specified link
    #[arg(short = 'l', long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short = 'v', long)]
    volumes: bool,
    #[arg(required = true)]
    containers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Rename {
    container: String,
    new_name: String,
}

#[derive(Args)]
pub(crate) struct Top {
    container: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    ps_options: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Port {
    container: String,
    /// PRIVATE_PORT[/PROTO]
    port: Option<String>,
}

#[derive(Args)]
pub(crate) struct Diff {
    container: String,
}

#[derive(Args)]
pub(crate) struct Update {
    /// Memory limit
    #[arg(short = 'm', long)]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long)]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Number of CPUs
    #[arg(long)]
    cpus: Option<f64>,
    /// CPU shares (relative weight)
    #[arg(short = 'c', long)]
    cpu_shares: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `POST /containers/NAME/verb` for each name.
pub(super) async fn each(command: Names, client: Client, verb: &str) -> Outcome {
    post_each(&command.containers, &client, verb).await
}

pub(super) async fn kill(command: Kill, client: Client) -> Outcome {
    let signal = command.signal.as_deref().unwrap_or("KILL");
    post_each(&command.containers, &client, &format!("kill?signal={}", escape(signal))).await
}

pub(super) async fn stop(command: Stop, client: Client, verb: &str) -> Outcome {
    let mut query = Vec::new();
    query.extend(command.timeout.map(|timeout| format!("t={timeout}")));
    query.extend(command.signal.map(|signal| format!("signal={}", escape(&signal))));
    post_each(&command.containers, &client, &format!("{verb}?{}", query.join("&"))).await
}

pub(super) async fn remove(command: Remove, client: Client) -> Outcome {
    let query =
        format!("v={}&force={}&link={}", u8::from(command.volumes), u8::from(command.force), u8::from(command.link));
    let (client, query) = (&client, &query);
    for_each(&command.containers, |name| async move {
        let name = name.trim_matches('/');
        client.delete(&format!("/containers/{}?{query}", escape(name))).await.map(drop)
    })
    .await
}

pub(super) async fn rename(command: Rename, client: Client) -> Outcome {
    let path = format!("/containers/{}/rename?name={}", escape(&command.container), escape(&command.new_name));
    client.post(&path, None).await.map_err(|error| {
        Failure::new(1, format!("{error}\nError: failed to rename container named {}", command.container))
    })?;
    Ok(())
}

pub(super) async fn wait(command: Names, client: Client) -> Outcome {
    let mut failed = Vec::new();
    for name in &command.containers {
        match client.post(&format!("/containers/{}/wait", escape(name)), None).await {
            Ok(status) => println!("{}", status["StatusCode"]),
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(1, failed.join("\n"))) }
}

pub(super) async fn top(command: Top, client: Client) -> Outcome {
    let arguments = if command.ps_options.is_empty() { "-ef".into() } else { command.ps_options.join(" ") };
    let answer =
        client.get(&format!("/containers/{}/top?ps_args={}", escape(&command.container), escape(&arguments))).await?;
    let line = |value: &Value| {
        value.as_array().into_iter().flatten().map(|cell| cell.as_str().unwrap_or("").to_string()).collect()
    };
    let lines =
        std::iter::once(line(&answer["Titles"])).chain(answer["Processes"].as_array().into_iter().flatten().map(line));
    print!("{}", table::align(lines.collect()));
    Ok(())
}

pub(super) async fn port(command: Port, client: Client) -> Outcome {
    let info = client.get(&format!("/containers/{}/json", escape(&command.container))).await?;
    let bindings = info["NetworkSettings"]["Ports"].as_object().cloned().unwrap_or_default();
    let shown = |binding: &Value| {
        let ip = binding["HostIp"].as_str().unwrap_or("");
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_string() };
        format!("{ip}:{}", binding["HostPort"].as_str().unwrap_or(""))
    };
    let Some(wanted) = command.port else {
        for (port, list) in &bindings {
            list.as_array().into_iter().flatten().for_each(|binding| println!("{port} -> {}", shown(binding)));
        }
        return Ok(());
    };
    let key = if wanted.contains('/') { wanted.clone() } else { format!("{wanted}/tcp") };
    match bindings.get(&key).and_then(Value::as_array).filter(|list| !list.is_empty()) {
        Some(list) => list.iter().for_each(|binding| println!("{}", shown(binding))),
        None => {
            return Err(Failure::new(1, format!("Error: No public port '{key}' published for {}", command.container)));
        }
    }
    Ok(())
}

pub(super) async fn diff(command: Diff, client: Client) -> Outcome {
    let changes = client.get(&format!("/containers/{}/changes", escape(&command.container))).await?;
    for change in changes.as_array().into_iter().flatten() {
        let kind = match change["Kind"].as_u64() {
            Some(1) => 'A',
            Some(2) => 'D',
            _ => 'C',
        };
        println!("{kind} {}", change["Path"].as_str().unwrap_or(""));
    }
    Ok(())
}

pub(super) async fn update(command: Update, client: Client) -> Outcome {
    let size = |text: &str| spec::size::parse(text).map_err(anyhow::Error::msg);
    let mut body = json!({});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    set("Memory", command.memory.as_deref().map(size).transpose()?.map(Value::from));
    set("MemoryReservation", command.memory_reservation.as_deref().map(size).transpose()?.map(Value::from));
    let swap = command.memory_swap.as_deref().map(|text| if text == "-1" { Ok(-1) } else { size(text) });
    set("MemorySwap", swap.transpose()?.map(Value::from));
    set("NanoCpus", command.cpus.map(|cpus| json!((cpus * 1e9).round() as i64)));
    set("CpuShares", command.cpu_shares.map(Value::from));
    set("CpusetCpus", command.cpuset_cpus.map(Value::from));
    set("PidsLimit", command.pids_limit.map(Value::from));
    set("RestartPolicy", command.restart.as_deref().map(create_options::restart_policy).transpose()?);
    let (client, body) = (&client, &body);
    for_each(&command.containers, |name| async move {
        let answer = client.post(&format!("/containers/{}/update", escape(&name)), Some(body)).await?;
        answer["Warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .for_each(|warning| eprintln!("{warning}"));
        Ok(())
    })
    .await
}

async fn post_each(names: &[String], client: &Client, tail: &str) -> Outcome {
    for_each(names, |name| async move {
        let path = format!("/containers/{}/{tail}", escape(&name));
        client.post(&path, None).await.map(drop).or_else(already_so)
    })
    .await
}

/// 304 is an answer, not an error: the container was as wanted already.
fn already_so(error: RequestError) -> Result<(), RequestError> {
    if error.status() == Some(http::StatusCode::NOT_MODIFIED) { Ok(()) } else { Err(error) }
}
