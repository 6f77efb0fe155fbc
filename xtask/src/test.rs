//! `test`: format, lints, tidy, and every test, with all the set-up that they need.

use crate::{cargo, dist, has, packages, run_command, tidy};
use anyhow::Result;
use std::path::PathBuf;

/// Runs everything; further words go to the test runner as filters.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let set = packages::set_up()?;
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    run_command(cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))?;
    // the whole workspace, as for the tests: with one package alone, dependencies would have other features and be built twice
    run_command(cargo().args(["build", "--quiet", "--workspace", "--locked"]))?;
    let binary = std::path::absolute(PathBuf::from("target").join(dist::target()).join("debug/sampan"))?;
    let mut command = cargo();
    if has("cargo-nextest") {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    }
    command.env("SAMPAN_BIN", binary).env("SAMPAN_PYTHON", set.python);
    command.env("SAMPAN_CLIENTS", set.clients).env("SAMPAN_JAVASCRIPT", set.javascript);
    run_command(command.args(filters))
}
