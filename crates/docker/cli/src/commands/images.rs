//! Verbs on images: images, history, rmi, tag, prune.

use crate::connection::Client;
use crate::{Failure, Outcome, table, units};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{escape, filters, now, short_id};

#[derive(Args)]
pub(crate) struct Images {
    /// Show all images (default hides intermediate images)
    #[arg(short = 'a', long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short = 'f', long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    /// REPOSITORY[:TAG]
    repository: Option<String>,
}

#[derive(Args)]
pub(crate) struct History {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long = "human", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    image: String,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Force removal of the image
    #[arg(short = 'f', long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    #[arg(required = true)]
    images: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Tag {
    source: String,
    target: String,
}

#[derive(Args)]
pub(crate) struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short = 'a', long)]
    all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long)]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short = 'f', long)]
    force: bool,
}

const COLUMNS: table::Columns =
    &[("REPOSITORY", "Repository"), ("TAG", "Tag"), ("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size")];
const COLUMNS_WITH_DIGESTS: table::Columns = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("DIGEST", "Digest"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];
const HISTORY_COLUMNS: table::Columns = &[
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
];

pub(super) async fn images(command: Images, client: Client) -> Outcome {
    let mut wanted = command.filter.clone();
    wanted.extend(command.repository.map(|name| format!("reference={name}")));
    let list = client
        .get(&format!(
            "/images/json?all={}&digests={}&filters={}",
            u8::from(command.all),
            u8::from(command.digests),
            filters(&wanted)?
        ))
        .await?;
    let mut rows = Vec::new();
    for image in list.as_array().into_iter().flatten() {
        rows.extend(rows_of(image, command.digests, !command.no_trunc));
    }
    if command.quiet && command.format.is_none() {
        rows.iter().for_each(|row| println!("{}", row["ID"].as_str().unwrap_or("")));
        return Ok(());
    }
    table::print(&rows, command.format.as_deref(), if command.digests { COLUMNS_WITH_DIGESTS } else { COLUMNS })?;
    Ok(())
}

