//! Processes of a container as `ps` shows them, read from /proc without that program.

use std::fs;

use crate::Engine;
use crate::engine::blocking;
use crate::error::{Error, Result};
use crate::model::view::{Status, Top};

/// A column that is known, by ps's names for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Uid,
    User,
    Pid,
    Ppid,
    C,
    Stime,
    Tty,
    Time,
    Cmd,
    Command,
    Comm,
    Stat,
    Vsz,
    Rss,
    PercentCpu,
    PercentMem,
    Nlwp,
    Ni,
    Pri,
}

const FULL: &[Column] =
    &[Column::Uid, Column::Pid, Column::Ppid, Column::C, Column::Stime, Column::Tty, Column::Time, Column::Cmd];
const AUX: &[Column] = &[
    Column::User,
    Column::Pid,
    Column::PercentCpu,
    Column::PercentMem,
    Column::Vsz,
    Column::Rss,
    Column::Tty,
    Column::Stat,
    Column::Stime,
    Column::Time,
    Column::Command,
];

impl Engine {
    /// `arguments` are those of ps; empty means `-ef`.
    pub async fn top(&self, container: &str, arguments: &str) -> Result<Top> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
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
        let columns = columns(arguments)?;
        let pids = self.inner.supervisor.pids(&record.id).await?;
        let memory = self.inner.facts.memory;
        self.inner.tell(&record, "top", &[]);
        blocking(move || {
            let host = Host::read(memory);
            let titles = columns.iter().map(|it| title(*it).to_owned()).collect();
            let rows = pids.iter().filter_map(|pid| Process::read(*pid));
            let processes = rows.map(|process| columns.iter().map(|it| cell(*it, &process, &host)).collect()).collect();
            Ok(Top { titles, processes })
        })
        .await
    }
}

fn columns(arguments: &str) -> Result<Vec<Column>> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    match words.as_slice() {
        [] | ["-ef"] | ["-e", "-f"] | ["-fe"] => return Ok(FULL.to_vec()),
        ["aux" | "-aux" | "auxw" | "auxww" | "ux"] => return Ok(AUX.to_vec()),
        _ => {}
    }
    let mut columns = Vec::new();
    let mut rest = words.into_iter();
    while let Some(word) = rest.next() {
        let list = match word {
            "-e" | "-A" | "e" | "a" | "x" | "ax" | "-ax" => continue,
            "-o" | "o" | "-eo" | "-Ao" | "axo" | "--format" => rest.next().unwrap_or_default(),
            _ => word.strip_prefix("-eo").or_else(|| word.strip_prefix("-o")).ok_or_else(|| unknown(arguments))?,
        };
        for name in list.split(',') {
            columns.push(column(name.split('=').next().unwrap_or(name)).ok_or_else(|| unknown(arguments))?);
        }
    }
    if columns.is_empty() {
        columns = vec![Column::Pid, Column::Tty, Column::Time, Column::Cmd];
    }
    if !columns.contains(&Column::Pid) {
        return Err(Error::internal("Couldn't find PID field in ps output"));
    }
    Ok(columns)
}

fn unknown(arguments: &str) -> Error {
    Error::unimplemented(format!("ps: the arguments \"{arguments}\" are not implemented"))
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "uid" | "euid" | "user" | "euser" | "uname" => Column::User,
        "pid" | "tgid" => Column::Pid,
        "ppid" => Column::Ppid,
        "c" => Column::C,
        "stime" | "start" | "start_time" | "lstart" => Column::Stime,
        "tty" | "tt" | "tname" => Column::Tty,
        "time" | "cputime" => Column::Time,
        "cmd" => Column::Cmd,
        "args" | "command" => Column::Command,
        "comm" | "ucmd" | "ucomm" => Column::Comm,
        "stat" | "s" | "state" => Column::Stat,
        "vsz" | "vsize" => Column::Vsz,
        "rss" | "rssize" => Column::Rss,
        "pcpu" | "%cpu" => Column::PercentCpu,
        "pmem" | "%mem" => Column::PercentMem,
        "nlwp" | "thcount" => Column::Nlwp,
        "ni" | "nice" => Column::Ni,
        "pri" => Column::Pri,
        _ => return None,
    })
}

fn title(column: Column) -> &'static str {
    match column {
        Column::Uid => "UID",
        Column::User => "USER",
        Column::Pid => "PID",
        Column::Ppid => "PPID",
        Column::C => "C",
        Column::Stime => "STIME",
        Column::Tty => "TTY",
        Column::Time => "TIME",
        Column::Cmd => "CMD",
        Column::Command | Column::Comm => "COMMAND",
        Column::Stat => "STAT",
        Column::Vsz => "VSZ",
        Column::Rss => "RSS",
        Column::PercentCpu => "%CPU",
        Column::PercentMem => "%MEM",
        Column::Nlwp => "NLWP",
        Column::Ni => "NI",
        Column::Pri => "PRI",
    }
}

/// What of the host the columns need.
struct Host {
    passwd: String,
    /// Seconds since 1970.
    boot: i64,
    now: i64,
    memory: u64,
}

