//! Starts that fail at one step after the other, and daemons killed in the middle of many: nothing stays behind.

use e2e::Sandbox;
use e2e::leaks::Inventory;

/// A sandbox whose pool of network namespaces is full, so that it is no difference.
fn warm(host: &Sandbox) {
    host.docker(["run", "--rm", "box:1", "true"]).ok();
    host.until("the pool is full", || {
        let pairs = || host.shell("ip -br link show type veth").out.lines().count();
        let before = pairs();
        std::thread::sleep(std::time::Duration::from_millis(300));
        before > 0 && pairs() == before
    });
}

/// A start that fails with these flags: docker's exit code, a text that says why, and everything as before. The
/// container itself stays, says why it did not start, and can be removed.
#[track_caller]
fn fails_cleanly(host: &Sandbox, flags: &[&str], why: &str) {
    let before = Inventory::of(host);
    let at_once: Vec<&str> = ["run", "--rm"].iter().chain(flags).chain(&["box:1", "true"]).copied().collect();
    let said = host.docker(&at_once);
    assert!([125, 126, 127].contains(&said.code), "{flags:?}: {} {}", said.code, said.err);
    assert!(said.err.contains(why), "{flags:?}: {}", said.err);
    before.is_back(host);
    let kept: Vec<&str> = ["run", "--name", "kept"].iter().chain(flags).chain(&["box:1", "true"]).copied().collect();
    host.docker(&kept);
    let left = host.docker(["ps", "-aq", "--filter", "name=kept"]).ok();
    if !left.is_empty() {
        let state = &host.inspect("kept")["State"];
        assert_eq!(state["Status"], "created", "{flags:?}");
        assert!(state["Error"].as_str().unwrap_or_default().contains(why), "{flags:?}: {state}");
        host.docker(["rm", "kept"]).ok();
    }
    before.is_back(host);
}

#[test]
fn a_start_that_fails_at_any_step_is_undone() {
    let host = Sandbox::with_image();
    warm(&host);
    // The root: who the process is, and where it begins.
    fails_cleanly(&host, &["--user", "nobody-knows"], "unable to find user nobody-knows");
    fails_cleanly(&host, &["--workdir", "/etc/passwd"], "/etc/passwd");
    let missing = ["--mount", "type=bind,source=/not/there,target=/mnt"];
    fails_cleanly(&host, &missing, "bind source path does not exist: /not/there");
    // The composition, when the sandbox stands already.
    fails_cleanly(&host, &["--device", "/dev/not-there"], "/dev/not-there");
    fails_cleanly(&host, &["--security-opt", "no-new-thing=1"], "invalid --security-opt");
    // The process: its limits, its name spaces, its mounts.
    fails_cleanly(&host, &["--sysctl", "net.not.there=1"], "/proc/sys/net/not/there");
    fails_cleanly(&host, &["--volume", "/proc/self/status:/etc"], "");
    // The program.
    fails_cleanly(&host, &["--entrypoint", "/no/such"], "no such file or directory");
}

#[test]
fn a_port_in_use_leaves_its_owner_alone() {
    let host = Sandbox::with_image();
    warm(&host);
    host.docker(["run", "-d", "--name", "first", "-p", "127.0.0.1:8099:80", "box:1", "sleep", "100"]).ok();
    fails_cleanly(&host, &["-p", "127.0.0.1:8099:81"], "port is already allocated");
    assert_eq!(host.docker(["port", "first"]).ok(), "80/tcp -> 127.0.0.1:8099");
    host.docker(["rm", "-f", "first"]).ok();
    host.docker(["run", "--rm", "-p", "127.0.0.1:8099:81", "box:1", "true"]).ok();
}

#[test]
fn a_daemon_killed_among_starts_and_removals_leaves_whole_containers_only() {
    let mut host = Sandbox::with_image();
    for round in 0..3 {
        let mut children = Vec::new();
        for number in 0..8 {
            let name = format!("ctr-{round}-{number}");
            let mut start = host.docker_command(["run", "-d", "--name", &name, "box:1", "sleep", "100"]);
            start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            children.push(start.spawn().expect("docker runs"));
        }
        std::thread::sleep(std::time::Duration::from_millis(150 * (round + 1)));
        host.kill_daemon();
        for mut child in children {
            child.wait().expect("docker ends");
        }
        host.start_daemon();
        for id in host.docker(["ps", "-q"]).ok().lines() {
            assert_eq!(host.docker(["exec", id, "echo", "alive"]).ok(), "alive");
        }
        for id in host.docker(["ps", "-aq", "--filter", "status=created"]).ok().lines() {
            host.docker(["start", id]).ok();
        }
        let all = host.docker(["ps", "-aq"]).ok();
        let ids: Vec<&str> = all.lines().collect();
        if !ids.is_empty() {
            host.docker(["rm", "-f"].iter().chain(&ids)).ok();
        }
        warm(&host);
        let before = Inventory::of(&host);
        host.docker(["run", "--rm", "box:1", "true"]).ok();
        before.is_back(&host);
        assert_eq!(std::fs::read_dir(host.path("data/containers")).expect("readable").count(), 0);
        assert_eq!(std::fs::read_dir(host.path("data/snapshots")).expect("readable").count(), 0);
    }
}

