//! `sampan runtime`: runc's command line. One file per command; what is remembered of a container between two
//! commands is in [`state`].
//!
//! Callers such as containerd and podman rely on runc's flags, on its exit codes and on the last line of `--log`
//! being the reason of a failure.

mod console;
mod create;
mod delete;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod out;
mod pause;
mod ps;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::{Error, Result};
use log::Log;
use state::Store;

/// Where containers are remembered unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/sampan-runtime";

#[derive(Parser)]
#[command(name = "sampan runtime", about = "An OCI runtime with runc's command line", disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// runc's global flags.
#[derive(Args)]
struct Global {
    /// Folder for the state of containers (on a tmpfs)
    #[arg(long, default_value = DEFAULT_ROOT)]
    root: PathBuf,
    /// Say more
    #[arg(long)]
    debug: bool,
    /// Where errors and warnings go besides standard error
    #[arg(long)]
    log: Option<PathBuf>,
    /// text or json
    #[arg(long, default_value = "text")]
    log_format: log::Format,
    /// Let systemd make the control groups (not built)
    #[arg(long)]
    systemd_cgroup: bool,
    /// Taken for compatibility: whether this is a rootless run is seen from the user id
    #[arg(long, value_name = "BOOL")]
    rootless: Option<String>,
    /// Taken for compatibility: there are no checkpoints
    #[arg(long)]
    criu: Option<PathBuf>,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a container that waits for its start
    Create(create::Create),
    /// Make a container, start it and wait for its end
    Run(create::Run),
    /// Let a created container execute its command
    Start(start::Start),
    /// Print what a container is doing, as JSON
    State(list::State),
    /// Send a signal to a container
    Kill(kill::Kill),
    /// Remove a container
    Delete(delete::Delete),
    /// Execute one more process in a container
    Exec(exec::Exec),
    /// List the processes of a container
    Ps(ps::Ps),
    /// Stop all processes of a container
    Pause(pause::Pause),
    /// Let all processes of a container go on
    Resume(pause::Resume),
    /// List containers
    List(list::List),
    /// Change the limits of a container
    Update(update::Update),
    /// Write a config.json to start from
    Spec(spec::SpecCommand),
    /// Print what this runtime can do, as JSON
    Features(features::Features),
    /// Not built
    Checkpoint(NotBuilt),
    /// Not built
    Restore(NotBuilt),
    /// Not built
    Events(NotBuilt),
}

/// A command of runc's that is missing; its arguments are not looked at.
#[derive(Args)]
struct NotBuilt {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

/// Runs one command and returns its exit code. Call it before the process has a second thread.
pub fn main(args: &[OsString]) -> u8 {
    let name = OsString::from("sampan runtime");
    let cli = match Cli::try_parse_from([name].iter().chain(args)) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 1 } else { 0 };
        }
    };
    if cli.global.version {
        let text = format!("sampan runtime version {}\nspec: {}", env!("CARGO_PKG_VERSION"), features::SPEC_VERSION);
        return u8::from(out::line(&text).is_err());
    }
    let log = Log::new(cli.global.log.as_deref(), cli.global.log_format);
    let Some(command) = cli.command else {
        log.error("no command given; see sampan runtime --help");
        return 1;
    };
    match run(&cli.global, command, &log) {
        Ok(code) => code,
        Err(failure) => {
            log.error(&failure.error.to_string());
            failure.code
        }
    }
}

/// An error with the exit code that runc would have.
struct Failure {
    error: Error,
    code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, code: 1 }
    }
}

fn run(global: &Global, command: Command, log: &Log) -> Result<u8, Failure> {
    if global.systemd_cgroup {
        return Err(Error::Unimplemented("--systemd-cgroup: control groups made by systemd".to_owned()).into());
    }
    let store = Store::new(&global.root);
    let done = |()| 0;
    Ok(match command {
        Command::Create(command) => command.run(&store, log).map(done)?,
        Command::Run(command) => command.run(&store, log)?,
        Command::Start(command) => command.run(&store, log).map(done)?,
        Command::State(command) => command.run(&store).map(done)?,
        Command::Kill(command) => command.run(&store).map(done)?,
        Command::Delete(command) => command.run(&store, log).map(done)?,
        // As runc: 255 tells a failure to execute from an exit code of the process.
        Command::Exec(command) => command.run(&store, log).map_err(|error| Failure { error, code: 255 })?,
        Command::Ps(command) => command.run(&store).map(done)?,
        Command::Pause(command) => command.run(&store).map(done)?,
        Command::Resume(command) => command.run(&store).map(done)?,
        Command::List(command) => command.run(&store).map(done)?,
        Command::Update(command) => command.run(&store, log).map(done)?,
        Command::Spec(command) => command.run().map(done)?,
        Command::Features(command) => command.run().map(done)?,
        Command::Checkpoint(_) => return Err(Error::Unimplemented("checkpoint".to_owned()).into()),
        Command::Restore(_) => return Err(Error::Unimplemented("restore".to_owned()).into()),
        Command::Events(_) => return Err(Error::Unimplemented("events".to_owned()).into()),
    })
}
