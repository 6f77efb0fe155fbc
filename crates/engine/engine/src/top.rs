//! The processes of a container, as the host's `ps` would show them; `/proc` is read instead, since a host need not have `ps`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Engine;
use crate::engine::{Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::model::view::{Status, Top};
use crate::record::Record;

/// What one process is, from `/proc/<pid>`.
struct Process {
    pid: i32,
    parent: i32,
    uid: u32,
    /// Ticks of processor time, and since the host's boot.
    time: u64,
    started: u64,
    terminal: i32,
    state: char,
    threads: u64,
    nice: i64,
    /// KiB.
    virtual_size: u64,
    resident: u64,
    name: String,
    command: String,
}

/// What holds for all of them.
struct Host {
    ticks: u64,
    booted: i64,
    users: BTreeMap<u32, String>,
    /// KiB.
    memory: u64,
}

impl Engine {
    /// `arguments` are those of ps; empty means `-ef`.
    pub async fn top(&self, container: &str, arguments: &str) -> Result<Top> {
        let record = self.inner.containers.find(container)?.record();
        match record.state.status() {
            Status::Running | Status::Paused => {}
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    record.id
                )));
            }
            Status::Created | Status::Removing | Status::Exited | Status::Dead => {
                return Err(Error::conflict(format!("container {} is not running", record.id)));
            }
        }
        let (inner, arguments) = (self.inner.clone(), arguments.to_owned());
        let columns = columns(if arguments.trim().is_empty() { "-ef" } else { arguments.trim() })?;
        let told = record.clone();
        let shown = blocking(move || show(&inner, &record, &columns)).await?;
        self.inner.tell(&told, "top", &[]);
        Ok(shown)
    }
}

fn show(inner: &Inner, record: &Record, columns: &[Column]) -> Result<Top> {
    let group = cgroup::Cgroup::open(&inner.facts.hierarchy, &inner.cgroup(record));
    let pids = group.and_then(|group| group.pids());
    let pids = pids.map_err(|error| Error::because(Kind::Internal, "list the processes of the container", error))?;
    let host = Host::find();
    let mut processes: Vec<Process> =
        pids.into_iter().collect::<BTreeSet<_>>().into_iter().filter_map(process).collect();
    processes.sort_by_key(|process| (process.started, process.pid));
    Ok(Top {
        titles: columns.iter().map(|column| column.title.to_owned()).collect(),
        processes: processes
            .iter()
            .map(|it| columns.iter().map(|column| (column.value)(it, &host)).collect())
            .collect(),
    })
}

impl Host {
    fn find() -> Host {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let number = |text: String, key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        Host {
            ticks: rustix::param::clock_ticks_per_second().max(1),
            booted: i64::try_from(number(read("/proc/stat"), "btime ")).unwrap_or(0),
            // The first name of a number is the one that is shown.
            users: read("/etc/passwd").lines().rev().filter_map(user).collect(),
            memory: number(read("/proc/meminfo"), "MemTotal:"),
        }
    }

    fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// `None` when it ended meanwhile.
fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Numbered as in proc(5), where the state is the third.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok())?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&line).trim_end_matches('\0').replace(['\0', '\n'], " ");
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    let page = rustix::param::page_size() as u64 / 1024;
    Some(Process {
        pid,
        parent: number(4) as i32,
        uid,
        time: positive(number(14) + number(15)),
        started: positive(number(22)),
        terminal: number(7) as i32,
        state: fields.first()?.chars().next()?,
        threads: positive(number(20)),
        nice: number(19),
        virtual_size: positive(number(23)) / 1024,
        resident: positive(number(24)) * page,
        name: name.to_owned(),
        command: if words.is_empty() { format!("[{name}]") } else { words },
    })
}

struct Column {
    title: &'static str,
    value: fn(&Process, &Host) -> String,
}

/// The columns of the usual spellings: `-ef`, `aux`, `-o a,b`; anything else is refused.
fn columns(arguments: &str) -> Result<Vec<Column>> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let mut names: Vec<&str> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-ef" | "-fe" | "-f" | "-Af" | "-fA" => {
                names = vec!["uid_name", "pid", "ppid", "c", "stime", "tty", "time", "cmd"]
            }
            "aux" | "-aux" | "au" => {
                names = vec!["user", "pid", "pcpu", "pmem", "vsz", "rss", "tt", "stat", "start", "time", "args"];
            }
            "-e" | "-A" | "ax" | "a" | "x" | "w" | "ww" | "-w" | "-ww" => {}
            "-o" | "o" | "-eo" | "-Ao" | "axo" => {
                let list = rest.next().ok_or_else(|| Error::invalid("ps: a list of columns is missing after -o"))?;
                names.extend(list.split(',').map(|name| name.split('=').next().unwrap_or(name)));
            }
            other => match other.strip_prefix("-o") {
                Some(list) => names.extend(list.split(',')),
                None => {
                    return Err(Error::invalid(format!("ps: {other:?} is not understood; -ef, aux and -o COLUMNS are")));
                }
            },
        }
    }
    if names.is_empty() {
        names = vec!["pid", "tty", "time", "comm"];
    }
    if !names.contains(&"pid") {
        return Err(Error::invalid("Couldn't find PID field in ps output"));
    }
    names.into_iter().map(column).collect()
}