#[test]
fn a_daemon_killed_during_a_commit_leaves_the_container_running_and_no_half_image() {
    let mut host = Sandbox::with_image();
    warm(&host);
    let before = Inventory::of(&host);
    let write = "i=0; dd if=/dev/urandom of=/data bs=1M count=48 2>/dev/null; while :; do i=$((i+1)); echo $i; sleep 0.01; done";
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sh", "-c", write]).ok();
    host.until("it counts", || !host.docker(["logs", "ctr"]).out.is_empty());
    let pid = host.inspect("ctr")["State"]["Pid"].clone();
    let mut cut = 0;
    for wait in [10, 30, 60, 100, 150, 250] {
        let mut commit = host.docker_command(["commit", "ctr", "half:1"]);
        let mut commit =
            commit.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("commit");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        host.kill_daemon();
        cut += usize::from(!commit.wait().expect("commit ends").success());
        host.start_daemon();
        let state = host.inspect("ctr")["State"].clone();
        assert_eq!((&state["Pid"], &state["Status"]), (&pid, &serde_json::json!("running")), "after {wait} ms");
        let lines = || host.docker(["logs", "ctr"]).out.lines().count();
        let seen = lines();
        host.until("it goes on", || lines() > seen);
        assert_eq!(std::fs::read_dir(host.path("data/tmp")).expect("readable").count(), 0, "after {wait} ms");
        // Whole, or not there at all.
        if !host.docker(["images", "-q", "half:1"]).ok().is_empty() {
            let size = host.docker(["run", "--rm", "half:1", "stat", "-c", "%s", "/data"]).ok();
            assert_eq!(size, (48 << 20).to_string());
            host.docker(["rmi", "half:1"]).ok();
        }
    }
    assert!(cut > 0, "no commit was cut");
    host.docker(["commit", "ctr", "whole:1"]).ok();
    assert_eq!(host.docker(["run", "--rm", "whole:1", "stat", "-c", "%s", "/data"]).ok(), (48 << 20).to_string());
    host.docker(["rm", "-f", "ctr"]).ok();
    host.docker(["rmi", "whole:1"]).ok();
    warm(&host);
    before.is_back(&host);
}

#[test]
fn restart_policies_respect_the_user_and_the_daemon() {
    let mut host = Sandbox::with_image();
    for (name, policy) in [("aa", "always"), ("uu", "unless-stopped"), ("nn", "no")] {
        host.docker([
            "run",
            "-d",
            "--name",
            name,
            "--restart",
            policy,
            "--stop-signal",
            "KILL",
            "box:1",
            "sleep",
            "100",
        ])
        .ok();
    }
    host.docker(["run", "-d", "--name", "stopped", "--restart", "unless-stopped", "box:1", "sleep", "100"]).ok();
    host.docker(["stop", "-t", "0", "stopped"]).ok();
    host.stop_daemon();
    host.start_daemon();
    let running = || host.docker(["ps", "--format", "{{.Names}}"]).ok();
    host.until("what always runs runs again", || {
        let running = running();
        running.contains("aa") && running.contains("uu")
    });
    assert!(!running().contains("nn") && !running().contains("stopped"), "{}", running());
    let failing = ["run", "-d", "--name", "ff", "--restart", "on-failure:2", "box:1", "sh", "-c", "echo run; exit 3"];
    host.docker(failing).ok();
    host.until("three runs are over", || host.inspect("ff")["State"]["Status"] == "exited");
    assert_eq!(host.docker(["logs", "ff"]).ok(), "run\nrun\nrun");
    assert_eq!(host.inspect("ff")["RestartCount"], 2);
}

#[test]
fn refusals_reach_the_client_whatever_it_still_sends() {
    let host = Sandbox::with_image();
    let folder = host.path("big");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("zeros"), vec![0; 24 << 20]).expect("written");
    let said = host.docker(["cp", folder.to_str().expect("text"), "nobody:/"]).fails(1);
    assert!(said.contains("No such container: nobody"), "{said}");
    // Not taken for a missing image, which would be pulled.
    let said = host.docker(["run", "--rm", "--network", "container:nobody", "box:1", "true"]).fails(125);
    assert!(said.contains("No such container: nobody") && !said.contains("Unable to find image"), "{said}");
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sleep", "100"]).ok();
    let said = host.docker(["exec", "-w", "/missing", "ctr", "true"]);
    assert_eq!(said.code, 126);
    assert!(said.out.contains("enter working directory /missing: No such file or directory"), "{}", said.out);
    host.docker(["exec", "ctr", "test", "!", "-e", "/missing"]).ok();
    host.docker(["rm", "-f", "ctr"]).ok();
    host.docker(["volume", "create", "vol"]).ok();
    let link = "ln -s / /v/out; mkdir /v/in; echo in >/v/in/f";
    host.docker(["run", "--rm", "-v", "vol:/v", "box:1", "sh", "-c", link]).ok();
    let mount = |subpath: &str| format!("type=volume,src=vol,dst=/m,volume-subpath={subpath}");
    assert_eq!(host.docker(["run", "--rm", "--mount", &mount("in"), "box:1", "cat", "/m/f"]).ok(), "in");
    let said = host.docker(["run", "--rm", "--mount", &mount("out/etc"), "box:1", "true"]).fails(125);
    assert!(said.contains("leads out of the volume"), "{said}");
}
