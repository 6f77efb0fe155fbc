//! The life of a pod: its sandbox, its containers, what they share, what is told of them, and that nothing is left.

use std::time::Duration;

use pods::runtime::{ContainerSpec, Kind, Scope, State};

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
fn processes_are_shared_where_that_is_asked_for() {
    on_a_host(|world| async move {
        let mut spec = world.pod("shared");
        spec.pid = Scope::Pod;
        let sandbox = world.pods.sandboxes.run(spec).await.unwrap();
        let member = |name: &str, script: &str| ContainerSpec { pid: Scope::Pod, ..container(name, script) };
        let one = world.start_with(&sandbox.id, member("one", "exec sleep 1234")).await;
        let two = member("two", "ps -o args | grep -c '[s]leep 1234'; ps -o args | grep -c '[i]nit --pause'");
        assert_eq!(world.output(&sandbox.id, two).await, (0, "1\n1".to_owned()));
        let target =
            ContainerSpec { pid: Scope::Target(one), ..container("look", "ps -o args | grep -c '[s]leep 1234'") };
        assert_eq!(world.output(&sandbox.id, target).await, (0, "1".to_owned()));
        world.pods.sandboxes.stop(&sandbox.id).await.unwrap();
        world.end().await;
    });
}

#[test]
fn a_pod_on_the_nodes_namespaces_sees_the_node() {
    on_a_host(|world| async move {
        let mut spec = world.pod("node");
        (spec.network, spec.ipc) = (Scope::Node, Scope::Node);
        let sandbox = world.pods.sandboxes.run(spec).await.unwrap();
        assert!(sandbox.addresses.is_empty() && sandbox.ready);
        let node = ContainerSpec { pid: Scope::Node, ..container("look", SHARED) };
        let links = ["ipc", "uts", "net"].map(|kind| {
            std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
        });
        assert_eq!(world.output(&sandbox.id, node).await, (0, links.join("\n")));
        world.end().await;
    });
}

#[test]
fn a_container_that_is_removed_by_hand_is_seen_to_go() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("web").await;
        let id = world.start(&sandbox.id, "app", "sleep 1000").await;
        let listed = world.engine.list(engine::ListQuery::default()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].names, ["/k8s_app_web_default_uid-web_0"]);
        let again = world.pods.containers.create(&sandbox.id, container("app", "true")).await.unwrap_err();
        assert_eq!(again.kind, Kind::AlreadyExists);
        world.pods.containers.start(&id).await.unwrap();
        let label = |name: &str| listed[0].labels.get(name).map(String::as_str);
        assert_eq!((label("io.kubernetes.pod.uid"), label("app")), (Some("uid-web"), Some("web")));
        let mut events = world.pods.sandboxes.events();
        let options = engine::RemoveOptions { force: true, ..engine::RemoveOptions::default() };
        world.engine.remove(&id, options).await.unwrap();
        until("its end is told", async || events.recv().await.is_ok() && world.container(&id).await.is_none()).await;
        world.end().await;
    });
}

#[test]
fn a_program_that_cannot_start_and_one_that_runs_out_of_memory_say_so() {
    on_a_host(|world| async move {
        let sandbox = world.sandbox("bad").await;
        let mut spec = container("none", "");
        spec.command = vec!["/no/such".to_owned()];
        let id = world.pods.containers.create(&sandbox.id, spec).await.unwrap();
        assert!(world.pods.containers.start(&id).await.is_err());
        let State::Exited { code, message, .. } = world.ended(&id).await else { unreachable!() };
        assert_eq!(code, 127);
        assert!(message.contains("/no/such"), "{message}");
        let mut greedy = container("greedy", "tail /dev/zero");
        greedy.resources.memory = Some(8 << 20);
        let id = world.start_with(&sandbox.id, greedy).await;
        let State::Exited { code, oom_killed, .. } = world.ended(&id).await else { unreachable!() };
        assert_eq!((code, oom_killed), (137, true));
        world.end().await;
    });
}
