//! `test`: format, lints, tidy, and every test, with all the set-up that they need.

use crate::{dist, has, packages, run, run_command, tidy};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// Runs everything; further words go to the test runner as filters.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let set = packages::set_up()?;
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::tidy()?;
    run("cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])?;
    run("cargo", &["build", "--quiet", "--locked", "--package", "sampan", "--target", dist::target()])?;
    let binary = std::path::absolute(PathBuf::from("target").join(dist::target()).join("debug/sampan"))?;
    let mut command = Command::new("cargo");
    if has("cargo-nextest") {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    }
    command.env("SAMPAN_BIN", binary).env("SAMPAN_PYTHON", set.python);
    command.env("SAMPAN_CLIENTS", set.clients).env("SAMPAN_JAVASCRIPT", set.javascript);
    run_command(command.args(filters))
}
