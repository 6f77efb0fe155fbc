//! `network`: list, inspect, create, remove, connect, disconnect, prune.

use crate::connection::Client;
use crate::{Outcome, create_options, table};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{escape, filters, for_each, inspect, short_id, system};

#[derive(Subcommand)]
pub(crate) enum Network {
    /// List networks
    #[command(visible_alias = "list")]
    Ls(List),
    /// Display detailed information on one or more networks
    Inspect(inspect::Typed),
    /// Create a network
    Create(Create),
    /// Remove one or more networks
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Connect a container to a network
    Connect(Connect),
    /// Disconnect a container from a network
    Disconnect(Disconnect),
    /// Remove all unused networks
    Prune(system::Prune),
}

#[derive(Args)]
pub(crate) struct List {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short = 'f', long)]
    filter: Vec<String>,
    /// Format output using a custom template
    #[arg(long)]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short = 'q', long)]
    quiet: bool,
}

#[derive(Args)]
pub(crate) struct Create {
    /// Driver to manage the Network
    #[arg(short = 'd', long, default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long)]
    gateway: Option<String>,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long)]
    ip_range: Option<String>,
    /// Enable IPv6 networking
    #[arg(long)]
    ipv6: bool,
    /// Set metadata on a network
    #[arg(long)]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short = 'o', long)]
    opt: Vec<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long)]
    subnet: Option<String>,
    name: String,
}

#[derive(Args)]
pub(crate) struct Remove {
    #[arg(required = true)]
    networks: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Connect {
    /// Add network-scoped alias for the container
    #[arg(long)]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long)]
    ip: Option<String>,
    network: String,
    container: String,
}

#[derive(Args)]
pub(crate) struct Disconnect {
    /// Force the container to disconnect from a network
    #[arg(short = 'f', long)]
    force: bool,
    network: String,
    container: String,
}

const COLUMNS: table::Columns = &[("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];

pub(super) async fn network(command: Network, client: Client) -> Outcome {
    match command {
        Network::Ls(command) => list(command, client).await,
        Network::Inspect(command) => inspect::typed(command, client, "networks").await,
        Network::Create(command) => create(command, client).await,
        Network::Rm(command) => {
            let client = &client;
            for_each(&command.networks, |name| async move {
                client.delete(&format!("/networks/{}", escape(&name))).await.map(drop)
            })
            .await
        }
        Network::Connect(command) => {
            let endpoint = json!({ "Aliases": command.alias, "IPAMConfig": { "IPv4Address": command.ip.as_deref().unwrap_or("") } });
            let body = json!({ "Container": command.container, "EndpointConfig": endpoint });
            client.post(&format!("/networks/{}/connect", escape(&command.network)), Some(&body)).await?;
            Ok(())
        }
        Network::Disconnect(command) => {
            let body = json!({ "Container": command.container, "Force": command.force });
            client.post(&format!("/networks/{}/disconnect", escape(&command.network)), Some(&body)).await?;
            Ok(())
        }
        Network::Prune(command) => system::prune_one(command, client, "networks").await,
    }
}

async fn list(command: List, client: Client) -> Outcome {
    let list = client.get(&format!("/networks?filters={}", filters(&command.filter)?)).await?;
    let rows: Vec<Map<String, Value>> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|network| {
            let mut row = network.as_object().cloned().unwrap_or_default();
            let id = network["Id"].as_str().unwrap_or("");
            row.insert("ID".into(), if command.no_trunc { id.into() } else { short_id(id).into() });
            row
        })
        .collect();
    let format = if command.quiet && command.format.is_none() { Some("{{.ID}}") } else { command.format.as_deref() };
    table::print(&rows, format, COLUMNS)?;
    Ok(())
}

async fn create(command: Create, client: Client) -> Outcome {
    let mut pool = Map::new();
    for (name, value) in [("Subnet", &command.subnet), ("Gateway", &command.gateway), ("IPRange", &command.ip_range)] {
        if let Some(value) = value {
            pool.insert(name.into(), json!(value));
        }
    }
    let body = json!({
        "Name": command.name, "Driver": command.driver, "Internal": command.internal, "EnableIPv6": command.ipv6,
        "Labels": create_options::pairs(&command.label, ""), "Options": create_options::pairs(&command.opt, ""),
        "IPAM": { "Driver": "default", "Config": if pool.is_empty() { json!([]) } else { json!([pool]) } },
    });
    let answer = client.post("/networks/create", Some(&body)).await?;
    println!("{}", answer["Id"].as_str().unwrap_or(""));
    Ok(())
}