/// A row for each tag; untagged images have one with `<none>`.
fn rows_of(image: &Value, digests: bool, truncate: bool) -> Vec<Map<String, Value>> {
    let names = |field: &str| {
        image[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect::<Vec<_>>()
    };
    let (tags, references) = (names("RepoTags"), names("RepoDigests"));
    let digest_of = |repository: &str| {
        references
            .iter()
            .filter_map(|text| text.split_once('@'))
            .find(|(name, _)| *name == repository)
            .map(|(_, digest)| digest.to_string())
    };
    let mut shown = Vec::new();
    for tag in tags.iter().filter(|tag| *tag != "<none>:<none>") {
        let (repository, tag) = tag.rsplit_once(':').unwrap_or((tag, ""));
        shown.push((repository.to_string(), tag.to_string(), digest_of(repository)));
    }
    if shown.is_empty() {
        let by_digest = references.iter().filter_map(|text| text.split_once('@')).filter(|(name, _)| *name != "<none>");
        shown.extend(by_digest.map(|(name, digest)| (name.to_string(), "<none>".into(), Some(digest.to_string()))));
    }
    if shown.is_empty() {
        shown.push(("<none>".into(), "<none>".into(), None));
    }
    let id = image["Id"].as_str().unwrap_or("");
    let created = image["Created"].as_i64().unwrap_or(0);
    let rows = shown.into_iter().map(|(repository, tag, digest)| {
        let row = json!({
            "Repository": repository, "Tag": tag,
            "Digest": digest.filter(|_| digests).unwrap_or_else(|| "<none>".into()),
            "ID": if truncate { short_id(id) } else { id },
            "CreatedSince": created_since(created),
            "CreatedAt": jiff::Timestamp::from_second(created).map(|at| at.to_string()).unwrap_or_default(),
            "Size": units::human_size(image["Size"].as_f64().unwrap_or(0.0), 3),
            "Containers": image["Containers"].as_i64().filter(|count| *count >= 0).map_or("N/A".into(), |count| count.to_string()),
            "SharedSize": "N/A", "UniqueSize": "N/A", "VirtualSize": units::human_size(image["Size"].as_f64().unwrap_or(0.0), 3),
        });
        if let Value::Object(row) = row { row } else { Map::new() }
    });
    rows.collect()
}

fn created_since(created: i64) -> String {
    if created <= 0 { "N/A".into() } else { format!("{} ago", units::human_duration(now() - created)) }
}

pub(super) async fn history(command: History, client: Client) -> Outcome {
    let list = client.get(&format!("/images/{}/history", escape(&command.image))).await?;
    let rows: Vec<_> = list.as_array().into_iter().flatten().map(|entry| history_row(entry, &command)).collect();
    let format = if command.quiet && command.format.is_none() { Some("{{.ID}}") } else { command.format.as_deref() };
    table::print(&rows, format, HISTORY_COLUMNS)?;
    Ok(())
}

fn history_row(entry: &Value, command: &History) -> Map<String, Value> {
    let text = |name: &str| entry[name].as_str().unwrap_or("");
    let mut created_by = text("CreatedBy").replace('\t', " ");
    if !command.no_trunc && created_by.chars().count() > 45 {
        created_by = created_by.chars().take(44).chain(['…']).collect();
    }
    let created = entry["Created"].as_i64().unwrap_or(0);
    let created_at = jiff::Timestamp::from_second(created).map(|at| at.to_string()).unwrap_or_default();
    let size = entry["Size"].as_f64().unwrap_or(0.0);
    let row = json!({
        "ID": if command.no_trunc { text("Id") } else { short_id(text("Id")) },
        "CreatedSince": if command.human { created_since(created) } else { created_at.clone() },
        "CreatedAt": created_at,
        "CreatedBy": created_by,
        "Size": if command.human { units::human_size(size, 3) } else { format!("{size}") },
        "Comment": text("Comment"),
    });
    if let Value::Object(row) = row { row } else { Map::new() }
}

pub(super) async fn remove(command: Remove, client: Client) -> Outcome {
    let mut failed = Vec::new();
    let mut missing = true;
    for image in &command.images {
        let path = format!(
            "/images/{}?force={}&noprune={}",
            escape(image),
            u8::from(command.force),
            u8::from(command.no_prune)
        );
        match client.delete(&path).await {
            Ok(removed) => print_removed(&removed),
            Err(error) => {
                missing &= error.status() == Some(http::StatusCode::NOT_FOUND);
                failed.push(error.to_string());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        // as docker: with --force, images that are not there are told but no failure
        false if command.force && missing => {
            eprintln!("{}", failed.join("\n"));
            Ok(())
        }
        false => Err(Failure::new(1, failed.join("\n"))),
    }
}

fn print_removed(removed: &Value) {
    for entry in removed.as_array().into_iter().flatten() {
        if let Some(name) = entry["Untagged"].as_str() {
            println!("Untagged: {name}");
        }
        if let Some(id) = entry["Deleted"].as_str() {
            println!("Deleted: {id}");
        }
    }
}

pub(super) async fn tag(command: Tag, client: Client) -> Outcome {
    let (name, tag) = super::transfer::split_reference(&command.target);
    client
        .post(
            &format!("/images/{}/tag?repo={}&tag={}", escape(&command.source), escape(name), escape(tag.unwrap_or(""))),
            None,
        )
        .await?;
    Ok(())
}

pub(super) async fn prune(command: Prune, client: Client) -> Outcome {
    let warning = if command.all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    if !command.force && !super::system::confirm(warning)? {
        return Err(Failure::new(1, "image prune has been cancelled"));
    }
    let mut wanted = command.filter;
    wanted.push(format!("dangling={}", !command.all));
    let answer = client.post(&format!("/images/prune?filters={}", filters(&wanted)?), None).await?;
    if answer["ImagesDeleted"].as_array().is_some_and(|list| !list.is_empty()) {
        println!("Deleted Images:");
        answer["ImagesDeleted"].as_array().into_iter().flatten().for_each(|entry| {
            entry["Untagged"].as_str().into_iter().for_each(|name| println!("untagged: {name}"));
            entry["Deleted"].as_str().into_iter().for_each(|id| println!("deleted: {id}"));
        });
        println!();
    }
    println!("Total reclaimed space: {}", units::human_size(answer["SpaceReclaimed"].as_f64().unwrap_or(0.0), 4));
    Ok(())
}
