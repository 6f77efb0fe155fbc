//! The life of a pod: its sandbox, its containers, what they share, what is told of them, and that nothing is left.

use std::time::{Duration, Instant};

use pods::runtime::State;

use crate::world::{container, on_a_host, until};

const SHARED: &str = "for kind in ipc uts net; do readlink /proc/self/ns/$kind; done";

#[test]
fn a_pod_lives_and_leaves_nothing() {
    on_a_host(|world| async move {
        let mut events = world.pods.sandboxes.events();
        let sandbox = world.sandbox("web").await;
        assert!(sandbox.ready);
        assert_eq!(sandbox.addresses.len(), 1);
        let id = world.start(&sandbox.id, "app", "echo hello; echo oops >&2; printf part; sleep 1000").await;
        let changed = events.recv().await.unwrap();
        assert_eq!(changed.pod.name, "web");
        let found = world.container(&id).await.unwrap();
        assert!(matches!(found.state, State::Running { .. }), "{:?}", found.state);
        assert_eq!((found.name.as_str(), found.image.as_str(), found.sandbox.as_str()), ("app", "box:1", &*sandbox.id));
        let log = world.logs("web").join("app/0.log");
        until("two lines are logged", async || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == 2)
        })
        .await;
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains(" stdout F hello\n") && text.contains(" stderr F oops\n"), "{text}");
        assert_eq!(world.exec(&id, "hostname; cat /etc/hostname").await, (0, "web\nweb".to_owned()));
        world.pods.containers.stop(&id, Duration::from_secs(0)).await.unwrap();
        let State::Exited { code, .. } = world.ended(&id).await else { unreachable!() };
        assert_eq!(code, 137);
        assert!(std::fs::read_to_string(&log).unwrap().contains(" stdout P part\n"));
        world.pods.sandboxes.stop(&sandbox.id).await.unwrap();
        assert!(!world.find(&sandbox.id).await.unwrap().ready);
        world.pods.sandboxes.remove(&sandbox.id).await.unwrap();
        assert!(world.find(&sandbox.id).await.is_none() && world.container(&id).await.is_none());
        world.pods.sandboxes.remove(&sandbox.id).await.unwrap();
        world.end().await;
    });
}

#[test]
fn containers_of_a_pod_share_network_names_and_memory() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("pair").await;
        let one =
            world.start(&sandbox.id, "one", "echo 42 > /dev/shm/answer; nc -l -p 8080 -e echo hi; sleep 1000").await;
        let two = container(
            "two",
            "until cat /dev/shm/answer; do sleep 0.01; done; until nc 127.0.0.1 8080; do sleep 0.01; done",
        );
        assert_eq!(world.output(&sandbox.id, two).await, (0, "42\nhi".to_owned()));
        let (_, links) = world.exec(&one, SHARED).await;
        let three = container("three", SHARED);
        assert_eq!(world.output(&sandbox.id, three).await, (0, links));
        world.end().await;
    });
}

#[test]
#[ignore = "a measurement"]
fn how_fast() {
    on_a_host(|world| async move {
        world.sandbox("warm").await;
        for round in 0..10 {
            let start = Instant::now();
            let sandbox = world.sandbox(&format!("p{round}")).await;
            let ran = start.elapsed();
            let id = world.pods.containers.create(&sandbox.id, container("c", "sleep 1000")).await.unwrap();
            let created = start.elapsed();
            world.pods.containers.start(&id).await.unwrap();
            println!("run {ran:?} create {:?} start {:?}", created - ran, start.elapsed() - created);
        }
        world.end().await;
    });
}
