//! The life of a container through the stock docker client.

use e2e::Sandbox;
use e2e::leaks::Inventory;

#[test]
fn run_prints_output_and_ends_with_the_exit_code() {
    let host = Sandbox::with_image();
    assert_eq!(host.docker(["run", "--rm", "box:1", "echo", "hello"]).ok(), "hello");
    assert_eq!(host.docker(["run", "--rm", "box:1", "sh", "-c", "exit 7"]).code, 7);
    let said = host.docker(["run", "--rm", "box:1", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
    assert_eq!(host.docker_with_input(["run", "--rm", "-i", "box:1", "cat"], b"input\nmore").ok(), "input\nmore");
}

#[test]
fn commands_that_cannot_run_give_125_126_and_127() {
    let host = Sandbox::with_image();
    let before = Inventory::of(&host);
    let missing = host.docker(["run", "--rm", "box:1", "no-such-command"]).fails(127);
    assert!(missing.contains("executable file not found in $PATH"), "{missing}");
    let denied = host.docker(["run", "--rm", "box:1", "/etc/passwd"]).fails(126);
    assert!(denied.contains("permission denied"), "{denied}");
    let unknown = host.docker(["run", "--rm", "--pull", "never", "nothing:1", "true"]).fails(125);
    assert!(unknown.contains("No such image: nothing:1"), "{unknown}");
    let memory = host.docker(["run", "--rm", "--memory", "1m", "box:1", "true"]).fails(125);
    assert!(memory.contains("Minimum memory limit allowed is 6MB"), "{memory}");
    assert_eq!(host.docker(["ps", "-aq"]).ok(), "");
    before.is_back(&host);
}

#[test]
fn a_container_is_stopped_started_paused_and_removed() {
    let host = Sandbox::with_image();
    let before = Inventory::of(&host);
    let id = host
        .docker([
            "run",
            "-d",
            "--name",
            "ctr",
            "box:1",
            "sh",
            "-c",
            "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
        ])
        .ok();
    assert_eq!(id.len(), 64);
    host.until("it is ready for signals", || host.docker(["logs", "ctr"]).out == "up\n");
    assert_eq!(host.docker(["ps", "--format", "{{.Names}} {{.State}}"]).ok(), "ctr running");
    host.docker(["pause", "ctr"]).ok();
    assert_eq!(host.docker(["ps", "--format", "{{.State}}"]).ok(), "paused");
    assert!(host.docker(["exec", "ctr", "true"]).fails(1).contains("is paused"));
    host.docker(["unpause", "ctr"]).ok();
    host.docker(["stop", "ctr"]).ok();
    assert_eq!(host.inspect("ctr")["State"]["ExitCode"], 3);
    host.docker(["start", "ctr"]).ok();
    host.docker(["kill", "ctr"]).ok();
    assert_eq!(host.docker(["wait", "ctr"]).ok(), "137");
    host.docker(["rm", "ctr"]).ok();
    assert!(host.docker(["inspect", "ctr"]).fails(1).contains("No such object: ctr"));
    before.is_back(&host);
}

#[test]
fn exec_has_its_own_exit_code_user_and_environment() {
    let host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "ctr", "box:1", "sleep", "100"]).ok();
    assert_eq!(host.docker(["exec", "ctr", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(
        host.docker(["exec", "-u", "alice", "-e", "A=b", "-w", "/tmp", "ctr", "sh", "-c", "id -un; echo $A; pwd"]).ok(),
        "alice\nb\n/tmp"
    );
    assert_eq!(host.docker_with_input(["exec", "-i", "ctr", "cat"], b"through").ok(), "through");
    assert_eq!(host.docker(["exec", "ctr", "nope"]).code, 127);
    assert!(host.docker(["top", "ctr"]).ok().contains("sleep 100"));
}

#[test]
fn names_conflict_and_are_free_again() {
    let host = Sandbox::with_image();
    let id = host.docker(["create", "--name", "ctr", "box:1", "true"]).ok();
    let conflict = host.docker(["create", "--name", "ctr", "box:1", "true"]).fails(1);
    assert!(
        conflict.contains(&format!("The container name \"/ctr\" is already in use by container \"{id}\"")),
        "{conflict}"
    );
    host.docker(["rename", "ctr", "other"]).ok();
    host.docker(["create", "--name", "ctr", "box:1", "true"]).ok();
    assert!(host.docker(["rm", "nope"]).fails(1).contains("No such container: nope"));
}
