//! `stats`: what containers use.

use crate::connection::Client;
use crate::{Outcome, table, units};
use clap::Args;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;

use super::{escape, short_id};

#[derive(Args)]
pub(crate) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short = 'a', long)]
    all: bool,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    containers: Vec<String>,
}

const COLUMNS: table::Columns = &[
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

pub(super) async fn stats(command: Stats, client: Client) -> Outcome {
    loop {
        let names = if command.containers.is_empty() {
            listed(&client, command.all).await?
        } else {
            command.containers.clone()
        };
        // every container measures over the same second, not one after the other
        let requests: Vec<_> = names
            .iter()
            .map(|name| {
                let (client, path) = (client.clone(), format!("/containers/{}/stats?stream=0", escape(name)));
                tokio::spawn(async move { client.get(&path).await })
            })
            .collect();
        let mut rows = Vec::new();
        for request in requests {
            rows.push(row(&request.await??, !command.no_trunc));
        }
        if !command.no_stream && std::io::stdout().is_terminal() {
            print!("\x1b[2J\x1b[H");
        }
        table::print(&rows, command.format.as_deref(), COLUMNS)?;
        if command.no_stream {
            return Ok(());
        }
    }
}

async fn listed(client: &Client, all: bool) -> anyhow::Result<Vec<String>> {
    let list = client.get(&format!("/containers/json?all={}", u8::from(all))).await?;
    Ok(list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["Id"].as_str().map(String::from))
        .collect())
}

fn row(stats: &Value, truncate: bool) -> Map<String, Value> {
    let id = stats["id"].as_str().unwrap_or("");
    let memory = &stats["memory_stats"];
    let cache =
        memory["stats"]["total_inactive_file"].as_f64().or(memory["stats"]["inactive_file"].as_f64()).unwrap_or(0.0);
    let usage = memory["usage"].as_f64().unwrap_or(0.0);
    let used = if cache < usage { usage - cache } else { usage };
    let limit = memory["limit"].as_f64().unwrap_or(0.0);
    let network = |field: &str| -> f64 {
        stats["networks"].as_object().into_iter().flatten().filter_map(|(_, one)| one[field].as_f64()).sum()
    };
    let blocks = |operation: &str| -> f64 {
        let entries = stats["blkio_stats"]["io_service_bytes_recursive"].as_array();
        entries
            .into_iter()
            .flatten()
            .filter(|entry| entry["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case(operation)))
            .filter_map(|entry| entry["value"].as_f64())
            .sum()
    };
    let row = json!({
        "Container": id, "ID": if truncate { short_id(id) } else { id },
        "Name": stats["name"].as_str().unwrap_or("").trim_start_matches('/'),
        "CPUPerc": format!("{:.2}%", cpu_percent(stats)),
        "MemUsage": format!("{} / {}", units::bytes_size(used), units::bytes_size(limit)),
        "MemPerc": format!("{:.2}%", if limit > 0.0 { used / limit * 100.0 } else { 0.0 }),
        "NetIO": format!("{} / {}", units::human_size(network("rx_bytes"), 3), units::human_size(network("tx_bytes"), 3)),
        "BlockIO": format!("{} / {}", units::human_size(blocks("read"), 3), units::human_size(blocks("write"), 3)),
        "PIDs": stats["pids_stats"]["current"].as_u64().unwrap_or(0).to_string(),
    });
    if let Value::Object(row) = row { row } else { Map::new() }
}

/// The container's share of the time of one processor between two samples.
fn cpu_percent(stats: &Value) -> f64 {
    let total = |sample: &str| stats[sample]["cpu_usage"]["total_usage"].as_f64().unwrap_or(0.0);
    let system = |sample: &str| stats[sample]["system_cpu_usage"].as_f64().unwrap_or(0.0);
    let (used, passed) = (total("cpu_stats") - total("precpu_stats"), system("cpu_stats") - system("precpu_stats"));
    let online = stats["cpu_stats"]["online_cpus"].as_f64().filter(|count| *count > 0.0).unwrap_or(1.0);
    if used > 0.0 && passed > 0.0 { used / passed * online * 100.0 } else { 0.0 }
}
