//! The supervisor process alone, so that this crate's tests need no other crate's binary.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(2).collect();
    supervisor::process::main(&args)
}