fn column(name: &str) -> Result<Column> {
    let column = |title, value| Ok(Column { title, value });
    match name {
        "uid_name" => column("UID", |p, h| h.user(p.uid)),
        "user" | "euser" | "uname" => column("USER", |p, h| h.user(p.uid)),
        "uid" | "euid" => column("UID", |p, _| p.uid.to_string()),
        "pid" => column("PID", |p, _| p.pid.to_string()),
        "ppid" => column("PPID", |p, _| p.parent.to_string()),
        "c" => column("C", |p, h| (percent(p, h) as u64).to_string()),
        "pcpu" | "%cpu" => column("%CPU", |p, h| format!("{:.1}", percent(p, h))),
        "pmem" | "%mem" => column("%MEM", |p, h| format!("{:.1}", p.resident as f64 * 100.0 / h.memory.max(1) as f64)),
        "vsz" => column("VSZ", |p, _| p.virtual_size.to_string()),
        "rss" => column("RSS", |p, _| p.resident.to_string()),
        "stime" | "start_time" => column("STIME", started),
        "start" => column("START", started),
        "tty" | "tname" => column("TTY", |p, _| terminal(p)),
        "tt" => column("TTY", |p, _| terminal(p)),
        "time" | "cputime" => column("TIME", |p, h| clock(p.time / h.ticks)),
        "etime" => column("ELAPSED", |p, h| clock(elapsed(p, h) as u64)),
        "stat" | "s" | "state" => column("STAT", |p, _| p.state.to_string()),
        "nlwp" | "thcount" => column("NLWP", |p, _| p.threads.to_string()),
        "ni" | "nice" => column("NI", |p, _| p.nice.to_string()),
        "comm" | "ucmd" => column("CMD", |p, _| p.name.clone()),
        "cmd" => column("CMD", |p, _| p.command.clone()),
        "args" | "command" => column("COMMAND", |p, _| p.command.clone()),
        other => Err(Error::invalid(format!("ps: column {other:?} is not known"))),
    }
}

fn began(process: &Process, host: &Host) -> i64 {
    host.booted + i64::try_from(process.started / host.ticks).unwrap_or(0)
}

fn elapsed(process: &Process, host: &Host) -> f64 {
    (Timestamp::now().as_second() - began(process, host)).max(0) as f64
}

fn percent(process: &Process, host: &Host) -> f64 {
    let seconds = elapsed(process, host);
    if seconds < 1.0 { 0.0 } else { process.time as f64 / host.ticks as f64 * 100.0 / seconds }
}

/// The time of day, or the day when it is not today.
fn started(process: &Process, host: &Host) -> String {
    let Ok(began) = Timestamp::from_second(began(process, host)) else { return "?".to_owned() };
    let zone = TimeZone::UTC;
    let (began, now) = (began.to_zoned(zone.clone()), Timestamp::now().to_zoned(zone));
    let format = if began.date() == now.date() { "%H:%M" } else { "%b%d" };
    began.strftime(format).to_string()
}

/// `pts/0` or `?`.
fn terminal(process: &Process) -> String {
    let (major, minor) =
        ((process.terminal >> 8) & 0xfff, (process.terminal & 0xff) | ((process.terminal >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &str) -> Result<String, String> {
        let titles = columns(arguments).map_err(|e| e.message().to_owned())?;
        Ok(titles.iter().map(|c| c.title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_usual_spellings_are_understood() {
        assert_eq!(titles("-ef").unwrap(), "UID PID PPID C STIME TTY TIME CMD");
        assert_eq!(titles("aux").unwrap(), "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        assert_eq!(titles("-o pid,comm").unwrap(), "PID CMD");
        assert_eq!(titles("-eo pid,args").unwrap(), "PID COMMAND");
        assert_eq!(titles("-o comm").unwrap_err(), "Couldn't find PID field in ps output");
        assert!(titles("--forest").is_err());
        assert!(titles("-o pid,what").is_err());
    }

    #[test]
    fn this_process_is_seen() {
        let seen = process(std::process::id() as i32).unwrap();
        assert_eq!(seen.uid, rustix::process::geteuid().as_raw());
        assert!(!seen.command.is_empty() && seen.threads > 0 && seen.resident > 0);
        assert_eq!(clock(3661), "01:01:01");
    }
}
