//! `version`, `info`, `system df` and the prunes.

use crate::connection::Client;
use crate::template::Template;
use crate::{Failure, Outcome, table, units};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Write};

use super::filters;

#[derive(Args)]
pub(crate) struct Version {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short = 'f', long)]
    format: Option<String>,
}

#[derive(Args)]
pub(crate) struct Info {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short = 'f', long)]
    format: Option<String>,
}

#[derive(Args)]
pub(crate) struct Prune {
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
    /// Remove all unused, not just anonymous ones
    #[arg(short = 'a', long)]
    all: bool,
}

#[derive(Subcommand)]
pub(crate) enum System {
    /// Show docker disk usage
    Df(Df),
    /// Display system-wide information
    Info(Info),
    /// Get real time events from the server
    Events(super::events::Events),
    /// Remove unused data
    Prune(Prune),
}

#[derive(Args)]
pub(crate) struct Df {
    /// Format output using a custom template
    #[arg(long)]
    format: Option<String>,
}

const DF_COLUMNS: table::Columns = &[
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
];

pub(super) async fn system(command: System, client: Client) -> Outcome {
    match command {
        System::Df(command) => df(command, client).await,
        System::Info(command) => info(command, client).await,
        System::Events(command) => super::events::events(command, client).await,
        System::Prune(command) => {
            if !command.force
                && !confirm("WARNING! This will remove all stopped containers, unused networks and dangling images.")?
            {
                return Err(Failure::new(1, "system prune has been cancelled"));
            }
            for kind in ["containers", "networks", "images"] {
                let quiet = Prune { filter: command.filter.clone(), force: true, all: command.all };
                prune_one(quiet, client.clone(), kind).await?;
            }
            Ok(())
        }
    }
}

pub(super) async fn version(command: Version, client: Client) -> Outcome {
    let api = client.version().await.map(String::from);
    let mut both = json!({
        "Client": {
            "Version": env!("CARGO_PKG_VERSION"), "ApiVersion": api.as_deref().unwrap_or("1.50"),
            "Os": std::env::consts::OS, "Arch": go_architecture(),
        },
        "Server": null,
    });
    let server = client.get("/version").await;
    if let Ok(server) = &server {
        both["Server"] = server.clone();
    }
    match command.format.as_deref() {
        Some("json") => println!("{both}"),
        Some(format) => println!("{}", Template::parse(format)?.render(&both)?),
        None => {
            print_version("Client: Sampan", &both["Client"]);
            if let Ok(server) = &server {
                println!();
                print_version("Server:", server);
            }
        }
    }
    server?;
    Ok(())
}

fn print_version(title: &str, version: &Value) {
    println!("{title}");
    let text = |name: &str| version[name].as_str().unwrap_or("").to_string();
    println!(" Version:           {}", text("Version"));
    println!(" API version:       {}", text("ApiVersion"));
    println!(" OS/Arch:           {}/{}", text("Os"), text("Arch"));
}

fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(super) async fn info(command: Info, client: Client) -> Outcome {
    let info = client.get("/info").await?;
    match command.format.as_deref() {
        Some("json") => println!("{info}"),
        Some(format) => println!("{}", Template::parse(format)?.render(&info)?),
        None => print_info(&info),
    }
    Ok(())
}

fn print_info(info: &Value) {
    let shown = |value: &Value| if let Value::String(text) = value { text.clone() } else { value.to_string() };
    println!(
        "Containers: {}\n Running: {}\n Paused: {}\n Stopped: {}",
        info["Containers"], info["ContainersRunning"], info["ContainersPaused"], info["ContainersStopped"]
    );
    println!("Images: {}", info["Images"]);
    let lines = [
        ("Server Version", "ServerVersion"),
        ("Storage Driver", "Driver"),
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Name", "Name"),
        ("ID", "ID"),
        ("Docker Root Dir", "DockerRootDir"),
    ];
    for (title, field) in lines.iter().filter(|(_, field)| !info[*field].is_null()) {
        println!("{title}: {}", shown(&info[*field]));
    }
    println!("Total Memory: {}", units::bytes_size(info["MemTotal"].as_f64().unwrap_or(0.0)));
    for warning in info["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("{warning}");
    }
}

