//! Daemon and supervisor die, one or both: pods run on, addresses stay, and what nobody held is told to be gone.

use std::time::Duration;

use pods::runtime::State;

use crate::world::{container, import_busybox, kill_supervisor, on_a_bare_host, until};

#[test]
fn a_pod_survives_the_daemon() {
    on_a_bare_host(|host| {
        let (sandbox, id, pid) = host.daemon(|world| async move {
            import_busybox(&world.engine).await;
            let sandbox = world.sandbox("web").await;
            let id = world.start(&sandbox.id, "app", "while true; do echo tick; sleep 0.05; done").await;
            let pid = world.container(&id).await.unwrap().pid;
            (sandbox, id, pid)
        });
        host.daemon(|world| async move {
            let found = world.find(&sandbox.id).await.unwrap();
            assert_eq!((found.ready, &found.addresses, found.created), (true, &sandbox.addresses, sandbox.created));
            assert_eq!(found.labels, sandbox.labels);
            assert_eq!(world.container(&id).await.unwrap().pid, pid);
            // Another container joins the same namespaces, and a new pod gets another address.
            let (_, address) = world.exec(&id, "ip -4 -o addr show eth0 | grep -o '10[.0-9]*/32'").await;
            assert_eq!(address, format!("{}/32", sandbox.addresses[0]));
            let later = world.start(&sandbox.id, "later", "ip -4 -o addr show eth0; sleep 1000").await;
            assert_eq!(world.exec(&later, "hostname").await, (0, "web".to_owned()));
            let other = world.sandbox("other").await;
            assert_ne!(other.addresses, sandbox.addresses);
            world.end().await;
        });
    });
}

#[test]
fn a_pod_survives_the_supervisor() {
    on_a_bare_host(|host| {
        host.daemon(|world| async move {
            import_busybox(&world.engine).await;
            let sandbox = world.sandbox("web").await;
            let id = world.start(&sandbox.id, "app", "echo 7 > /dev/shm/x; sleep 1000").await;
            until("the file is there", async || world.exec(&id, "cat /dev/shm/x").await.0 == 0).await;
            kill_supervisor(&world.folder);
            assert!(world.find(&sandbox.id).await.unwrap().ready);
            let later = world.start(&sandbox.id, "later", "sleep 1000").await;
            assert_eq!(world.exec(&later, "cat /dev/shm/x; hostname").await, (0, "7\nweb".to_owned()));
            assert!(matches!(world.container(&id).await.unwrap().state, State::Running { .. }));
            world.end().await;
        });
    });
}

#[test]
fn a_daemon_that_dies_amid_everything_leaves_nothing_that_the_next_does_not_find() {
    on_a_bare_host(|host| {
        for round in 0..6 {
            host.daemon(|world| async move {
                if world.pods.images.status("box:1").await.unwrap().is_none() {
                    import_busybox(&world.engine).await;
                }
                for number in 0..6 {
                    let (pods, spec) = (world.pods.clone(), world.pod(&format!("p{round}-{number}")));
                    tokio::spawn(async move {
                        let sandbox = pods.sandboxes.run(spec).await?;
                        let id = pods.containers.create(&sandbox.id, container("c", "sleep 1000")).await?;
                        pods.containers.start(&id).await?;
                        pods.sandboxes.stop(&sandbox.id).await?;
                        pods.sandboxes.remove(&sandbox.id).await
                    });
                }
                // Somewhere among their steps.
                let mut events = world.pods.sandboxes.events();
                for _ in 0..round * 4 {
                    events.recv().await.unwrap();
                }
            });
        }
        host.daemon(|world| async move {
            for sandbox in world.pods.sandboxes.list().await.unwrap() {
                world.pods.sandboxes.remove(&sandbox.id).await.unwrap();
            }
            assert!(world.pods.containers.list().await.unwrap().is_empty());
            until("only devices made ahead are left", async || {
                let links = std::process::Command::new("ip").args(["-o", "link"]).output().unwrap().stdout;
                String::from_utf8_lossy(&links).lines().filter(|line| line.contains("veth")).count() <= 2
            })
            .await;
            world.end().await;
        });
    });
}

#[test]
fn where_both_died_the_sandbox_is_not_ready_and_nothing_runs_on() {
    on_a_bare_host(|host| {
        let (sandbox, id, pid) = host.daemon(|world| async move {
            import_busybox(&world.engine).await;
            let sandbox = world.sandbox("web").await;
            let id = world.start(&sandbox.id, "app", "sleep 1000").await;
            let pid = world.container(&id).await.unwrap().pid;
            (sandbox, id, pid)
        });
        host.kill_supervisor();
        host.daemon(|world| async move {
            let found = world.find(&sandbox.id).await.unwrap();
            assert!(!found.ready);
            let State::Exited { code, .. } = world.ended(&id).await else { unreachable!() };
            assert_eq!(code, 255);
            until("the process is gone", async || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
            let again = world.sandbox("web").await;
            assert_eq!(world.start(&again.id, "next", "sleep 1000").await.len(), 64);
            // The group is the same pod's: the old sandbox does not take it along.
            world.pods.sandboxes.remove(&sandbox.id).await.unwrap();
            assert!(!world.groups().await.is_empty());
            world.pods.sandboxes.stop(&again.id).await.unwrap();
            tokio::time::timeout(Duration::from_secs(60), world.end()).await.unwrap();
        });
    });
}
