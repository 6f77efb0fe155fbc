//! Commands killed at any moment, and commands at the same time: `state` tells the truth, `delete --force` cleans up.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::{Runtime, processes};

/// Small numbers that look random, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// Starts a command of the runtime that prints nowhere.
fn begin(runtime: &Runtime, words: &[&str]) -> Child {
    let mut command = runtime.command(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start")
}

/// Kills a command after a while, unless it has ended by then.
fn kill_after(mut command: Child, delay: Duration) {
    std::thread::sleep(delay);
    command.kill().expect("kill");
    command.wait().expect("its end");
}

/// How long a command takes alone, its outcome not minded.
fn length(runtime: &Runtime, words: &[&str]) -> Duration {
    let start = Instant::now();
    begin(runtime, words).wait().expect("its end");
    start.elapsed()
}

/// What `state` says must be so.
fn state_is_true(runtime: &Runtime, id: &str, told: &str) {
    // What the dead command had copied of itself may still be about to end, and is the one who makes it as long.
    runtime.until("nobody makes it any more", || !runtime.run(&["state", id]).out.contains("\"creating\""));
    let said = runtime.run(&["state", id]);
    if said.code != 0 {
        assert!(said.err.contains("does not exist"), "{told}: {}", said.err);
        return;
    }
    let state: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let pid = state["pid"].as_i64().expect("a number");
    match state["status"].as_str().expect("a text") {
        // It can be started, unless it is just about to run, or to end as its creator was killed before it let it stay.
        "created" => {
            runtime.run(&["start", id]);
            runtime.until("it runs or has ended", || runtime.state(id)["status"] != "created");
        }
        "running" | "paused" => assert!(Path::new(&format!("/proc/{pid}")).exists(), "{told}: {state}"),
        // Its creator is dead, so its process ends by itself.
        "stopped" => runtime.until("nothing of it runs", || runtime.commands().is_empty()),
        other => panic!("{told}: {other}"),
    }
}

/// Nothing of a container is left once it has been deleted by force.
fn delete_cleans_up(runtime: &Runtime, id: &str, mark: &str, told: &str) {
    let said = runtime.run(&["delete", "--force", id]);
    assert_eq!(said.code, 0, "{told}: {}", said.err);
    assert!(runtime.run(&["state", id]).fails(1).contains("does not exist"), "{told}");
    assert!(!runtime.path("state").join(id).exists(), "{told}");
    let groups: Vec<_> = runtime.groups().into_iter().filter(|dir| dir.join(mark).exists()).collect();
    assert!(groups.is_empty(), "{told}: {groups:?}");
    runtime.until("no process is left", || runtime.commands().is_empty() && !alive(mark));
}

/// Whether a program of the bundle of this name runs: its arguments say so.
fn alive(mark: &str) -> bool {
    !processes(|line| line.contains(&format!("sleep 1000 {mark}"))).is_empty()
}

/// A bundle that sleeps for long, and can be told from all others by its command line.
fn bundle(runtime: &Runtime, name: &str) -> (String, String) {
    let mark = format!("{}-{name}", runtime.group.trim_start_matches('/'));
    let path = runtime.bundle(name, "", |config| {
        config["process"]["args"] =
            serde_json::json!(["sh", "-c", "while :; do usleep 100000; done", "sleep 1000", mark]);
    });
    (path.display().to_string(), mark)
}

/// A command to be killed, how long it takes, and the command that has to come before it.
struct Case<'a> {
    words: &'a [&'a str],
    length: Duration,
    before: &'a [&'a str],
}

#[test]
fn a_command_killed_at_any_moment_leaves_what_can_be_deleted() {
    let runtime = Runtime::new();
    let mut dice = Dice(42);
    let (path, mark) = bundle(&runtime, "killed");
    let create = ["create", "-b", &path, "killed"];
    let run = ["run", "--detach", "-b", &path, "killed"];
    let exec = ["exec", "killed", "sh", "-c", "usleep 1000"];
    let made = length(&runtime, &create);
    let started = length(&runtime, &["start", "killed"]);
    let executed = length(&runtime, &exec);
    let deleted = length(&runtime, &["delete", "--force", "killed"]);
    let cases = [
        Case { words: &create, length: made, before: &[] },
        Case { words: &run, length: made, before: &[] },
        Case { words: &["start", "killed"], length: started, before: &create },
        Case { words: &exec, length: executed, before: &run },
        Case { words: &["delete", "--force", "killed"], length: deleted, before: &run },
    ];
    for round in 0..20 {
        for Case { words, length, before } in &cases {
            if !before.is_empty() {
                assert!(begin(&runtime, before).wait().expect("its end").success(), "{before:?}");
            }
            let delay = length.mul_f64(dice.below(120) as f64 / 100.0);
            let told = format!("round {round}: {words:?} killed after {delay:?} of {length:?}");
            kill_after(begin(&runtime, words), delay);
            state_is_true(&runtime, "killed", &told);
            delete_cleans_up(&runtime, "killed", &mark, &told);
        }
    }
}

