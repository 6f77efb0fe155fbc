//! Client and process together on a process that the test itself started and hands over, as a daemon does after a
//! supervisor's death. Needs no privileges.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::stdio::Stdio;
use crate::types::{ExitStatus, JsonFile, Stream};
use crate::wire::Record;

const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

fn config(dir: &Path) -> SupervisorConfig {
    let tests = std::env::current_exe().unwrap();
    let folder: PathBuf = tests.parent().unwrap().parent().unwrap().into();
    SupervisorConfig { exec_root: dir.to_owned(), binary: folder.join("supervisor-under-test") }
}

/// Starts a shell with streams of the supervisor's kind, and describes it as the daemon would.
fn shell(script: &str, log: &LogConfig) -> (std::process::Child, Record, Vec<OwnedFd>) {
    let io = Io::Pipes { stdin: true };
    let (stdio, ends) = Stdio::new(io, log).unwrap();
    let [stdin, stdout, stderr] = ends.unwrap();
    let child = Command::new("sh").args(["-c", script]).stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let handle =
        rustix::process::pidfd_open(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::PidfdFlags::empty())
            .unwrap();
    let (mut roles, mut fds) = (vec![Role::Pidfd], vec![handle]);
    for (role, fd) in stdio.descriptors() {
        roles.push(role);
        fds.push(fd.try_clone_to_owned().unwrap());
    }
    let record = Record {
        key: ProcessKey::container("c1"),
        pid,
        state: ProcessState::Running { pid, since: jiff::Timestamp::now() },
        cgroup: "/sampan-test-that-does-not-exist".to_owned(),
        io,
        log: log.clone(),
        oom_kills: 0,
        roles,
    };
    (child, record, fds)
}

async fn adopt(client: &Client, record: Record, fds: Vec<OwnedFd>) {
    let record = Box::new(record);
    let adopt = Request::Adopt { record, feeds: Vec::new() };
    client.shared.call(adopt, fds, None).await.unwrap();
}

fn logged(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["log"].as_str().unwrap().to_owned()
    };
    text.lines().map(line).collect()
}

