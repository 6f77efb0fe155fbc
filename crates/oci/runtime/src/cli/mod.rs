//! `sampan runtime`: runc's command line. One file per command; what is remembered of a container between two
//! commands is in [`state`].

mod state;

use std::ffi::OsString;

/// Runs one command and returns its exit code. Call it before the process has a second thread.
pub fn main(args: &[OsString]) -> u8 {
    let _ = args;
    todo!()
}
