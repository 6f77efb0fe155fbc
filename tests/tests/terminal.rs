//! Interactive containers: a terminal that works, its size, signals, detach keys. `script` gives the client its terminal.

use e2e::{Said, Sandbox};
use std::process::{Command, Stdio};

/// Runs a client on a terminal of its own, as [`e2e::on_terminal`] does.
fn on_terminal(host: &Sandbox, line: &str, typed: &str) -> Said {
    let mut script = Command::new("script");
    script.env("DOCKER_HOST", format!("unix://{}", host.path("docker.sock").display()));
    e2e::on_terminal(script, line, typed)
}

fn clients() -> [String; 2] {
    ["docker".into(), e2e::binary().display().to_string()]
}

#[test]
fn a_terminal_echoes_and_gives_the_exit_code() {
    let host = Sandbox::with_image();
    for client in clients() {
        let said = on_terminal(&host, &format!("{client} run --rm -it box:1 sh"), "tty; exit 5\n");
        assert_eq!(said.code, 5, "{client}: {said:?}");
        assert!(said.out.contains("/dev/pts/0"), "{client}: {said:?}");
    }
}

#[test]
fn the_terminal_has_the_users_size() {
    let host = Sandbox::with_image();
    for client in clients() {
        let line = format!(
            "stty rows 33 cols 99; {client} run --rm -it box:1 sh -c 'for i in $(seq 200); do stty size | grep 99 && exit; sleep 0.1; done'"
        );
        let said = on_terminal(&host, &line, "");
        assert!(said.out.contains("33 99"), "{client}: {said:?}");
    }
}

#[test]
fn detach_keys_leave_the_container_running() {
    let host = Sandbox::with_image();
    for (at, client) in clients().iter().enumerate() {
        let name = format!("c{at}");
        let said = on_terminal(&host, &format!("{client} run --name {name} -it box:1 sh"), "\x10\x11");
        assert_eq!(said.code, 0, "{client}: {said:?}");
        assert_eq!(host.inspect(&name)["State"]["Running"], true, "{client}: {said:?}");
    }
}

#[test]
fn signals_to_the_client_reach_the_process() {
    let host = Sandbox::with_image();
    for client in ["docker".to_string(), e2e::binary().display().to_string()] {
        let line = "trap 'echo got; exit 4' TERM; echo ready; while :; do sleep 0.05; done";
        let mut child = Command::new(&client)
            .args(["run", "--rm", "box:1", "sh", "-c", line])
            .env("DOCKER_HOST", format!("unix://{}", host.path("docker.sock").display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        std::io::BufRead::read_line(&mut out, &mut ready).expect("output");
        assert_eq!(ready, "ready\n");
        let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
        assert_eq!(child.wait().expect("wait").code(), Some(4), "{client}");
    }
}
