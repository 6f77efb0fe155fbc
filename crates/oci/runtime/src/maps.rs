//! The id maps of a new user namespace, written from outside: by root itself, by a plain user for the one id that it
//! is, or by the set-user-id programs newuidmap and newgidmap for the ranges that /etc/subuid and /etc/subgid give it.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use rustix::process::{getegid, geteuid};

use crate::error::{AtStep, Error, Result};

/// Writes both maps of a process, which are lines of `container host size`.
pub(crate) fn write(pid: i32, uids: &str, gids: &str) -> Result<()> {
    if geteuid().is_root() {
        to_file(pid, "uid_map", uids)?;
        return to_file(pid, "gid_map", gids);
    }
    match is_only(uids, geteuid().as_raw()) {
        true => to_file(pid, "uid_map", uids)?,
        false => by_program("newuidmap", pid, uids)?,
    }
    match is_only(gids, getegid().as_raw()) {
        // The kernel's condition: dropping a group could be a way around a file's mode.
        true => to_file(pid, "setgroups", "deny").and_then(|()| to_file(pid, "gid_map", gids)),
        false => by_program("newgidmap", pid, gids),
    }
}

fn to_file(pid: i32, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    fs::write(&path, text).at(|| format!("write {:?} to {path}", text.trim()))
}

/// Whether a map has one id, this one.
fn is_only(map: &str, id: u32) -> bool {
    let fields: Vec<&str> = map.split_whitespace().collect();
    matches!(fields[..], [_, host, "1"] if host.parse() == Ok(id))
}

fn by_program(program: &str, pid: i32, map: &str) -> Result<()> {
    let step = || format!("map ids {:?} with {program}", map.trim());
    let mut command = Command::new(program);
    command.arg(pid.to_string()).args(map.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "it is not installed (package uidmap), and without it a user can map its own id alone";
            return Err(Error::step(step(), io::Error::new(io::ErrorKind::NotFound, advice)));
        }
        result => result.at(step)?,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let text = format!("{}: {}", output.status, said.trim());
    Err(Error::step(step(), io::Error::other(text)))
}

#[cfg(test)]
mod tests {
    use super::is_only;

    #[test]
    fn one_own_id_needs_no_help() {
        assert!(is_only("0 1000 1\n", 1000));
        assert!(is_only("1000 1000 1\n", 1000));
        for map in ["0 1000 2\n", "0 100000 1\n", "0 1000 1\n1 100000 65536\n", ""] {
            assert!(!is_only(map, 1000), "{map:?}");
        }
    }
}
