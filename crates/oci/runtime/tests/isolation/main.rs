//! Real containers from busybox bundles: each part of the isolation proven from inside, and compared with runc's.
//!
//! The harness is our own: a process that launches containers must have one thread, so every test runs this binary
//! once more as a launcher. It understands what cargo test and nextest ask a test binary for.

mod bundle;
mod compare;
mod confinement;
mod failures;
mod features;
mod files;
mod launcher;
mod lifecycle;
mod processes;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test and its name.
pub type Test = (&'static str, fn());

/// Lists functions as tests of a module.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::Test] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name as fn())),*];
    };
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "launch") {
        return ExitCode::from(launcher::main(&args[1..]));
    }
    let all = [
        compare::TESTS,
        confinement::TESTS,
        failures::TESTS,
        features::TESTS,
        files::TESTS,
        lifecycle::TESTS,
        processes::TESTS,
    ]
    .concat();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--list") {
        for (name, _) in all.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = bundle::reason_to_skip() {
        println!("skipped: {reason}");
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |name: &str| match has("--exact") {
        true => wanted.iter().any(|wanted| *wanted == name),
        false => wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())),
    };
    let mut failed = false;
    for (name, test) in all.iter().filter(|(name, _)| chosen(name)) {
        let ok = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        failed |= !ok;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