async fn df(command: Df, client: Client) -> Outcome {
    let usage = client.get("/system/df").await?;
    let list = |name: &str| usage[name].as_array().cloned().unwrap_or_default();
    let (images, containers, volumes) = (list("Images"), list("Containers"), list("Volumes"));
    let sum = |list: &[Value], field: &str| -> f64 { list.iter().filter_map(|one| one[field].as_f64()).sum() };
    let used = |one: &&Value| one["Containers"].as_i64().unwrap_or(0) > 0;
    let running = |one: &&Value| one["State"] == "running";
    let volume_size = |list: &[&Value]| -> f64 {
        list.iter().filter_map(|one| one["UsageData"]["Size"].as_f64()).filter(|size| *size > 0.0).sum()
    };
    let volume_used = |one: &&Value| one["UsageData"]["RefCount"].as_i64().unwrap_or(0) > 0;
    let layers = usage["LayersSize"].as_f64().unwrap_or(0.0);
    let kept: f64 = images.iter().filter(used).filter_map(|one| one["Size"].as_f64()).sum();
    let stopped: f64 = containers.iter().filter(|one| !running(one)).filter_map(|one| one["SizeRw"].as_f64()).sum();
    let idle: Vec<&Value> = volumes.iter().filter(|one| !volume_used(one)).collect();
    let rows = [
        df_row("Images", images.len(), images.iter().filter(used).count(), layers, (layers - kept).max(0.0)),
        df_row(
            "Containers",
            containers.len(),
            containers.iter().filter(running).count(),
            sum(&containers, "SizeRw"),
            stopped,
        ),
        df_row(
            "Local Volumes",
            volumes.len(),
            volumes.iter().filter(volume_used).count(),
            volume_size(&volumes.iter().collect::<Vec<_>>()),
            volume_size(&idle),
        ),
        df_row("Build Cache", list("BuildCache").len(), 0, 0.0, 0.0),
    ];
    table::print(&rows, command.format.as_deref(), DF_COLUMNS)?;
    Ok(())
}

fn df_row(kind: &str, total: usize, active: usize, size: f64, reclaimable: f64) -> Map<String, Value> {
    let share = if size > 0.0 { format!(" ({:.0}%)", reclaimable / size * 100.0) } else { String::new() };
    let row = json!({
        "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(),
        "Size": units::human_size(size, 4), "Reclaimable": format!("{}{share}", units::human_size(reclaimable, 4)),
    });
    if let Value::Object(row) = row { row } else { Map::new() }
}

/// Prunes one kind of object and tells what went.
pub(super) async fn prune_one(command: Prune, client: Client, kind: &str) -> Outcome {
    let (warning, field, title) = match kind {
        "containers" => {
            ("WARNING! This will remove all stopped containers.", "ContainersDeleted", "Deleted Containers:")
        }
        "networks" => (
            "WARNING! This will remove all custom networks not used by at least one container.",
            "NetworksDeleted",
            "Deleted Networks:",
        ),
        "volumes" => (
            "WARNING! This will remove anonymous local volumes not used by at least one container.",
            "VolumesDeleted",
            "Deleted Volumes:",
        ),
        _ => ("WARNING! This will remove all dangling images.", "ImagesDeleted", "Deleted Images:"),
    };
    if !command.force && !confirm(warning)? {
        return Err(Failure::new(1, format!("{kind} prune has been cancelled")));
    }
    let mut wanted = command.filter;
    match (kind, command.all) {
        ("volumes", true) => wanted.push("all=true".into()),
        ("images", all) => wanted.push(format!("dangling={}", !all)),
        _ => {}
    }
    let answer = client.post(&format!("/{kind}/prune?filters={}", filters(&wanted)?), None).await?;
    let deleted: Vec<&Value> = answer[field].as_array().into_iter().flatten().collect();
    if !deleted.is_empty() {
        println!("{title}");
        for one in deleted {
            let name = one.as_str().or(one["Deleted"].as_str()).or(one["Untagged"].as_str());
            println!("{}", name.unwrap_or(""));
        }
        println!();
    }
    if kind != "networks" {
        println!("Total reclaimed space: {}", units::human_size(answer["SpaceReclaimed"].as_f64().unwrap_or(0.0), 4));
    }
    Ok(())
}

/// Asks whether to go on; only `y` does.
pub(super) fn confirm(warning: &str) -> anyhow::Result<bool> {
    print!("{warning}\nAre you sure you want to continue? [y/N] ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}
