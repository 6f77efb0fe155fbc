//! Who a container's processes are, what they may do, and what they see.

use std::collections::BTreeMap;

use pods::runtime::{ContainerSpec, Mount, Propagation, Seccomp};

use crate::world::{container, on_a_host, run};

fn with(script: &str, change: impl FnOnce(&mut ContainerSpec)) -> ContainerSpec {
    let mut spec = container("app", script);
    change(&mut spec);
    spec
}

#[test]
fn users_groups_and_capabilities_are_as_asked() {
    on_a_host(|world| async move {
        let pod = world.sandbox("web").await;
        let id = "id -u; id -g; id -G";
        let merged = with(id, |it| {
            it.security.user = "1000:3000".to_owned();
            it.security.supplemental_groups = vec![4000];
        });
        assert_eq!(world.output(&pod.id, merged).await, (0, "1000\n3000\n3000 10 4000".to_owned()));
        let strict = with(id, |it| {
            it.security.user = "alice".to_owned();
            it.security.supplemental_groups = vec![4000];
            it.security.strict_groups = true;
        });
        assert_eq!(world.output(&pod.id, strict).await, (0, "1000\n1000\n1000 4000".to_owned()));
        let caps = "grep -E 'CapEff|NoNewPrivs' /proc/self/status";
        let none = with(caps, |it| {
            it.security.drop_capabilities = vec!["ALL".to_owned()];
            it.security.add_capabilities = vec!["NET_BIND_SERVICE".to_owned()];
            it.security.no_new_privileges = true;
        });
        let (_, said) = world.output(&pod.id, none).await;
        assert_eq!(said, "CapEff:\t0000000000000400\nNoNewPrivs:\t1");
        world.end().await;
    });
}

#[test]
fn roots_and_mounts_are_read_only_as_asked() {
    on_a_host(|world| async move {
        let pod = world.sandbox("web").await;
        let readonly = with("touch /x", |it| it.security.read_only_root = true);
        assert_eq!(world.output(&pod.id, readonly).await.0, 1);
        let outer = world.folder.join("outer");
        std::fs::create_dir_all(outer.join("inner")).unwrap();
        run("mount", &["-t", "tmpfs", "tmpfs", outer.join("inner").to_str().unwrap()]);
        let mount = |recursive| Mount {
            host_path: outer.clone(),
            container_path: "/m".into(),
            read_only: true,
            recursive_read_only: recursive,
            propagation: Propagation::None,
        };
        let script = "touch /m/x 2>/dev/null || echo outer; touch /m/inner/x 2>/dev/null || echo inner";
        let plain = with(script, |it| it.mounts = vec![mount(false)]);
        assert_eq!(world.output(&pod.id, plain).await, (0, "outer".to_owned()));
        let recursive = with(script, |it| it.mounts = vec![mount(true)]);
        assert_eq!(world.output(&pod.id, recursive).await, (0, "outer\ninner".to_owned()));
        run("umount", &[outer.join("inner").to_str().unwrap()]);
        world.end().await;
    });
}

#[test]
fn mounts_travel_as_asked() {
    on_a_host(|world| async move {
        let pod = world.sandbox("web").await;
        let shared = world.folder.join("shared");
        std::fs::create_dir_all(shared.join("late")).unwrap();
        run("mount", &["--bind", shared.to_str().unwrap(), shared.to_str().unwrap()]);
        run("mount", &["--make-shared", shared.to_str().unwrap()]);
        let mount = |propagation| Mount {
            host_path: shared.clone(),
            container_path: "/s".into(),
            propagation,
            ..Mount::default()
        };
        let mut spec = container("slave", "sleep 1000");
        spec.mounts = vec![mount(Propagation::HostToContainer)];
        let slave = world.start_with(&pod.id, spec).await;
        let mut spec = container("apart", "sleep 1000");
        spec.mounts = vec![mount(Propagation::None)];
        let apart = world.start_with(&pod.id, spec).await;
        run("mount", &["-t", "tmpfs", "tmpfs", shared.join("late").to_str().unwrap()]);
        assert_eq!(world.exec(&slave, "grep -c ' /s/late ' /proc/mounts").await.1, "1");
        assert_eq!(world.exec(&apart, "grep -c ' /s/late ' /proc/mounts").await.1, "0");
        run("umount", &[shared.join("late").to_str().unwrap()]);
        let both = with("mount -t tmpfs tmpfs /s/late", |it| {
            it.security.privileged = true;
            it.mounts = vec![mount(Propagation::Bidirectional)];
        });
        assert_eq!(world.output(&pod.id, both).await.0, 0);
        run("umount", &[shared.join("late").to_str().unwrap()]);
        world.pods.sandboxes.remove(&pod.id).await.unwrap();
        run("umount", &[shared.to_str().unwrap()]);
        world.end().await;
    });
}

