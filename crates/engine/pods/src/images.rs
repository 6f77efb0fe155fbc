//! Images in the border's terms.

use engine::{DiskUsageQuery, PodImageView, RegistryAuth};

use crate::pods::{Pods, error};
use crate::runtime::{Disk, Future, Image, Images, PullAuth};

impl Images for Pods {
    fn status<'a>(&'a self, image: &'a str) -> Future<'a, Option<Image>> {
        Box::pin(async move { Ok(self.engine.pod_image(image).await.map_err(error)?.map(told)) })
    }

    fn pull<'a>(&'a self, image: &'a str, auths: Vec<PullAuth>) -> Future<'a, Image> {
        Box::pin(async move {
            let auths = auths.into_iter().map(credentials).collect();
            Ok(told(self.engine.pod_image_pull(image, auths).await.map_err(error)?))
        })
    }

    fn list(&self) -> Future<'_, Vec<Image>> {
        Box::pin(async move { Ok(self.engine.pod_images().await.map_err(error)?.into_iter().map(told).collect()) })
    }

    fn remove<'a>(&'a self, image: &'a str) -> Future<'a, ()> {
        Box::pin(async move { self.engine.pod_image_remove(image).await.map_err(error) })
    }

    fn disk(&self) -> Future<'_, Disk> {
        Box::pin(async move {
            let usage = self
                .engine
                .disk_usage(DiskUsageQuery { images: false, containers: false, volumes: false })
                .await
                .map_err(error)?;
            let space = self.engine.disk_space().await.map_err(error)?;
            Ok(Disk {
                capacity: space.capacity,
                available: space.available,
                inodes: space.inodes,
                inodes_free: space.inodes_free,
                images_used: usage.layers_size,
            })
        })
    }
}

fn credentials(auth: PullAuth) -> RegistryAuth {
    RegistryAuth {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
        server: String::new(),
    }
}

fn told(view: PodImageView) -> Image {
    Image {
        id: view.id,
        tags: view.tags,
        digests: view.digests,
        size: view.size,
        user: view.user,
        collectable: view.collectable,
        last_used: view.used,
    }
}
