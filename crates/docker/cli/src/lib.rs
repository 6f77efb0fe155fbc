//! The command line client: docker's verbs, flags, output and exit codes, over the Engine API.
//!
//! It never links the engine; everything it knows comes through a socket, so it works against any daemon of that API.
//!
//! - `config`: environment, contexts, `config.json` and its credentials
//! - `connection`: one request each on a unix, TCP or TLS stream, and the hijacked streams of attach and exec
//! - `commands`: one file per verb or group of verbs
//! - `create_options`: the flags that `run` and `create` share, and the body that they make
//! - `stream`, `terminal`: multiplexed output, raw mode, detach keys, resize
//! - `template`, `table`, `units`: what `--format` and the tables print

#![recursion_limit = "256"]

mod commands;
mod config;
mod connection;
mod create_options;
mod ports;
mod progress;
mod stream;
mod table;
mod template;
mod terminal;
mod units;

use clap::Parser;
use std::ffi::OsString;

/// Why a command ends with another exit code than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub code: i32,
    /// What standard error is told; nothing when empty.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }

    /// Ends with a code and says nothing: the container has spoken.
    pub(crate) fn silent(code: i32) -> Self {
        Failure { code, message: String::new() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { code: 1, message: format!("{:#}", error.into()) }
    }
}

pub(crate) type Outcome = Result<(), Failure>;

#[derive(Parser)]
#[command(
    name = "sampan",
    about = "Containers: daemon, runtime and client in one binary",
    version,
    disable_help_subcommand = true
)]
struct Cli {
    /// Daemon socket to connect to
    #[arg(short = 'H', long = "host")]
    host: Option<String>,
    /// Name of the context to use to connect to the daemon
    #[arg(short = 'c', long = "context")]
    context: Option<String>,
    /// Location of client config files
    #[arg(long = "config")]
    config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: commands::Command,
}

/// Runs the client with the process's arguments (the program's name first) and returns the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 125 } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sampan: cannot start the event loop: {error}");
            return 125;
        }
    };
    let outcome = runtime.block_on(async {
        let config = config::Config::load(cli.config.as_deref(), cli.context.as_deref(), cli.host.as_deref())?;
        let client = connection::Client::new(config)?;
        commands::run(cli.command, client).await
    });
    // a thread may still be reading the terminal: it must not hold up the exit
    runtime.shutdown_background();
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            failure.code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        // builds every subcommand and checks flags and positions
        Cli::command().debug_assert();
    }
}
