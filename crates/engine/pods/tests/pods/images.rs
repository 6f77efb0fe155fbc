//! Images as the kubelet sees them.

use crate::world::on_a_host;

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
