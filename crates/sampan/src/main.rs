//! Entry point: chooses the process's role from its name and first argument before any thread exists.

mod daemon;
mod init;
mod kubernetes;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let (role, args) = role(&name, &args);
    match role {
        Role::Daemon => daemon::main(args),
        Role::Init => init::main(args),
        Role::Kubernetes => kubernetes::main(args),
        Role::Runtime => ExitCode::from(runtime::cli::main(args)),
        Role::Client => {
            let code = docker_cli::main(std::iter::once(name.clone()).chain(args.iter().cloned()));
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Role::Supervisor => match runtime::seal::ensure() {
            Ok(()) => supervisor::process::main(args),
            Err(error) => {
                eprintln!("sampan supervisor: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// What this process is.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// The Docker daemon.
    Daemon,
    /// The process that holds containers while daemons come and go.
    Supervisor,
    /// An OCI runtime with runc's command line.
    Runtime,
    /// Backup, restore and check of a cluster.
    Kubernetes,
    /// Process 1 inside a container.
    Init,
    /// The command line client.
    Client,
}

fn role<'a>(name: &OsString, args: &'a [OsString]) -> (Role, &'a [OsString]) {
    let called = Path::new(name).file_name().and_then(|n| n.to_str()).unwrap_or_default();
    match called {
        "dockerd" => return (Role::Daemon, args),
        "docker-init" => return (Role::Init, args),
        "runc" | "sampan-runtime" => return (Role::Runtime, args),
        _ => {}
    }
    let Some((first, rest)) = args.split_first() else {
        return (Role::Client, args);
    };
    match first.to_str() {
        Some("daemon") => (Role::Daemon, rest),
        Some("supervisor") => (Role::Supervisor, rest),
        Some("runtime") => (Role::Runtime, rest),
        Some("init") => (Role::Init, rest),
        Some("kubernetes") => (Role::Kubernetes, rest),
        _ => (Role::Client, args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(words: &[&str]) -> (Role, usize) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (role, rest) = role(&words[0], &words[1..]);
        (role, rest.len())
    }

    #[test]
    fn name_and_first_word_choose_the_role() {
        assert_eq!(role_of(&["/usr/bin/dockerd", "--debug"]), (Role::Daemon, 1));
        assert_eq!(role_of(&["sampan", "daemon", "--debug"]), (Role::Daemon, 1));
        assert_eq!(role_of(&["/sbin/docker-init", "--", "sh"]), (Role::Init, 2));
        assert_eq!(role_of(&["sampan", "runtime", "list"]), (Role::Runtime, 1));
        assert_eq!(role_of(&["/opt/runc", "list"]), (Role::Runtime, 1));
        assert_eq!(role_of(&["sampan", "run", "debian:12"]), (Role::Client, 2));
        assert_eq!(role_of(&["sampan"]), (Role::Client, 0));
    }
}