async fn kill_supervisor(client: &Client) {
    let former = client.supervisor_pid();
    let pid = rustix::process::Pid::from_raw(former).unwrap();
    let mut events = client.events();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    loop {
        if events.next().await.unwrap() == Event::TakenOver {
            break;
        }
    }
    assert_ne!(client.supervisor_pid(), former);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_log_and_exit_survive_the_death_of_supervisors() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (client, found) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    assert!(found.is_empty());
    let script = "while read line; do echo got $line; echo err >&2; done; printf end; exit 7";
    let (mut child, record, fds) = shell(script, &LogConfig::JsonFile(JsonFile::bounded(&log)));
    adopt(&client, record, fds).await;
    let key = ProcessKey::container("c1");
    let mut attachment = client.attach(&key, ALL).await.unwrap();
    let mut out = String::new();
    for n in 0..5 {
        attachment.write(format!("{n}\n").as_bytes()).await.unwrap();
        let (mut lines, mut errors) = (0, 0);
        while lines + errors < 2 {
            let (stream, bytes) = attachment.read().await.unwrap().unwrap();
            match stream {
                Stream::Stdout => {
                    lines += 1;
                    out.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Stream::Stderr => errors += 1,
            }
        }
        kill_supervisor(&client).await;
    }
    attachment.close_stdin().await.unwrap();
    // The test is its parent, as init or a subreaper would be.
    let reaped = tokio::task::spawn_blocking(move || child.wait());
    let exit = client.wait(&key).await.unwrap();
    reaped.await.unwrap().unwrap();
    assert!(matches!(exit.status, ExitStatus::Exited(7) | ExitStatus::Unknown), "{exit:?}");
    while let Some((stream, bytes)) = attachment.read().await.unwrap() {
        assert_eq!(stream, Stream::Stdout);
        out.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert_eq!(out, "got 0\ngot 1\ngot 2\ngot 3\ngot 4\nend");
    let mut lines: Vec<String> = logged(&log).lines().map(str::to_owned).collect();
    lines.retain(|line| line != "err");
    assert_eq!(lines.join("\n"), out);
    client.delete(&key).await.unwrap();
    drop(attachment);
    stop(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_lines_is_logged_exactly_once_whatever_dies() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (client, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let script = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done";
    let (mut child, record, fds) = shell(script, &LogConfig::JsonFile(JsonFile::bounded(&log)));
    adopt(&client, record, fds).await;
    let mut deaths = 0;
    while child.try_wait().unwrap().is_none() {
        kill_supervisor(&client).await;
        deaths += 1;
    }
    client.wait(&ProcessKey::container("c1")).await.unwrap();
    let expected: String = (0..30000).map(|n| format!("line {n}\n")).collect();
    assert!(logged(&log) == expected, "after {deaths} deaths");
    assert!(deaths > 2, "{deaths} deaths");
    stop(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_without_a_daemon_is_kept_until_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (client, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let pid = client.supervisor_pid();
    let (mut child, record, fds) = shell("read x; echo bye; exit 3", &LogConfig::JsonFile(JsonFile::bounded(&log)));
    adopt(&client, record, fds).await;
    let key = ProcessKey::container("c1");
    let attachment = client.attach(&key, ALL).await.unwrap();
    attachment.write(b"x\n").await.unwrap();
    drop((client, attachment));
    child.wait().unwrap();
    let (client, found) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    assert_eq!(client.supervisor_pid(), pid);
    assert_eq!(found.len(), 1);
    client.wait(&key).await.unwrap();
    assert_eq!(logged(&log), "bye\n");
    client.delete(&key).await.unwrap();
    assert!(client.state(&key).is_none());
    stop(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_keeps_pid_streams_and_attachments() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (client, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let pid = client.supervisor_pid();
    let (mut child, record, fds) = shell("cat; exit 4", &LogConfig::JsonFile(JsonFile::bounded(&log)));
    adopt(&client, record, fds).await;
    let key = ProcessKey::container("c1");
    let mut attachment = client.attach(&key, ALL).await.unwrap();
    for text in ["one\n", "two\n", "three\n"] {
        client.upgrade().await.unwrap();
        attachment.write(text.as_bytes()).await.unwrap();
        let (_, bytes) = attachment.read().await.unwrap().unwrap();
        assert_eq!(bytes, text.as_bytes());
    }
    assert_eq!(client.supervisor_pid(), pid);
    client.close_stdin(&key).await.unwrap();
    child.wait().unwrap();
    client.wait(&key).await.unwrap();
    assert!(attachment.read().await.unwrap().is_none());
    assert_eq!(logged(&log), "one\ntwo\nthree\n");
    drop(attachment);
    stop(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_supervisor_per_folder_and_a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let (second, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    assert_eq!(first.supervisor_pid(), second.supervisor_pid());
    let mut other = Command::new(config(dir.path()).binary)
        .args(["supervisor", "--exec-root"])
        .arg(dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    other.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(words.contains("another one lives"), "{words}");
    assert!(!other.wait().unwrap().success());
    let pid = first.supervisor_pid();
    drop((first, second));
    stop_pid(pid).await;
    assert!(dir.path().join(crate::process::SOCKET).exists());
    let (third, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    assert_ne!(third.supervisor_pid(), pid);
    stop(third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_with_nothing_to_do_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let process = PathBuf::from(format!("/proc/{}/exe", client.supervisor_pid()));
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(process.read_link().is_ok(), "it did not wait for the next daemon");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(process.read_link().is_err(), "it is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _) = Client::connect_or_spawn(config(dir.path())).await.unwrap();
    let key = ProcessKey::container("nobody");
    let error = client.attach(&key, ALL).await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::NotFound);
    assert_eq!(client.kill(&key, 9).await.unwrap_err().to_string(), "no such process: container nobody");
    stop(client).await;
    let mut missing = config(dir.path());
    missing.exec_root = dir.path().join("missing");
    let error = Client::connect_or_spawn(missing).await.unwrap_err();
    assert!(error.to_string().contains("missing/supervisor.log"), "{error}");
    std::io::stderr().flush().unwrap();
}

/// Ends the supervisor that the test started, by its pid; without the client, which would start another one.
async fn stop(client: Client) {
    let pid = client.supervisor_pid();
    drop(client);
    stop_pid(pid).await;
}

async fn stop_pid(pid: i32) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
}
