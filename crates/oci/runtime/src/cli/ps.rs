//! `ps`: the processes of a container, read from /proc.

use std::fs;
use std::process::{Command, Stdio};

use clap::Args;

use super::list::Format;
use super::out;
use super::state::Store;
use crate::error::{AtStep, Error, Result};

#[derive(Args)]
pub(super) struct Ps {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// Name of the container
    id: String,
    /// Options for ps(1), whose lines about the container are shown then
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

impl Ps {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let state = store.load(&self.id)?;
        let pids = match state.cgroup()? {
            Some(group) => group.pids()?,
            None => state.is_alive().then_some(state.pid).into_iter().collect(),
        };
        if self.format == Format::Json {
            return out::line(&serde_json::json!(pids).to_string());
        }
        if !self.options.is_empty() {
            return by_program(&self.options, &pids);
        }
        out::line(&format!("{:<8} {:>7} {:>7} {:>8} CMD", "UID", "PID", "PPID", "TIME"))?;
        for row in pids.into_iter().filter_map(row) {
            out::line(&row)?;
        }
        Ok(())
    }
}

/// The lines of ps(1) whose PID is among `pids`, and the first.
fn by_program(options: &[String], pids: &[i32]) -> Result<()> {
    let step = || format!("run ps {}", options.join(" "));
    let output = Command::new("ps").args(options).stderr(Stdio::inherit()).output().at(step)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let Some(column) = head.split_whitespace().position(|word| word == "PID") else {
        return Err(Error::step(step(), std::io::Error::other("no column PID in what it printed")));
    };
    out::line(head)?;
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            out::line(line)?;
        }
    }
    Ok(())
}

/// `None` if the process has gone meanwhile.
fn row(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let seconds = ticks / rustix::param::clock_ticks_per_second().max(1);
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " ");
    let command = if command.is_empty() { format!("[{name}]") } else { command };
    Some(format!("{uid:<8} {pid:>7} {:>7} {time:>8} {command}", fields.get(1)?))
}
