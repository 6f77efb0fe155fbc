//! `kill`.

use std::os::fd::OwnedFd;

use clap::Args;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::state::{State, Status, Store};
use crate::error::{AtStep, Error, Result};

/// SIGKILL
pub(super) const KILL: i32 = 9;

#[derive(Args)]
pub(super) struct Kill {
    /// Send it to every process of the container
    #[arg(short, long)]
    all: bool,
    /// Name of the container
    id: String,
    /// Name or number of the signal
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

impl Kill {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let signal = parse(&self.signal)?;
        let state = store.load(&self.id)?;
        if self.all {
            return everyone(&state, signal);
        }
        match store.status(&state)? {
            Status::Stopped => Err(Error::WrongState { action: "signal", state: "stopped: container not running" }),
            Status::Creating => Err(Error::WrongState { action: "signal", state: "being created" }),
            Status::Created | Status::Running | Status::Paused => first(&state, signal),
        }
    }
}

/// Signals the first process; with it its process namespace goes.
pub(super) fn first(state: &State, signal: i32) -> Result<()> {
    if let Some(pidfd) = state.pidfd()? {
        send(&pidfd, state.pid, signal)?;
    }
    // What the v1 freezer holds dies only once it is let go; on v2 this changes nothing for the dead.
    if signal == KILL
        && let Some(group) = state.cgroup()?
        && !matches!(group.freezer(), Ok(cgroup::Freezer::Thawed) | Err(_))
    {
        group.thaw()?;
    }
    Ok(())
}

fn everyone(state: &State, signal: i32) -> Result<()> {
    let Some(group) = state.cgroup()? else { return first(state, signal) };
    if signal == KILL {
        return Ok(group.kill_all()?);
    }
    for pid in group.pids()? {
        let Some(number) = Pid::from_raw(pid) else { continue };
        let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) else { continue };
        if group.pids()?.contains(&pid) {
            send(&pidfd, pid, signal)?;
        }
    }
    Ok(())
}

/// Fine if it has ended meanwhile.
fn send(pidfd: &OwnedFd, pid: i32, signal: i32) -> Result<()> {
    match sys::pidfd::send_signal(pidfd, signal) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
        result => result.at(|| format!("signal process {pid}")),
    }
}

/// `15`, `TERM`, `SIGTERM`, `SIGRTMIN+3`, in any case.
pub(super) fn parse(text: &str) -> Result<i32> {
    let number = text.parse::<i32>().ok().or_else(|| by_name(&text.to_ascii_uppercase()));
    let number = number.filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| Error::Spec { field: "signal", problem: format!("unknown signal {text:?}") })
}

fn by_name(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').map(|offset| 34 + offset);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').map(|offset| 64 - offset);
    }
    const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
                         TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    NAMES.split_whitespace().zip(1..).find(|(known, _)| *known == name).map(|(_, number)| number)
}

fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() { Some(0) } else { rest.strip_prefix(sign)?.parse().ok().filter(|n| (0..=30).contains(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [("KILL", 9), ("sigterm", 15), ("15", 15), ("SIGRTMIN+3", 37), ("RTMAX", 64), ("IOT", 6)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "SIGNOPE", "0", "65", "RTMIN+x"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
