//! Create, start, streams, terminal, signals, exec, limits and the end.

use std::time::Duration;

use supervisor::{
    ErrorKind, Event, ExecRequest, ExitStatus, Io, LogConfig, ProcessKey, ProcessState, Streams, WindowSize,
};

use crate::stage::{ALL, Stage, process_of, read_all, read_until, spec_of};

#[tokio::test]
async fn output_input_exit_and_log_are_docker_s() {
    let Some(stage) = Stage::new("streams").await else { return };
    let script = "echo out; echo err >&2; cat; printf last; exit 3";
    let (key, mut attachment) = stage.run("c", script).await;
    attachment.write(b"typed\n").await.unwrap();
    attachment.close_stdin().await.unwrap();
    let (out, err) = read_all(&mut attachment).await;
    assert_eq!((out.as_str(), err.as_str()), ("out\ntyped\nlast", "err\n"));
    let exit = stage.client.wait(&key).await.unwrap();
    assert_eq!((exit.status, exit.oom), (ExitStatus::Exited(3), false));
    let mut logged = stage.logged("c");
    logged.sort();
    let expected = [("stderr", "err\n"), ("stdout", "last"), ("stdout", "out\n"), ("stdout", "typed\n")];
    assert_eq!(logged, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    stage.client.delete(&key).await.unwrap();
    assert_eq!(stage.client.state(&key), None);
    drop(attachment);
    stage.finish().await;
}

#[tokio::test]
async fn a_terminal_echoes_resizes_and_logs() {
    let Some(stage) = Stage::new("terminal").await else { return };
    let mut request = stage.request("t", "");
    request.spec = spec_of(&["/bin/sh", "-c", "stty size; read x; stty size; echo got $x; exit 5"], true);
    request.io = Io::Terminal { size: Some(WindowSize { rows: 30, columns: 100 }) };
    request.attach = Some(ALL);
    let mut attachment = stage.client.create(request).await.unwrap().attachment.unwrap();
    stage.client.start("t").await.unwrap();
    let key = ProcessKey::container("t");
    assert_eq!(read_until(&mut attachment, "\n").await, "30 100\r\n");
    stage.client.resize(&key, WindowSize { rows: 40, columns: 120 }).await.unwrap();
    attachment.write(b"hello\r").await.unwrap();
    let rest = read_all(&mut attachment).await.0;
    assert_eq!(rest, "hello\r\n40 120\r\ngot hello\r\n");
    assert_eq!(stage.client.wait(&key).await.unwrap().status, ExitStatus::Exited(5));
    assert_eq!(stage.logged("t").len(), 4);
    stage.client.delete(&key).await.unwrap();
    drop(attachment);
    stage.finish().await;
}

#[tokio::test]
async fn signals_pause_and_several_attachments() {
    let Some(stage) = Stage::new("signals").await else { return };
    let script = "trap 'echo term; exit 9' TERM; echo ready; while true; do sleep 0.05; done";
    let (key, mut first) = stage.run("c", script).await;
    read_until(&mut first, "ready\n").await;
    let mut second = stage.client.attach(&key, Streams { stdin: false, ..ALL }).await.unwrap();
    let third = stage.client.attach(&key, ALL).await.unwrap();
    drop(third);
    stage.client.pause("c").await.unwrap();
    stage.client.kill(&key, 15).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(matches!(stage.client.state(&key), Some(ProcessState::Running { .. })));
    assert!(!stage.client.pids("c").await.unwrap().is_empty());
    stage.client.resume("c").await.unwrap();
    assert_eq!(stage.client.wait(&key).await.unwrap().status, ExitStatus::Exited(9));
    assert_eq!(read_all(&mut first).await.0, "term\n");
    assert_eq!(read_all(&mut second).await.0, "term\n");
    stage.client.delete(&key).await.unwrap();
    drop((first, second));
    stage.finish().await;
}

#[tokio::test]
async fn exec_has_streams_terminal_and_exit_of_its_own() {
    let Some(stage) = Stage::new("exec").await else { return };
    let (key, mut attachment) = stage.run("c", "echo ready; read x; exit 0").await;
    read_until(&mut attachment, "ready").await;
    let exec = |exec: &str, args: &[&str], io: Io| ExecRequest {
        container: "c".to_owned(),
        exec: exec.to_owned(),
        process: process_of(args, matches!(io, Io::Terminal { .. })),
        seccomp: None,
        io,
        attach: Some(ALL),
    };
    let request = exec("e1", &["/bin/sh", "-c", "cat; echo $$ >&2; exit 4"], Io::Pipes { stdin: true });
    let mut output = stage.client.exec(request).await.unwrap().attachment.unwrap();
    output.write(b"input").await.unwrap();
    output.close_stdin().await.unwrap();
    let (out, err) = read_all(&mut output).await;
    assert_eq!(out, "input");
    assert!(err.trim().parse::<u32>().unwrap() < 100, "not in the container's pid namespace: {err}");
    let e1 = ProcessKey::exec("c", "e1");
    assert_eq!(stage.client.wait(&e1).await.unwrap().status, ExitStatus::Exited(4));
    stage.client.delete(&e1).await.unwrap();

    let size = Some(WindowSize { rows: 11, columns: 22 });
    let request = exec("e2", &["/bin/stty", "size"], Io::Terminal { size });
    let mut output = stage.client.exec(request).await.unwrap().attachment.unwrap();
    assert_eq!(read_all(&mut output).await.0, "11 22\r\n");

    let failures =
        [("e3", "/bin/nothing", ErrorKind::CommandNotFound), ("e4", "/bin/plain", ErrorKind::CommandNotExecutable)];
    for (name, command, kind) in failures {
        let error = stage.client.exec(exec(name, &[command], Io::Pipes { stdin: false })).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    attachment.close_stdin().await.unwrap();
    stage.client.wait(&key).await.unwrap();
    stage.client.delete(&key).await.unwrap();
    drop((attachment, output));
    stage.finish().await;
}

#[tokio::test]
async fn a_command_that_cannot_run_is_told() {
    let Some(stage) = Stage::new("missing").await else { return };
    for (id, command, kind) in
        [("n", "/bin/nothing", ErrorKind::CommandNotFound), ("x", "/bin/plain", ErrorKind::CommandNotExecutable)]
    {
        // Found out while the container is created, or at the latest when it starts.
        let error = match stage.client.create(stage.command(id, &[command])).await {
            Err(error) => error,
            Ok(_) => stage.client.start(id).await.unwrap_err(),
        };
        assert_eq!(error.kind(), kind, "{error}");
        let key = ProcessKey::container(id);
        if stage.client.state(&key).is_some() {
            stage.client.wait(&key).await.unwrap();
            stage.client.delete(&key).await.unwrap();
        }
    }
    let error = stage.client.start("nobody").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    stage.finish().await;
}

#[tokio::test]
async fn a_created_one_is_deleted_unstarted_and_a_name_is_taken_once() {
    let Some(stage) = Stage::new("created").await else { return };
    stage.client.create(stage.request("c", "echo never")).await.unwrap();
    let error = stage.client.create(stage.request("c", "echo never")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let key = ProcessKey::container("c");
    assert!(matches!(stage.client.state(&key), Some(ProcessState::Created { .. })));
    stage.client.delete(&key).await.unwrap();
    assert!(stage.logged("c").is_empty());
    stage.finish().await;
}

#[tokio::test]
async fn too_much_memory_is_reported_with_the_exit() {
    let Some(stage) = Stage::new("oom").await else { return };
    let mut events = stage.client.events();
    let mut request =
        stage.request("c", "dd if=/dev/zero of=/dev/null bs=200M count=1; tail -c 200000000 /dev/zero; exit 0");
    let resources = serde_json::json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    if let Some(linux) = request.spec.linux_mut() {
        linux.set_resources(Some(serde_json::from_value(resources).unwrap()));
    }
    stage.client.create(request).await.unwrap();
    stage.client.start("c").await.unwrap();
    let key = ProcessKey::container("c");
    let exit = stage.client.wait(&key).await.unwrap();
    assert!(exit.oom, "{exit:?}");
    let mut told = false;
    while let Some(event) = events.next().await {
        match event {
            Event::OutOfMemory { container, .. } => told = container == "c",
            Event::Exited { .. } => break,
            _ => {}
        }
    }
    assert!(told, "no event");
    stage.client.delete(&key).await.unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn a_full_log_disk_holds_nobody_back() {
    let Some(stage) = Stage::new("full").await else { return };
    let mut request = stage.request("c", "seq 1 100000; echo done >&2");
    request.log = LogConfig::JsonFile(supervisor::JsonFile::bounded("/dev/full"));
    request.attach = Some(ALL);
    let mut events = stage.client.events();
    let mut attachment = stage.client.create(request).await.unwrap().attachment.unwrap();
    stage.client.start("c").await.unwrap();
    let (out, _) = read_all(&mut attachment).await;
    assert_eq!(out.lines().count(), 100_000);
    let key = ProcessKey::container("c");
    assert_eq!(stage.client.wait(&key).await.unwrap().status, ExitStatus::Exited(0));
    let mut dropped = 0;
    while let Some(event) = events.next().await {
        match event {
            Event::LogDropped { bytes, .. } => dropped = bytes,
            Event::Exited { .. } => break,
            _ => {}
        }
    }
    assert!(dropped > 0);
    stage.client.delete(&key).await.unwrap();
    drop(attachment);
    stage.finish().await;
}

#[tokio::test]
async fn a_slow_observer_holds_its_container_back_and_no_other() {
    let Some(stage) = Stage::new("slow").await else { return };
    let (slow, mut attachment) = stage.run("slow", "seq 1 300000; echo end >&2").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(stage.client.state(&slow), Some(ProcessState::Running { .. })), "it was not held back");
    let (fast, mut other) = stage.run("fast", "seq 1 100000").await;
    assert_eq!(read_all(&mut other).await.0.lines().count(), 100_000);
    stage.client.wait(&fast).await.unwrap();
    let quick = stage.client.attach(&slow, ALL).await.unwrap();
    drop(quick);
    let (out, err) = read_all(&mut attachment).await;
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(out == expected && err == "end\n");
    stage.client.wait(&slow).await.unwrap();

    let (left, attachment2) = stage.run("left", "seq 1 100000; exit 1").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(attachment2);
    assert_eq!(stage.client.wait(&left).await.unwrap().status, ExitStatus::Exited(1));
    let logged: String = stage.logged("left").into_iter().map(|(_, line)| line).collect();
    assert_eq!(logged.lines().count(), 100_000);
    assert!(expected.starts_with(&logged));
    for key in [slow, fast, left] {
        stage.client.delete(&key).await.unwrap();
    }
    drop((attachment, other));
    stage.finish().await;
}

#[tokio::test]
async fn output_left_after_the_end_is_delivered_though_the_container_is_deleted() {
    let Some(stage) = Stage::new("late").await else { return };
    let (key, mut attachment) = stage.run("c", "seq 1 80000").await;
    for _ in 0..2 {
        attachment.read().await.unwrap();
    }
    drop(stage.client.attach(&key, ALL).await.ok());
    let reader = tokio::spawn(async move { read_all(&mut attachment).await.0.len() });
    stage.client.wait(&key).await.unwrap();
    stage.client.delete(&key).await.unwrap();
    let expected: usize = (1..=80_000).map(|n: u32| n.to_string().len() + 1).sum();
    let rest = reader.await.unwrap();
    assert!(rest <= expected && expected - rest <= 2 * 32 * 1024, "{rest} of {expected}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once() {
    let Some(stage) = Stage::new("hundred").await else { return };
    let begun = std::time::Instant::now();
    let mut tasks = Vec::new();
    for n in 0..100 {
        let request = stage.request(&format!("c{n}"), &format!("echo hello {n}; exit {}", n % 50));
        let client = stage.client.clone();
        tasks.push(tokio::spawn(async move {
            let key = ProcessKey::container(&request.id);
            client.create(request).await.unwrap();
            client.start(&key.container).await.unwrap();
            let exit = client.wait(&key).await.unwrap();
            (key, exit)
        }));
    }
    for (n, task) in tasks.into_iter().enumerate() {
        let (key, exit) = task.await.unwrap();
        assert_eq!(exit.status, ExitStatus::Exited(i32::try_from(n % 50).unwrap()));
        assert_eq!(stage.logged(&key.container), [("stdout".to_owned(), format!("hello {n}\n"))]);
        stage.client.delete(&key).await.unwrap();
    }
    eprintln!("100 containers in {:?}", begun.elapsed());
    stage.finish().await;
}
