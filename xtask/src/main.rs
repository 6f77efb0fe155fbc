//! Project chores: `cargo xtask dist|setup|test|tidy|demo|bench`.

mod bench;
mod demo;
mod dist;
mod packages;
mod test;
mod tidy;

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "cargo xtask dist|setup|test|tidy|demo|bench
  dist    build the static binary dist/sampan
  setup   install what the tests need
  test    the same, then run every check and test
  tidy    check the rules of the source tree
  demo    show the binary at work on a Debian image made here
  bench   compare with runc, crun and dockerd in one run";

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    std::env::set_current_dir(root()).context("enter the project's folder")?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("dist") => dist::dist().map(|path| println!("{}", path.display())),
        Some("setup") => packages::set_up().map(drop),
        Some("test") => test::test(&words[1..]),
        Some("tidy") => tidy::tidy(),
        Some("demo") => demo::demo(),
        Some("bench") => bench::bench(&words[1..]),
        _ => bail!("{USAGE}"),
    }
}

/// The project's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command that must succeed, its output shown.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_command(Command::new(program).args(arguments))
}

/// As [`run`], for a command with an environment of its own.
fn run_command(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}");
    println!("$ {}", line.replace('"', ""));
    let status = command.status().with_context(|| format!("start {line}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// Cargo, with the environment that it has when called by hand: build scripts that look at what `cargo run` has set for this
/// program would run again, and what depends on them be compiled again, at each change between the two.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name == "CARGO_MANIFEST_DIR" || name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a program is on PATH.
fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
