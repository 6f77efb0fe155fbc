//! `ps`: the processes of a container, read from /proc.

use std::fs;

use clap::Args;

use super::list::Format;
use super::out;
use super::state::Store;
use crate::error::Result;

#[derive(Args)]
pub(super) struct Ps {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// Name of the container
    id: String,
    /// Taken for compatibility: the columns are always those of `ps -ef`
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
        out::line(&format!("{:<8} {:>7} {:>7} {:>8} CMD", "UID", "PID", "PPID", "TIME"))?;
        for row in pids.into_iter().filter_map(row) {
            out::line(&row)?;
        }
        Ok(())
    }
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