#[test]
fn a_name_is_free_again_after_its_creation_was_killed_and_deleted() {
    let runtime = Runtime::new();
    let (path, mark) = bundle(&runtime, "again");
    for delay in [0, 3, 9, 15] {
        kill_after(begin(&runtime, &["create", "-b", &path, "again"]), Duration::from_millis(delay));
        delete_cleans_up(&runtime, "again", &mark, "killed");
        assert_eq!(runtime.detached(&["run", "-d", "-b", &path, "again"], "out"), 0, "{}", runtime.output("out"));
        assert_eq!(runtime.state("again")["status"], "running");
        runtime.run(&["delete", "-f", "again"]).ok();
    }
    // a killed command may leave a folder with nothing behind it: the name is as good as free
    fs::create_dir_all(runtime.path("state/again")).expect("a folder");
    assert!(runtime.run(&["state", "again"]).fails(1).contains("does not exist"));
    assert_eq!(runtime.detached(&["run", "-d", "-b", &path, "again"], "out"), 0, "{}", runtime.output("out"));
}

/// Exit codes of two commands that begin at the same time.
fn both(runtime: &Runtime, one: &[&str], other: &[&str]) -> [i32; 2] {
    let (mut one, mut other) = (begin(runtime, one), begin(runtime, other));
    [&mut one, &mut other].map(|command| command.wait().expect("its end").code().unwrap_or(-1))
}

#[test]
fn of_two_commands_on_one_container_one_wins() {
    let runtime = Runtime::new();
    let (path, mark) = bundle(&runtime, "two");
    for round in 0..8 {
        let create = ["create", "-b", &path, "two"];
        let mut codes = both(&runtime, &create, &create);
        codes.sort_unstable();
        // The loser may find the group in use before it finds the name taken; either way it has not made anything.
        assert_eq!(codes, [0, 1], "round {round}: create");
        assert_eq!(runtime.state("two")["status"], "created");
        let mut codes = both(&runtime, &["start", "two"], &["start", "two"]);
        codes.sort_unstable();
        assert_eq!(codes, [0, 1], "round {round}: start");
        runtime.until("it runs", || runtime.state("two")["status"] == "running");
        both(&runtime, &["pause", "two"], &["resume", "two"]);
        runtime.run(&["resume", "two"]);
        let [forced, _] = both(&runtime, &["delete", "--force", "two"], &["exec", "two", "true"]);
        assert_eq!(forced, 0, "round {round}: delete beside exec");
        delete_cleans_up(&runtime, "two", &mark, "delete beside exec");
        assert!(begin(&runtime, &create).wait().expect("its end").success());
        let codes = both(&runtime, &["delete", "--force", "two"], &["delete", "--force", "two"]);
        assert_eq!(codes, [0, 0], "round {round}: delete");
        let [_, forced] = both(&runtime, &create, &["delete", "--force", "two"]);
        assert_eq!(forced, 0, "round {round}: delete beside create");
        delete_cleans_up(&runtime, "two", &mark, "delete beside create");
    }
}

#[test]
fn a_creation_that_hangs_ends_when_it_is_deleted() {
    let runtime = Runtime::new();
    let hook = runtime.path("hook");
    fs::write(&hook, "#!/bin/sh\nexec sleep 1000\n").expect("a file");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let bundle = runtime.bundle("hangs", "true", |config| {
        config["hooks"] = serde_json::json!({"createContainer": [{"path": hook}]});
    });
    let mut create = begin(&runtime, &["create", "-b", &bundle.display().to_string(), "hangs"]);
    runtime.until("it is being created", || {
        let said = runtime.run(&["state", "hangs"]);
        said.code == 0 && said.out.contains("\"creating\"")
    });
    assert!(runtime.run(&["kill", "hangs", "KILL"]).fails(1).contains("being created"));
    runtime.run(&["delete", "--force", "hangs"]).ok();
    assert!(!create.wait().expect("its end").success());
    assert!(runtime.run(&["state", "hangs"]).fails(1).contains("does not exist"));
}
