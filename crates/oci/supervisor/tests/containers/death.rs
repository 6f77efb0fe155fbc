//! Either process dies; containers, lines, exit codes and attachments stay.

use std::time::Duration;

use supervisor::{Client, ExitStatus, ProcessKey, ProcessState};

use crate::stage::{Stage, read_all, read_until};

#[tokio::test]
async fn containers_outlive_the_daemon_and_their_exits_are_kept() {
    let Some(stage) = Stage::new("daemon").await else { return };
    let (key, mut attachment) = stage.run("stays", "echo one; read x; echo two; exit 6").await;
    read_until(&mut attachment, "one").await;
    let (gone, other) = stage.run("ends", "sleep 0.3; echo bye; exit 2").await;
    let ProcessKey { container, .. } = &key;
    let Some(ProcessState::Running { pid, .. }) = stage.client.state(&key) else { panic!("{container} does not run") };
    let supervisor = stage.client.supervisor_pid();
    drop((attachment, other));
    // The connection and every duplicate end with the client, as they would with a killed daemon.
    let (config, stage) = (stage.config(), stage.without_client());
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (client, found) = Client::connect_or_spawn(config).await.unwrap();
    assert_eq!(client.supervisor_pid(), supervisor);
    let state = |key: &ProcessKey| found.iter().find(|f| f.key == *key).map(|f| f.state);
    assert!(matches!(state(&key), Some(ProcessState::Running { pid: now, .. }) if now == pid));
    let Some(ProcessState::Exited(exit)) = state(&gone) else { panic!("{found:?}") };
    assert_eq!(exit.status, ExitStatus::Exited(2));
    let stage = stage.with_client(client);
    let mut attachment = stage.client.attach(&key, crate::stage::ALL).await.unwrap();
    attachment.write(b"x\n").await.unwrap();
    assert_eq!(read_all(&mut attachment).await.0, "two\n");
    assert_eq!(stage.client.wait(&key).await.unwrap().status, ExitStatus::Exited(6));
    assert_eq!(stage.logged("ends"), [("stdout".to_owned(), "bye\n".to_owned())]);
    for key in [key, gone] {
        stage.client.delete(&key).await.unwrap();
    }
    drop(attachment);
    stage.finish().await;
}

