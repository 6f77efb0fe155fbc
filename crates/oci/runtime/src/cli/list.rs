//! `state` and `list`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::features::SPEC_VERSION;
use super::out;
use super::state::{State as Saved, Status, Store};
use crate::error::{AtStep, Result};

#[derive(Args)]
pub(super) struct State {
    /// Name of the container
    id: String,
}

impl State {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let state = store.load(&self.id)?;
        out::line(&format!("{:#}", describe(store, &state)?))
    }
}

/// The specification's state, with runc's additions.
fn describe(store: &Store, state: &Saved) -> Result<Value> {
    let status = store.status(state)?;
    let mut shown = json!({
        "ociVersion": SPEC_VERSION,
        "id": state.id,
        "pid": if status == Status::Stopped { 0 } else { state.pid },
        "status": status.word(),
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
        "owner": owner(store, &state.id)?,
    });
    let annotations = state.annotations();
    if !annotations.is_empty() {
        shown["annotations"] = json!(annotations);
    }
    Ok(shown)
}

/// Name of the user who made the container; empty when it has none.
fn owner(store: &Store, id: &str) -> Result<String> {
    let dir = store.dir(id);
    let uid = fs::metadata(&dir).at(|| format!("look at {}", dir.display()))?.uid();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    Ok(names.next().unwrap_or_default())
}

#[derive(Args)]
pub(super) struct List {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// Only the names
    #[arg(short, long)]
    quiet: bool,
}

/// How things are listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

impl List {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let mut shown = Vec::new();
        for id in store.ids()? {
            if self.quiet {
                out::line(&id)?;
                continue;
            }
            // One that goes away meanwhile is not worth a failure.
            if let Ok(state) = store.load(&id)
                && let Ok(state) = describe(store, &state)
            {
                shown.push(state);
            }
        }
        match self.format {
            _ if self.quiet => Ok(()),
            // As runc: null, not an empty list.
            Format::Json if shown.is_empty() => out::line("null"),
            Format::Json => out::line(&Value::from(shown).to_string()),
            Format::Table => out::line(table(&shown).trim_end()),
        }
    }
}

fn table(states: &[Value]) -> String {
    let columns = ["id", "pid", "status", "bundle", "created", "owner"];
    let mut rows = vec![columns.map(str::to_ascii_uppercase)];
    for state in states {
        rows.push(columns.map(|column| match &state[column] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(8);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}    "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}
