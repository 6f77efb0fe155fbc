//! `sampan runtime`: runc's command line. One file per command; what is remembered of a container between two
//! commands is in [`state`].
//!
//! Callers such as containerd and podman rely on runc's flags, on its exit codes and on the last line of `--log`
//! being the reason of a failure.

mod checkpoint;
mod console;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod out;
mod pause;
mod ps;
mod rootless;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, Result};
use log::Log;
use rootless::Rootless;
use state::Store;

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
    /// Folder for the state of containers (on a tmpfs); /run/sampan-runtime, for a plain user beneath XDG_RUNTIME_DIR
    #[arg(long)]
    root: Option<PathBuf>,
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
    /// Whether to go on without control groups where they are denied: true, false or auto
    #[arg(long, value_name = "BOOL")]
    rootless: Option<String>,
    /// The program that makes and restores checkpoints
    #[arg(long, default_value = "criu")]
    criu: PathBuf,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
}

/// The global flags that a value follows.
const WITH_VALUE: [&str; 5] = ["--root", "--log", "--log-format", "--rootless", "--criu"];

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
    /// Print statistics and lacks of memory of a container, as JSON
    Events(events::Events),
    /// Write a config.json to start from
    Spec(spec::SpecCommand),
    /// Print what this runtime can do, as JSON
    Features(features::Features),
    /// Save a running container in files, with criu
    Checkpoint(checkpoint::Checkpoint),
    /// Let a saved container go on, with criu
    Restore(checkpoint::Restore),
}

/// Runs one command and returns its exit code. Call it before the process has a second thread.
pub fn main(args: &[OsString]) -> u8 {
    let word = command_word(args);
    if matches!(word, Some("create" | "run" | "exec")) {
        // At once, before anything is done that would have to be done again. The command tells of a failure.
        let _ = crate::seal::ensure();
    }
    let cli = match parse(word, args) {
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

/// The word among the arguments that is the command: the first that is neither a global flag nor the value of one.
fn command_word(args: &[OsString]) -> Option<&str> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_str()?;
        if !arg.starts_with('-') {
            return Some(arg);
        }
        if WITH_VALUE.contains(&arg) {
            args.next();
        }
    }
    None
}

/// Describing all commands takes longer than some of them do, so the frequent ones are parsed by themselves. Whoever
/// made a mistake or asks for help gets the whole.
fn parse(word: Option<&str>, args: &[OsString]) -> Result<Cli, clap::Error> {
    let name = OsString::from("sampan runtime");
    let line = || std::iter::once(&name).chain(args);
    if let Some(command) = word.and_then(alone)
        && let Ok(matches) = Global::augment_args(clap::Command::new("sampan runtime"))
            .disable_version_flag(true)
            .subcommand(command)
            .try_get_matches_from(line())
        && let (Ok(global), Ok(command)) = (Global::from_arg_matches(&matches), Command::from_arg_matches(&matches))
    {
        return Ok(Cli { global, command: Some(command) });
    }
    Cli::try_parse_from(line())
}

/// The description of one command.
fn alone(word: &str) -> Option<clap::Command> {
    let (name, augment): (&'static str, fn(clap::Command) -> clap::Command) = match word {
        "create" => ("create", create::Create::augment_args),
        "run" => ("run", create::Run::augment_args),
        "start" => ("start", start::Start::augment_args),
        "state" => ("state", list::State::augment_args),
        "kill" => ("kill", kill::Kill::augment_args),
        "delete" => ("delete", delete::Delete::augment_args),
        "exec" => ("exec", exec::Exec::augment_args),
        _ => return None,
    };
    Some(augment(clap::Command::new(name)))
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
    let root = global.root.clone().unwrap_or_else(rootless::default_root);
    let store = Store::new(&root);
    let rootless = || Rootless::parse(global.rootless.as_deref());
    let done = |()| 0;
    Ok(match command {
        Command::Create(command) => command.run(&store, rootless()?, log).map(done)?,
        Command::Run(command) => command.run(&store, rootless()?, log)?,
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
        Command::Events(command) => command.run(&store).map(done)?,
        Command::Spec(command) => command.run().map(done)?,
        Command::Features(command) => command.run().map(done)?,
        Command::Checkpoint(command) => command.run(&store, &global.criu, log).map(done)?,
        Command::Restore(command) => command.run(&store, &global.criu, rootless()?, log).map(done)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_found_behind_the_global_flags() {
        for (line, word) in [
            ("run -b /x c", Some("run")),
            ("--root /run --debug --log-format json exec c ls", Some("exec")),
            ("--root=/run kill c", Some("kill")),
            ("--version", None),
        ] {
            assert_eq!(command_word(&words(line)), word, "{line}");
        }
    }

    #[test]
    fn frequent_commands_are_parsed_alone_as_with_all_others() {
        let args = words("--root /r --rootless true create --bundle /b --preserve-fds 2 c1");
        let cli = parse(command_word(&args), &args).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cli.global.root.as_deref(), Some(std::path::Path::new("/r")));
        assert!(matches!(cli.command, Some(Command::Create(_))));
        let args = words("exec -t c1 ls -l");
        assert!(matches!(parse(Some("exec"), &args).map(|cli| cli.command), Ok(Some(Command::Exec(_)))));
        let args = words("kill");
        let Err(error) = parse(Some("kill"), &args) else { panic!("a container is missing") };
        assert!(error.to_string().contains("Usage: sampan runtime kill"), "{error}");
    }
}