#[test]
fn system_calls_are_filtered_as_asked() {
    on_a_host(|world| async move {
        let pod = world.sandbox("web").await;
        let mode = "grep '^Seccomp:' /proc/self/status";
        let filtered = with(mode, |_| {});
        assert_eq!(world.output(&pod.id, filtered).await.1, "Seccomp:\t2");
        let free = with(mode, |it| it.security.seccomp = Seccomp::Unconfined);
        assert_eq!(world.output(&pod.id, free).await.1, "Seccomp:\t0");
        let profile = world.folder.join("profile.json");
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
        std::fs::write(&profile, text).unwrap();
        let own = with("mkdir /tmp/x", |it| it.security.seccomp = Seccomp::Localhost(profile.clone()));
        assert_eq!(world.output(&pod.id, own).await.0, 1);
        let missing = with("true", |it| it.security.seccomp = Seccomp::Localhost("/no/such".into()));
        let error = world.pods.containers.create(&pod.id, missing).await.unwrap_err();
        assert!(error.message.contains("/no/such"), "{error}");
        world.end().await;
    });
}

#[test]
fn proc_is_masked_unless_that_is_asked_for() {
    on_a_host(|world| async move {
        let pod = world.sandbox("web").await;
        let script = "grep -c ' /proc/sys ' /proc/mounts";
        assert_eq!(world.output(&pod.id, with(script, |_| {})).await.1, "1");
        let unmasked = with(script, |it| it.security.unmasked_proc = true);
        assert_eq!(world.output(&pod.id, unmasked).await.1, "0");
        world.end().await;
    });
}

#[test]
fn sysctls_and_names_are_the_pods() {
    on_a_host(|world| async move {
        let mut spec = world.pod("web");
        spec.sysctls = BTreeMap::from([
            ("net.ipv4.ip_local_port_range".to_owned(), "20000 30000".to_owned()),
            ("kernel.shm_rmid_forced".to_owned(), "1".to_owned()),
        ]);
        spec.dns = Some(pods::runtime::Dns {
            servers: vec!["10.43.0.10".to_owned()],
            searches: vec!["default.svc.cluster.local".to_owned(), "svc.cluster.local".to_owned()],
            options: vec!["ndots:5".to_owned()],
        });
        let pod = world.pods.sandboxes.run(spec).await.unwrap();
        let script = "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced /etc/resolv.conf";
        let (_, said) = world.output(&pod.id, container("app", script)).await;
        let expected = "20000\t30000\n1\nsearch default.svc.cluster.local svc.cluster.local\nnameserver 10.43.0.10\noptions ndots:5";
        assert_eq!(said, expected);
        world.end().await;
    });
}

#[test]
fn limits_hold_for_containers_and_for_the_pod() {
    on_a_host(|world| async move {
        let mut spec = world.pod("web");
        spec.resources.memory = Some(64 << 20);
        let pod = world.pods.sandboxes.run(spec).await.unwrap();
        let mut spec = container("app", "cat /proc/self/oom_score_adj; sleep 1000");
        spec.resources.memory = Some(5 << 20);
        spec.resources.cpu_shares = 512;
        spec.resources.oom_score_adj = 900;
        let id = world.start_with(&pod.id, spec).await;
        let view = world.engine.inspect(&id, false).await.unwrap();
        assert_eq!(view.host.resources.memory, 5 << 20);
        assert_eq!(world.exec(&id, "cat /proc/1/oom_score_adj").await.1, "900");
        let more = pods::runtime::Resources { memory: Some(32 << 20), ..pods::runtime::Resources::default() };
        world.pods.containers.update(&id, more).await.unwrap();
        assert_eq!(world.engine.inspect(&id, false).await.unwrap().host.resources.memory, 32 << 20);
        world.end().await;
    });
}
