//! Processes in containers, attachments, connections to ports, and logs that somebody rotates.

use std::time::Duration;

use bytes::Bytes;
use pods::runtime::{Exec, Kind, Output, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{container, on_a_host, until};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_process_gets_input_and_tells_output_and_exit() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let id = world.start(&sandbox.id, "app", "sleep 1000").await;
        let command = words(&["sh", "-c", "cat; echo err >&2; exit 3"]);
        let exec = Exec { command, stdin: true, stdout: true, stderr: true, tty: false };
        let mut session = world.pods.streams.exec(&id, exec).await.unwrap();
        let input = session.input.take().unwrap();
        input.send(Bytes::from("hello")).await.unwrap();
        drop(input);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some((stream, bytes)) = session.output.recv().await {
            if stream == Output::Stdout { out.extend(bytes) } else { err.extend(bytes) }
        }
        assert_eq!((out.as_slice(), err.as_slice()), (&b"hello"[..], &b"err\n"[..]));
        assert_eq!(session.exit.await.unwrap().unwrap(), 3);
        let command = words(&["sh", "-c", "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.01; done; echo done"]);
        let exec = Exec { command, stdin: true, stdout: true, stderr: true, tty: true };
        let session = world.pods.streams.exec(&id, exec).await.unwrap();
        session.resize.as_ref().unwrap().send(Size { width: 99, height: 33 }).await.unwrap();
        assert_eq!(session.exit.await.unwrap().unwrap(), 0);
        world.end().await;
    });
}

#[test]
fn a_process_whose_client_vanishes_is_killed_and_so_is_one_that_takes_too_long() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let id = world.start(&sandbox.id, "app", "sleep 1000").await;
        let command = words(&["sh", "-c", "sleep 4321; true"]);
        let exec = Exec { command: command.clone(), stdout: true, ..Exec::default() };
        let session = world.pods.streams.exec(&id, exec).await.unwrap();
        let count = "ps -o args | grep -c '[s]leep 4321'";
        until("it runs", async || world.exec(&id, count).await.1 != "0").await;
        drop(session);
        until("it is gone", async || world.exec(&id, count).await.1 == "0").await;
        let error = world.pods.streams.exec_sync(&id, command, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable);
        until("it is gone", async || world.exec(&id, count).await.1 == "0").await;
        world.end().await;
    });
}

#[test]
fn attaching_leaves_the_container_alone() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let mut spec = container("app", "read line; echo got $line; sleep 1000");
        (spec.stdin, spec.stdin_once) = (true, false);
        let id = world.start_with(&sandbox.id, spec).await;
        let mut session = world.pods.streams.attach(&id).await.unwrap();
        session.input.as_ref().unwrap().send(Bytes::from("it\n")).await.unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"\n") {
            told.extend(session.output.recv().await.unwrap().1);
        }
        assert_eq!(told, b"got it\n");
        drop(session);
        assert_eq!(world.exec(&id, "true").await.0, 0);
        let session = world.pods.streams.attach(&id).await.unwrap();
        world.pods.containers.stop(&id, Duration::ZERO).await.unwrap();
        assert_eq!(session.exit.await.unwrap().unwrap(), 137);
        world.end().await;
    });
}

#[test]
fn ports_are_reached_from_inside() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let server = container("app", "while true; do nc -l -p 7777 -e cat; done");
        world.start_with(&sandbox.id, server).await;
        let mut connection = None;
        until("it listens", async || {
            connection = world.pods.sandboxes.connect(&sandbox.id, 7777).await.ok();
            connection.is_some()
        })
        .await;
        let mut connection = connection.unwrap();
        connection.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        assert!(world.pods.sandboxes.connect(&sandbox.id, 1).await.is_err());
        world.end().await;
    });
}

#[test]
fn a_log_that_was_moved_is_begun_anew_and_read_by_everybody() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let script = "n=0; while true; do read x; n=$((n+1)); echo line $n; done";
        let mut spec = container("app", script);
        spec.stdin = true;
        let id = world.start_with(&sandbox.id, spec).await;
        let session = world.pods.streams.attach(&id).await.unwrap();
        let log = world.logs("web").join("app/0.log");
        let lines = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default().lines().count();
        session.input.as_ref().unwrap().send(Bytes::from("\n")).await.unwrap();
        until("a line is logged", async || lines(log.clone()) == 1).await;
        let old = log.with_extension("log.old");
        std::fs::rename(&log, &old).unwrap();
        world.pods.containers.reopen_log(&id).await.unwrap();
        assert!(log.exists());
        session.input.as_ref().unwrap().send(Bytes::from("\n")).await.unwrap();
        until("the next is in the new file", async || lines(log.clone()) == 1).await;
        assert_eq!(lines(old), 1);
        let query = engine::LogQuery { stdout: true, stderr: true, ..engine::LogQuery::default() };
        let mut told = world.engine.logs(&id, query).await.unwrap();
        assert_eq!(&told.next().await.unwrap().unwrap().line[..], b"line 2\n");
        world.end().await;
    });
}

#[test]
fn usage_of_pods_and_containers_is_told() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let id = world.start(&sandbox.id, "app", "ping -c 1 10.42.0.1; sleep 1000").await;
        until("there was traffic", async || {
            let (usage, traffic) = world.pods.sandboxes.usage(&sandbox.id).await.unwrap();
            assert!(usage.memory_usage > 0 && usage.pids > 0);
            traffic.iter().any(|it| it.interface == "eth0" && it.tx_bytes > 0)
        })
        .await;
        assert!(world.pods.containers.usage(&id).await.unwrap().cpu_nanoseconds > 0);
        world.end().await;
    });
}