impl Host {
    fn read(memory: u64) -> Host {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        Host {
            passwd: fs::read_to_string("/etc/passwd").unwrap_or_default(),
            boot: boot.unwrap_or(0),
            now: jiff::Timestamp::now().as_second(),
            memory,
        }
    }

    fn user(&self, uid: u32) -> String {
        let named = self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        named.unwrap_or_else(|| uid.to_string())
    }
}

/// One process of /proc; it may be gone before it is read, then there is none.
struct Process {
    pid: i32,
    ppid: i32,
    uid: u32,
    state: char,
    session: i32,
    foreground: bool,
    tty: i64,
    ticks: u64,
    nice: i64,
    priority: i64,
    threads: u64,
    start: u64,
    vsize: u64,
    rss: u64,
    name: String,
    command: String,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Process::parse(&stat, &status, &command)
    }

    fn parse(stat: &str, status: &str, command: &[u8]) -> Option<Process> {
        let (head, tail) = stat.rsplit_once(')')?;
        let (pid, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uid = uid?.split_whitespace().nth(1)?.parse().ok()?;
        let command = String::from_utf8_lossy(command).trim_end_matches('\0').replace('\0', " ");
        let own = pid.trim().parse().ok()?;
        Some(Process {
            pid: own,
            ppid: i32::try_from(number(1)?).ok()?,
            uid,
            state: fields.first()?.chars().next()?,
            session: i32::try_from(number(3)?).ok()?,
            foreground: number(5)? == number(2)?,
            tty: number(4)?,
            ticks: u64::try_from(number(11)? + number(12)?).ok()?,
            priority: number(15)?,
            nice: number(16)?,
            threads: u64::try_from(number(17)?).ok()?,
            start: u64::try_from(number(19)?).ok()?,
            vsize: u64::try_from(number(20)?).ok()?,
            rss: u64::try_from(number(21)?).ok()? * 4,
            name: name.to_owned(),
            command,
        })
    }

    fn command(&self) -> String {
        if self.command.is_empty() { format!("[{}]", self.name) } else { self.command.clone() }
    }
}

fn cell(column: Column, process: &Process, host: &Host) -> String {
    let seconds = process.ticks / 100;
    let began = host.boot + i64::try_from(process.start / 100).unwrap_or(0);
    let lived = (host.now - began).max(1);
    let share = process.ticks as f64 / lived as f64;
    match column {
        Column::Uid | Column::User => host.user(process.uid),
        Column::Pid => process.pid.to_string(),
        Column::Ppid => process.ppid.to_string(),
        Column::C => format!("{:.0}", share.min(99.0)),
        Column::Stime => start_time(began, host.now),
        Column::Tty => tty(process.tty),
        Column::Time => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        Column::Cmd | Column::Command => process.command(),
        Column::Comm => process.name.clone(),
        Column::Stat => {
            let leader = if process.session == process.pid { "s" } else { "" };
            let many = if process.threads > 1 { "l" } else { "" };
            let front = if process.foreground { "+" } else { "" };
            format!("{}{leader}{many}{front}", process.state)
        }
        Column::Vsz => (process.vsize / 1024).to_string(),
        Column::Rss => process.rss.to_string(),
        Column::PercentCpu => format!("{share:.1}"),
        Column::PercentMem => format!("{:.1}", process.rss as f64 * 1024.0 * 100.0 / host.memory.max(1) as f64),
        Column::Nlwp => process.threads.to_string(),
        Column::Ni => process.nice.to_string(),
        Column::Pri => (39 - process.priority).to_string(),
    }
}

/// `12:34` within a day, `Nov24` before.
fn start_time(at: i64, now: i64) -> String {
    let Ok(at_time) = jiff::Timestamp::from_second(at) else {
        return "?".to_owned();
    };
    let zoned = at_time.to_zoned(jiff::tz::TimeZone::UTC);
    let form = if now - at < 86_400 { "%H:%M" } else { "%b%d" };
    zoned.strftime(form).to_string()
}

/// The terminal's name from its device number.
fn tty(device: i64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_shown_in_columns() {
        let stat = "42 (my (odd) name) S 1 42 42 34817 42 4194304 1 0 0 0 150 50 0 0 20 0 3 0 1000 8192000 100 0";
        let process = Process::parse(stat, "Name:\tx\nUid:\t33\t33\t33\t33\n", b"sleep\x00100\x00").unwrap();
        let host = Host { passwd: "www:x:33:33::/:/bin/sh\n".into(), boot: 0, now: 110, memory: 1 << 30 };
        let row: Vec<_> = FULL.iter().map(|it| cell(*it, &process, &host)).collect();
        assert_eq!(row, ["www", "42", "1", "2", "00:00", "pts/1", "00:00:02", "sleep 100"]);
        assert_eq!(cell(Column::Stat, &process, &host), "Ssl+");
        assert_eq!(cell(Column::Rss, &process, &host), "400");
    }

    #[test]
    fn arguments_choose_columns() {
        assert_eq!(columns("").unwrap(), FULL);
        assert_eq!(columns("-o pid,cmd").unwrap(), [Column::Pid, Column::Cmd]);
        assert!(columns("-o cmd").unwrap_err().message().contains("PID field"));
        assert!(columns("-Z").is_err());
    }
}
