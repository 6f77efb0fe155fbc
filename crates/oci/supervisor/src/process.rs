//! The supervisor process: one thread, one epoll, no tokio.
//!
//! It must be entered before any thread exists, because containers are forked from it.

mod adopt;
mod child;
mod connection;
mod create;
mod keep;
mod poll;
mod reexec;
mod request;
mod setup;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use self::setup::{LOCK, LOG, SOCKET};
pub(crate) use self::table::program_id;

/// Runs `sampan supervisor --exec-root PATH`; returns only when it cannot start or has nothing left to do.
///
/// Standard output gets one line, `ready` or the reason why not; standard error is its log.
pub fn main(args: &[OsString]) -> ExitCode {
    let started = match parse(args) {
        Ok(Start::Fresh { exec_root }) => setup::fresh(&exec_root),
        Ok(Start::Resume) => reexec::resume(),
        Err(usage) => {
            println!("{usage}");
            return ExitCode::from(125);
        }
    };
    let mut supervisor = match started {
        Ok(supervisor) => supervisor,
        Err(error) => {
            println!("{error}");
            return ExitCode::from(125);
        }
    };
    match supervisor.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sampan supervisor: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Start {
    Fresh { exec_root: PathBuf },
    Resume,
}

fn parse(args: &[OsString]) -> Result<Start, String> {
    match args {
        [flag, path] if flag == "--exec-root" => Ok(Start::Fresh { exec_root: PathBuf::from(path) }),
        [flag] if flag == "--resume" => Ok(Start::Resume),
        _ => Err("usage: sampan supervisor --exec-root PATH".to_owned()),
    }
}
