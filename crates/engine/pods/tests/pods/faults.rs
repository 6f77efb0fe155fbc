//! A step that fails at any place leaves nothing: no group, namespace, device, element or folder.

use std::collections::BTreeMap;
use std::process::Command;

use pods::runtime::{HostPort, Kind, SandboxSpec};

use crate::world::{World, on_a_host, until};

fn devices() -> usize {
    let links = Command::new("ip").args(["-o", "link"]).output().unwrap().stdout;
    String::from_utf8_lossy(&links).lines().filter(|line| line.contains("veth")).count()
}

fn elements() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().unwrap().stdout;
    String::from_utf8_lossy(&output).into_owned()
}

async fn fails(world: &World, spec: SandboxSpec, kind: Kind, words: &str) {
    let error = world.pods.sandboxes.run(spec).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(words), "{error}");
}

#[test]
fn a_sandbox_that_fails_at_any_step_leaves_nothing() {
    on_a_host(|world| async move {
        let warm = world.sandbox("warm").await;
        until("sandboxes are made ahead", async || devices() == 3).await;
        let before = elements();
        let mut spec = world.pod("sysctl");
        spec.sysctls = BTreeMap::from([("vm.swappiness".to_owned(), "1".to_owned())]);
        fails(&world, spec, Kind::Invalid, "vm.swappiness").await;
        let mut spec = world.pod("value");
        spec.sysctls = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "many".to_owned())]);
        fails(&world, spec, Kind::Invalid, "ip_forward").await;
        let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let mut spec = world.pod("port");
        let host_port = taken.local_addr().unwrap().port();
        spec.host_ports = vec![HostPort { protocol: "TCP".to_owned(), container_port: 80, host_port, host_ip: None }];
        fails(&world, spec, Kind::Internal, &host_port.to_string()).await;
        let mut spec = world.pod("logs");
        std::fs::write(world.folder.join("file"), "").unwrap();
        spec.log_directory = world.folder.join("file/logs");
        fails(&world, spec, Kind::Internal, "file/logs").await;
        let mut spec = world.pod("group");
        spec.cgroup_parent = "/kubepods/../../other".to_owned();
        fails(&world, spec, Kind::Invalid, "control group").await;
        let mut spec = world.pod("memory");
        spec.resources.memory = Some(-5);
        fails(&world, spec, Kind::Internal, "").await;
        until("their devices are gone", async || devices() == 3).await;
        assert_eq!(elements(), before);
        assert_eq!(world.pods.sandboxes.list().await.unwrap().len(), 1);
        world.pods.sandboxes.remove(&warm.id).await.unwrap();
        world.end().await;
    });
}

#[test]
fn no_container_in_a_sandbox_that_is_not_there_or_not_ready() {
    on_a_host(|world| async move {
        let spec = crate::world::container("app", "sleep 1000");
        let error = world.pods.containers.create("no-such", spec.clone()).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        let sandbox = world.sandbox("web").await;
        let id = world.pods.containers.create(&sandbox.id, spec).await.unwrap();
        world.pods.sandboxes.stop(&sandbox.id).await.unwrap();
        let error = world.pods.containers.start(&id).await.unwrap_err();
        assert!(error.message.contains("not ready"), "{error}");
        world.end().await;
    });
}
