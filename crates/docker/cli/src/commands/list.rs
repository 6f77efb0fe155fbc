//! `ps`: the containers.

use crate::connection::Client;
use crate::{Outcome, ports, table, units};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{filters, now, short_id};

#[derive(Args)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short = 'a', long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short = 'f', long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, default_value_t = -1, allow_hyphen_values = true)]
    last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short = 'l', long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short = 's', long)]
    size: bool,
}

const COLUMNS: table::Columns = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
];
const COLUMNS_WITH_SIZE: table::Columns = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
    ("SIZE", "Size"),
];

pub(super) async fn ps(command: Ps, client: Client) -> Outcome {
    let limit = if command.latest { 1 } else { command.last };
    let path = format!(
        "/containers/json?all={}&limit={limit}&size={}&filters={}",
        u8::from(command.all),
        u8::from(command.size),
        filters(&command.filter)?
    );
    let list = client.get(&path).await?;
    let rows: Vec<_> =
        list.as_array().into_iter().flatten().map(|container| row(container, !command.no_trunc)).collect();
    let format = if command.quiet && command.format.is_none() { Some("{{.ID}}") } else { command.format.as_deref() };
    table::print(&rows, format, if command.size { COLUMNS_WITH_SIZE } else { COLUMNS })?;
    Ok(())
}

fn row(container: &Value, truncate: bool) -> Map<String, Value> {
    let text = |name: &str| container[name].as_str().unwrap_or("");
    let created = container["Created"].as_i64().unwrap_or(0);
    let image = text("Image");
    let mut command = text("Command").to_string();
    if truncate && command.chars().count() > 20 {
        command = command.chars().take(19).chain(['…']).collect();
    }
    let names: Vec<&str> = container["Names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| name.trim_start_matches('/'))
        .collect();
    let labels = container["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")));
    let mounts: Vec<&str> = container["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| mount["Name"].as_str().filter(|name| !name.is_empty()).or(mount["Source"].as_str()))
        .collect();
    let networks: Vec<&str> = container["NetworkSettings"]["Networks"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let created_at = jiff::Timestamp::from_second(created)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    let mut size = units::human_size(container["SizeRw"].as_f64().unwrap_or(0.0), 3);
    if let Some(root) = container["SizeRootFs"].as_f64().filter(|root| *root > 0.0) {
        size.push_str(&format!(" (virtual {})", units::human_size(root, 3)));
    }
    let row = json!({
        "ID": if truncate { short_id(text("Id")) } else { text("Id") },
        "Image": if truncate && image.starts_with("sha256:") { short_id(image) } else { image },
        "Command": format!("{command:?}"),
        "CreatedAt": created_at.unwrap_or_default(),
        "RunningFor": format!("{} ago", units::human_duration(now() - created)),
        "Status": text("Status"), "State": text("State"),
        "Ports": ports::display(&container["Ports"]),
        "Names": names.join(","),
        "Labels": labels.collect::<Vec<_>>().join(","),
        "Mounts": mounts.join(","),
        "Networks": networks.join(","),
        "LocalVolumes": mounts.len().to_string(),
        "Size": size,
    });
    let Value::Object(row) = row else { return Map::new() };
    row
}
