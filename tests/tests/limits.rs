//! Limits hold, seen from inside and from the daemon.

use e2e::Sandbox;

#[test]
fn memory_past_the_limit_is_killed_and_reported() {
    let host = Sandbox::with_image();
    let hog = "x=a; while :; do x=$x$x; done";
    assert_eq!(
        host.docker(["run", "--name", "hog", "--memory", "16m", "--memory-swap", "16m", "box:1", "sh", "-c", hog]).code,
        137
    );
    let state = &host.inspect("hog")["State"];
    assert_eq!(state["OOMKilled"], true, "{state}");
}

#[test]
fn processor_time_is_shared_out() {
    let host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "burn", "--cpus", "0.3", "box:1", "sh", "-c", "while :; do :; done"]).ok();
    let share = || -> f64 {
        let percent = host.docker(["stats", "--no-stream", "--format", "{{.CPUPerc}}", "burn"]).ok();
        percent.trim_end_matches('%').parse().expect("a number")
    };
    // How much it gets of what it may have is up to who else is on the machine.
    host.until("it burns", || share() > 1.0);
    let share = share();
    assert!(share < 45.0, "--cpus 0.3 used {share}%");
}

#[test]
fn forks_past_the_limit_fail() {
    let host = Sandbox::with_image();
    let forks = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait";
    let said = host.docker(["run", "--rm", "--pids-limit", "8", "box:1", "sh", "-c", forks]);
    assert!(said.err.contains("fork"), "{said:?}");
}

#[test]
fn a_size_for_the_root_holds_or_is_refused() {
    let host = Sandbox::with_image();
    let said = host.docker([
        "run",
        "--rm",
        "--storage-opt",
        "size=8M",
        "box:1",
        "dd",
        "if=/dev/zero",
        "of=/fill",
        "bs=1M",
        "count=32",
    ]);
    assert_ne!(said.code, 0, "{said:?}");
    let held = said.err.contains("No space left") || said.err.contains("quota exceeded");
    let refused = said.code == 125 && said.err.to_lowercase().contains("quota");
    assert!(held || refused, "{said:?}");
}
