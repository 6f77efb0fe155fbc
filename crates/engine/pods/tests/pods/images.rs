//! Images as the kubelet sees them.

use crate::world::{World, on_a_host, until};

#[test]
fn an_image_made_by_hand_is_found_by_every_name_and_never_collectable() {
    on_a_host(|world| async move {
        let found = world.pods.images.status("box:1").await.unwrap().unwrap();
        assert_eq!(found.tags, ["docker.io/library/box:1"]);
        assert!(!found.collectable);
        for name in ["docker.io/library/box:1", found.id.as_str(), &found.id["sha256:".len()..][..12]] {
            assert_eq!(world.pods.images.status(name).await.unwrap().unwrap().id, found.id, "{name}");
        }
        assert!(world.pods.images.status("nothing:1").await.unwrap().is_none());
        let sandbox = world.sandbox("web").await;
        let id = world.start(&sandbox.id, "app", "sleep 1000").await;
        assert!(world.pods.images.remove("box:1").await.is_err());
        world.pods.containers.remove(&id).await.unwrap();
        world.pods.images.remove("box:1").await.unwrap();
        world.pods.images.remove("box:1").await.unwrap();
        assert!(world.pods.images.list().await.unwrap().is_empty());
        let disk = world.pods.images.disk().await.unwrap();
        assert!(disk.capacity > 0 && disk.available > 0 && disk.inodes > 0);
        world.end().await;
    });
}

/// Debian's docker-registry on the host of the test; ends with its owner.
struct Registry(std::process::Child);

impl Registry {
    async fn start(world: &World) -> Registry {
        let config = world.folder.join("registry.yml");
        let data = world.folder.join("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:5000\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new("docker-registry");
        command.arg("serve").arg(config).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let registry = Registry(command.spawn().unwrap());
        until("the registry listens", async || std::net::TcpStream::connect("127.0.0.1:5000").is_ok()).await;
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_image_that_was_pulled_for_a_pod_is_collectable_until_somebody_names_it() {
    on_a_host(|world| async move {
        let _registry = Registry::start(&world).await;
        let name = "127.0.0.1:5000/box:1";
        world.engine.image_tag("box:1", name).await.unwrap();
        world.engine.push(name, None, engine::ProgressSink::channel().0).await.unwrap();
        // Pulled again for a pod it stays what it was: made by hand.
        assert!(!world.pods.images.pull(name, Vec::new()).await.unwrap().collectable);
        world.pods.images.remove("box:1").await.unwrap();
        let pulled = world.pods.images.pull(name, Vec::new()).await.unwrap();
        assert!(pulled.collectable);
        assert_eq!(pulled.tags, [name]);
        assert_eq!(pulled.digests.len(), 1);
        assert_eq!(pulled.last_used, None);
        let sandbox = world.sandbox("web").await;
        let mut spec = crate::world::container("app", "true");
        (spec.image, spec.image_id) = (name.to_owned(), pulled.id.clone());
        let id = world.start_with(&sandbox.id, spec).await;
        world.ended(&id).await;
        assert!(world.pods.images.status(&pulled.digests[0]).await.unwrap().unwrap().last_used.is_some());
        assert!(world.pods.images.pull(name, Vec::new()).await.unwrap().collectable);
        world.engine.image_tag(name, "mine:1").await.unwrap();
        assert!(!world.pods.images.status(name).await.unwrap().unwrap().collectable);
        let missing = world.pods.images.pull("127.0.0.1:5000/none:1", Vec::new()).await.unwrap_err();
        assert_eq!(missing.kind, pods::runtime::Kind::NotFound);
        world.end().await;
    });
}
