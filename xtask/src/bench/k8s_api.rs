//! What the API and its store cost: load by a client that costs little, and a minute of doing nothing.

use super::peers::Daemon;
use crate::run_command;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the idle daemon is looked at.
const IDLE: Duration = Duration::from_secs(60);
/// So long after its start it has nothing to do any more.
const SETTLED: Duration = Duration::from_secs(10);
/// Clock ticks a second in /proc/pid/stat.
const TICKS: f64 = 100.0;

/// Creates, deliveries and lists, in the network namespace of the daemon. `BENCH_LONG=1`: of 100,000 pods too.
pub(super) fn load(daemon: &Daemon, program: &Path) -> Result<()> {
    let pods = if std::env::var_os("BENCH_LONG").is_some() { "100000" } else { "5000" };
    let kubeconfig = daemon.folder.join("data/kubernetes/admin.kubeconfig");
    let mut command = Command::new("nsenter");
    command.args(["-n", "-t", &daemon.pid().to_string()]).arg(program).arg(kubeconfig).arg(pods);
    run_command(&mut command)?;
    println!("\nAll processes after the load: {:.1} MiB", daemon.memory()?);
    Ok(())
}

/// Memory, processor time and wake-ups of a daemon that nobody asks anything.
pub(super) fn idle(daemon: &Daemon) -> Result<()> {
    std::thread::sleep(SETTLED);
    let before = Spent::of(daemon.pid())?;
    std::thread::sleep(IDLE);
    let after = Spent::of(daemon.pid())?;
    let seconds = IDLE.as_secs_f64();
    let share = (after.ticks - before.ticks) / TICKS / seconds * 100.0;
    let wakes = (after.switches - before.switches) / seconds;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim).to_owned();
    println!("\n### Idle for {seconds} s, Kubernetes on\n\n| | |\n|---|---|");
    println!("| proportional set size, all processes | {:.1} MiB |", daemon.memory()?);
    println!("| resident set of the daemon | {} |", field("VmRSS:"));
    println!("| of that its own, not the program's file | {} |", field("RssAnon:"));
    println!("| processor | {share:.2} % of a core |\n| voluntary context switches a second | {wakes:.1} |");
    println!("| threads | {} |", field("Threads:"));
    Ok(())
}

/// What the threads of a process have used so far.
struct Spent {
    ticks: f64,
    switches: f64,
}

impl Spent {
    fn of(pid: u32) -> Result<Spent> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number =
            |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("no time in /proc/pid/stat");
        let mut switches = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            // one that has ended meanwhile counts no more
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            switches += line.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(Spent { ticks: number(11)? + number(12)?, switches })
    }
}
