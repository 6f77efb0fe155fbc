//! The supervisor and the process of shared process namespaces alone, so that this crate's tests need no other crate's binary.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(2).collect();
    match std::env::args_os().nth(1) {
        Some(role) if role == "supervisor" => supervisor::process::main(&args),
        _ => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
    }
}