#[tokio::test]
async fn a_dead_supervisor_is_replaced_and_nothing_is_lost() {
    let Some(stage) = Stage::new("supervisor").await else { return };
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; read x; echo err >&2; exit 8";
    let (key, mut attachment) = stage.run("c", script).await;
    let reader = tokio::spawn(async move {
        let mut all = read_until(&mut attachment, "line 19999\n").await;
        attachment.write(b"x\n").await.unwrap();
        let (out, err) = read_all(&mut attachment).await;
        all.push_str(&out);
        (all, err)
    });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stage.kill_supervisor().await;
    }
    let exit = stage.client.wait(&key).await.unwrap();
    // The kernel tells strangers since 6.15.
    let known = stage.kernel() >= (6, 15);
    assert_eq!(exit.status, if known { ExitStatus::Exited(8) } else { ExitStatus::Unknown });
    let expected: String = (0..20000).map(|n| format!("line {n}\n")).collect();
    let (out, err) = reader.await.unwrap();
    assert!(out == expected, "the attachment missed or repeated something");
    assert_eq!(err, "err\n");
    let logged = stage.logged("c");
    let out: String = logged.iter().filter(|(s, _)| s == "stdout").map(|(_, l)| l.as_str()).collect();
    assert!(out == expected, "the log missed or repeated something");
    stage.client.delete(&key).await.unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn an_end_without_a_supervisor_is_seen_by_the_next_one() {
    let Some(stage) = Stage::new("unseen").await else { return };
    let (key, attachment) = stage.run("c", "sleep 0.2; echo late; exit 12").await;
    drop(attachment);
    stage.kill_supervisor().await;
    let exit = stage.client.wait(&key).await.unwrap();
    if stage.kernel() >= (6, 15) {
        assert_eq!(exit.status, ExitStatus::Exited(12));
    }
    assert_eq!(stage.logged("c"), [("stdout".to_owned(), "late\n".to_owned())]);
    stage.client.delete(&key).await.unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn an_upgrade_keeps_children_children() {
    let Some(stage) = Stage::new("upgrade").await else { return };
    let pid = stage.client.supervisor_pid();
    let (key, mut attachment) = stage.run("c", "echo a; read x; echo b; exit 21").await;
    read_until(&mut attachment, "a").await;
    stage.client.upgrade().await.unwrap();
    attachment.write(b"x\n").await.unwrap();
    assert_eq!(read_all(&mut attachment).await.0, "b\n");
    assert_eq!(stage.client.wait(&key).await.unwrap().status, ExitStatus::Exited(21));
    assert_eq!(stage.client.supervisor_pid(), pid);
    let (other, attachment2) = stage.run("d", "exit 1").await;
    assert_eq!(stage.client.wait(&other).await.unwrap().status, ExitStatus::Exited(1));
    for key in [key, other] {
        stage.client.delete(&key).await.unwrap();
    }
    drop((attachment, attachment2));
    stage.finish().await;
}

/// Containers that are being made or started while supervisors die are either there or gone without a trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_among_many_starts_leaves_nothing_half_done() {
    let Some(stage) = Stage::new("storm").await else { return };
    let mut tasks = Vec::new();
    for n in 0..60 {
        let request = stage.request(&format!("c{n}"), &format!("echo hello {n}; sleep 0.2; exit 7"));
        let client = stage.client.clone();
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(n * 25)).await;
            let key = ProcessKey::container(&request.id);
            match client.create(request).await {
                Err(supervisor::Error::Lost) => return None,
                made => drop(made.unwrap()),
            }
            let started = client.start(&key.container).await;
            let exit = client.wait(&key).await.unwrap();
            client.delete(&key).await.unwrap();
            started.is_ok().then_some((key, exit))
        }));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.kill_supervisor().await;
    }
    let mut done = 0;
    for (n, task) in tasks.into_iter().enumerate() {
        let Some((key, exit)) = task.await.unwrap() else { continue };
        done += 1;
        if stage.kernel() >= (6, 15) {
            assert_eq!(exit.status, ExitStatus::Exited(7), "{key}");
        }
        assert_eq!(stage.logged(&key.container), [("stdout".to_owned(), format!("hello {n}\n"))]);
    }
    assert!(done > 20, "only {done} of 60 ran");
    eprintln!("{done} of 60 ran");
    assert!(stage.groups().is_empty(), "{:?}", stage.groups());
    stage.finish().await;
}

#[tokio::test]
async fn a_terminal_survives_the_death_of_supervisors() {
    let Some(stage) = Stage::new("terminal-death").await else { return };
    let mut request = stage.request("t", "");
    let script = "while read line; do echo got $line; done";
    request.spec = crate::stage::spec_of(&["/bin/sh", "-c", script], true);
    request.io = supervisor::Io::Terminal { size: None };
    request.attach = Some(crate::stage::ALL);
    let mut attachment = stage.client.create(request).await.unwrap().attachment.unwrap();
    stage.client.start("t").await.unwrap();
    for n in 0..5 {
        attachment.write(format!("{n}\n").as_bytes()).await.unwrap();
        if n % 2 == 0 {
            stage.kill_supervisor().await;
        }
        let seen = read_until(&mut attachment, &format!("got {n}\r\n")).await;
        assert_eq!(seen, format!("{n}\r\ngot {n}\r\n"));
    }
    attachment.write(&[4]).await.unwrap();
    let key = ProcessKey::container("t");
    stage.client.wait(&key).await.unwrap();
    assert_eq!(stage.logged("t").len(), 10);
    stage.client.delete(&key).await.unwrap();
    drop(attachment);
    stage.finish().await;
}
