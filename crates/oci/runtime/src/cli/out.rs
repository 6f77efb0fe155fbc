//! Standard output of commands that print something.

use std::io::{self, Write};

use crate::error::{AtStep, Result};

/// Prints a text with a line's end. A reader that has seen enough (`| grep -q`) is no failure.
pub(super) fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.at(|| "write to standard output"),
    }
}
