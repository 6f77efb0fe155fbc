//! Real containers from busybox bundles: each part of the isolation proven from inside, and compared with runc's.
//!
//! The harness is our own: a process that launches containers must have one thread, so every test runs this binary
//! once more as a launcher.

mod launcher;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "launch") {
        std::process::exit(launcher::main(&args[1..]));
    }
}
