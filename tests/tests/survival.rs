//! Either process may die: containers run on, and nothing is lost.

use e2e::Sandbox;

const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done";

/// Every number from 1 on, once, in order.
#[track_caller]
fn counts(log: &str, at_least: usize) {
    let numbers: Vec<usize> =
        log.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("no number: {line:?}"))).collect();
    assert!(numbers.len() >= at_least, "only {} lines", numbers.len());
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}

#[test]
fn a_killed_daemon_loses_no_container_and_no_line() {
    let mut host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sh", "-c", COUNTER]).ok();
    let pid = host.inspect("ctr")["State"]["Pid"].clone();
    let mut follower =
        host.docker_command(["logs", "-f", "ctr"]).stdout(std::process::Stdio::null()).spawn().expect("docker logs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    host.kill_daemon();
    std::thread::sleep(std::time::Duration::from_millis(500));
    host.start_daemon();
    let _ = follower.wait();
    let state = host.inspect("ctr")["State"].clone();
    assert_eq!((&state["Pid"], &state["Status"]), (&pid, &serde_json::json!("running")));
    host.until("a hundred lines", || host.docker(["logs", "ctr"]).out.lines().count() > 100);
    host.docker(["exec", "ctr", "true"]).ok();
    host.docker(["kill", "ctr"]).ok();
    counts(&host.docker(["logs", "ctr"]).ok(), 100);
    host.docker(["rm", "ctr"]).ok();
}

#[test]
fn the_next_daemon_may_live_in_another_mount_namespace() {
    let mut host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "old", "box:1", "sh", "-c", "while :; do sleep 0.1; done"]).ok();
    let pid = host.inspect("old")["State"]["Pid"].clone();
    host.kill_daemon();
    let seen = host.path("seen");
    std::fs::create_dir(&seen).expect("a folder");
    let seen = seen.display();
    host.start_daemon_apart(&format!("mount -t tmpfs none {seen} && echo there > {seen}/file"));
    assert_eq!(host.inspect("old")["State"]["Pid"], pid);
    host.docker(["exec", "old", "true"]).ok();
    // What only the new daemon sees is bound all the same.
    let volume = format!("{seen}:/seen");
    assert_eq!(host.docker(["run", "--rm", "-v", &volume, "box:1", "cat", "/seen/file"]).ok(), "there");
    host.docker(["rm", "-f", "old"]).ok();
}

#[test]
fn exits_while_no_daemon_runs_are_found_by_the_next() {
    let mut host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sh", "-c", "sleep 0.7; echo last; exit 5"]).ok();
    host.kill_daemon();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    host.start_daemon();
    host.until("the exit is known", || host.inspect("ctr")["State"]["Status"] == "exited");
    assert_eq!(host.inspect("ctr")["State"]["ExitCode"], 5);
    assert_eq!(host.docker(["logs", "ctr"]).ok(), "last");
}

#[test]
fn a_killed_supervisor_is_replaced_and_no_line_is_lost() {
    let host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sh", "-c", COUNTER]).ok();
    let pid = host.inspect("ctr")["State"]["Pid"].clone();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let supervisors = host.processes(&["supervisor --exec-root"]);
    assert_eq!(supervisors.len(), 1, "{supervisors:?}");
    assert!(host.shell(&format!("kill -9 {}", supervisors[0])).code == 0);
    host.until("another supervisor", || {
        host.processes(&["supervisor --exec-root"]).iter().any(|pid| *pid != supervisors[0])
    });
    let before = host.docker(["logs", "ctr"]).out.lines().count();
    host.until("the log goes on", || host.docker(["logs", "ctr"]).out.lines().count() > before + 20);
    assert_eq!(host.inspect("ctr")["State"]["Pid"], pid);
    host.docker(["kill", "ctr"]).ok();
    assert_eq!(host.docker(["wait", "ctr"]).ok(), "137");
    counts(&host.docker(["logs", "ctr"]).ok(), 20);
}

#[test]
fn what_the_user_paused_stays_paused() {
    let mut host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sleep", "100"]).ok();
    host.docker(["pause", "ctr"]).ok();
    host.kill_daemon();
    host.start_daemon();
    assert_eq!(host.inspect("ctr")["State"]["Status"], "paused");
    host.docker(["unpause", "ctr"]).ok();
    assert_eq!(host.docker(["exec", "ctr", "echo", "on"]).ok(), "on");
    host.docker(["rm", "-f", "ctr"]).ok();
}
