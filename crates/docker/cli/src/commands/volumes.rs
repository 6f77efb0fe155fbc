//! `volume`: list, inspect, create, remove, prune.

use crate::connection::Client;
use crate::{Outcome, create_options, table};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{escape, filters, for_each, inspect, system};

#[derive(Subcommand)]
pub(crate) enum Volume {
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Display detailed information on one or more volumes
    Inspect(inspect::Typed),
    /// Create a volume
    Create(Create),
    /// Remove one or more volumes
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Remove unused local volumes
    Prune(system::Prune),
}

#[derive(Args)]
pub(crate) struct List {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short = 'f', long)]
    filter: Vec<String>,
    /// Format output using a custom template
    #[arg(long)]
    format: Option<String>,
    /// Only display volume names
    #[arg(short = 'q', long)]
    quiet: bool,
}

#[derive(Args)]
pub(crate) struct Create {
    /// Specify volume driver name
    #[arg(short = 'd', long, default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long)]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short = 'o', long)]
    opt: Vec<String>,
    name: Option<String>,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Force the removal of one or more volumes
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(required = true)]
    volumes: Vec<String>,
}

const COLUMNS: table::Columns = &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")];

pub(super) async fn volume(command: Volume, client: Client) -> Outcome {
    match command {
        Volume::Ls(command) => list(command, client).await,
        Volume::Inspect(command) => inspect::typed(command, client, "volumes").await,
        Volume::Create(command) => {
            let body = json!({
                "Name": command.name.as_deref().unwrap_or(""), "Driver": command.driver,
                "Labels": create_options::pairs(&command.label, ""), "DriverOpts": create_options::pairs(&command.opt, ""),
            });
            let answer = client.post("/volumes/create", Some(&body)).await?;
            println!("{}", answer["Name"].as_str().unwrap_or(""));
            Ok(())
        }
        Volume::Rm(command) => {
            let (client, force) = (&client, u8::from(command.force));
            for_each(&command.volumes, |name| async move {
                client.delete(&format!("/volumes/{}?force={force}", escape(&name))).await.map(drop)
            })
            .await
        }
        Volume::Prune(command) => system::prune_one(command, client, "volumes").await,
    }
}

async fn list(command: List, client: Client) -> Outcome {
    let answer = client.get(&format!("/volumes?filters={}", filters(&command.filter)?)).await?;
    let rows: Vec<Map<String, Value>> =
        answer["Volumes"].as_array().into_iter().flatten().filter_map(|volume| volume.as_object().cloned()).collect();
    let format = if command.quiet && command.format.is_none() { Some("{{.Name}}") } else { command.format.as_deref() };
    table::print(&rows, format, COLUMNS)?;
    Ok(())
}
