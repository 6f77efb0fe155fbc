//! `docker-init`: process 1 of a container that starts one command, passes signals on to it and reaps whatever is left to it;
//! with `--pause`, process 1 of a pod that only reaps.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};

/// Runs `docker-init [--] command arguments...`; the exit code is the command's, or 128 and the signal that ended it.
pub fn main(args: &[OsString]) -> ExitCode {
    let command = match args.first() {
        Some(dashes) if dashes == "--" => &args[1..],
        _ => args,
    };
    if command.first().is_some_and(|word| word == "--pause") {
        return pause();
    }
    let Some((program, rest)) = command.split_first() else {
        eprintln!("docker-init: no command given");
        return ExitCode::from(1);
    };
    // Before the command exists, so that no signal meant for it is lost. Command empties the mask in the child.
    if let Err(e) = sys::signals::block_all() {
        eprintln!("docker-init: cannot block signals: {e}");
        return ExitCode::from(1);
    }
    match Command::new(program).args(rest).spawn() {
        Ok(child) => ExitCode::from(look_after(child)),
        Err(e) => {
            eprintln!("docker-init: exec {}: {e}", program.display());
            ExitCode::from(if e.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

/// Reaps until it is told to end.
fn pause() -> ExitCode {
    if let Err(e) = sys::signals::block_all() {
        eprintln!("docker-init: cannot block signals: {e}");
        return ExitCode::from(1);
    }
    loop {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        let ends = [Signal::TERM.as_raw(), Signal::INT.as_raw()];
        match sys::signals::wait(Duration::from_secs(3600)) {
            Ok(Some(signal)) if ends.contains(&signal.number) => return ExitCode::SUCCESS,
            Ok(_) => {}
            Err(_) => return ExitCode::from(1),
        }
    }
}

fn look_after(child: Child) -> u8 {
    let main = Pid::from_child(&child);
    loop {
        if let Some(code) = reap(main) {
            return code;
        }
        match sys::signals::wait(Duration::from_secs(3600)) {
            Ok(Some(signal)) if signal.number != Signal::CHILD.as_raw() => pass_on(main, signal),
            Ok(_) => {}
            Err(e) => {
                eprintln!("docker-init: cannot wait for signals: {e}");
                return 1;
            }
        }
    }
}

/// The terminal sends its signals to the whole foreground group, so the command has those already; stops for terminal use are not ours to follow.
fn pass_on(main: Pid, signal: sys::signals::Pending) {
    let of_terminal = [Signal::TTIN.as_raw(), Signal::TTOU.as_raw()].contains(&signal.number);
    if signal.from_kernel || of_terminal {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal.number) {
        // It may have ended meanwhile; the next round notices.
        let _ = rustix::process::kill_process(main, signal);
    }
}

/// Collects every process that has ended; the exit code once the main one is among them.
fn reap(main: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == main {
            let status = std::process::ExitStatus::from_raw(status.as_raw());
            code = Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)).clamp(0, 255) as u8);
        }
    }
    code
}
