//! `inspect`: everything the daemon knows of an object.

use crate::connection::{Client, RequestError};
use crate::template::Template;
use crate::{Failure, Outcome};
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::escape;

#[derive(Args)]
pub(crate) struct Inspect {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short = 'f', long)]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short = 's', long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type")]
    kind: Option<String>,
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Typed {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short = 'f', long)]
    format: Option<String>,
    #[arg(required = true)]
    names: Vec<String>,
}

/// The kinds in the order in which docker looks for a name.
const KINDS: [&str; 4] = ["containers", "images", "networks", "volumes"];

pub(super) async fn inspect(command: Inspect, client: Client) -> Outcome {
    let kinds: Vec<&str> = match command.kind.as_deref() {
        None | Some("") => KINDS.to_vec(),
        Some(kind) => {
            let known = KINDS.iter().find(|known| **known == format!("{kind}s"));
            vec![*known.ok_or_else(|| Failure::new(1, format!("{kind:?} is not a valid value for --type")))?]
        }
    };
    print_all(&command.names, command.format.as_deref(), &client, &kinds, command.size).await
}

pub(super) async fn typed(command: Typed, client: Client, kind: &str) -> Outcome {
    print_all(&command.names, command.format.as_deref(), &client, &[kind], false).await
}

async fn print_all(names: &[String], format: Option<&str>, client: &Client, kinds: &[&str], size: bool) -> Outcome {
    let template = match format {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::parse(text)?),
    };
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        match find(name, client, kinds, size).await {
            Ok(value) => found.push(value),
            Err(text) => failed.push(text),
        }
    }
    match (&template, format) {
        (Some(template), _) => {
            for value in &found {
                println!("{}", template.render(value)?);
            }
        }
        (None, Some("json")) => found.iter().for_each(|value| println!("{value}")),
        (None, _) => print_pretty(&found)?,
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(1, failed.join("\n"))) }
}

async fn find(name: &str, client: &Client, kinds: &[&str], size: bool) -> Result<Value, String> {
    let mut last: Option<RequestError> = None;
    for kind in kinds {
        let path = match *kind {
            "networks" | "volumes" => format!("/{kind}/{}", escape(name)),
            _ => format!("/{kind}/{}/json?size={}", escape(name), u8::from(size)),
        };
        match client.get(&path).await {
            Ok(value) => return Ok(value),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => last = Some(error),
            Err(error) => return Err(error.to_string()),
        }
    }
    match (kinds, last) {
        ([_], Some(error)) => Err(error.to_string()),
        _ => Err(format!("Error: No such object: {name}")),
    }
}

fn print_pretty(values: &[Value]) -> anyhow::Result<()> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(values, &mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    println!("{}", String::from_utf8_lossy(&out));
    Ok(())
}
