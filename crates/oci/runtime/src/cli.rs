//! `sampan runtime`: runc's command line.

use std::ffi::OsString;

/// Runs one command and returns its exit code. Call it before the process has a second thread.
pub fn main(args: &[OsString]) -> u8 {
    let _ = args;
    todo!()
}
