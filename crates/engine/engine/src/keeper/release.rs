//! What is given back when a run ends, and when a container goes for good.

use network::EndpointId;
use supervisor::ProcessKey;

use super::Keeper;
use crate::engine::{blocking, file_error};
use crate::error::Result;

impl Keeper {
    /// Gives addresses, ports, control group and the supervisor's record back. Goes on after errors: what is left is
    /// collected when the daemon starts again.
    pub(super) async fn release_parts(&self) {
        let id = &self.record.id;
        let endpoints: Vec<EndpointId> =
            self.record.networks.values().filter_map(|it| it.endpoint.as_ref().map(|it| it.id.clone())).collect();
        let networks = self.inner.networks.clone();
        let detached = blocking(move || {
            for endpoint in endpoints {
                if let Err(error) = networks.detach(&endpoint) {
                    tracing::warn!(%endpoint, %error, "an endpoint could not be given back");
                }
            }
            Ok(())
        });
        let key = ProcessKey::container(id.clone());
        let (detached, deleted) = tokio::join!(detached, self.inner.supervisor.delete(&key));
        if let Err(error) = detached {
            tracing::warn!(container = id, %error, "endpoints could not be given back");
        }
        if let Err(error) = deleted {
            tracing::warn!(container = id, %error, "the supervisor could not forget a container");
        }
        self.inner.end_execs(id);
        self.tell_networks("disconnect");
    }

    /// Takes everything apart. Anonymous volumes first, then the record (from there on the container is gone whatever
    /// happens, and what is left is collected), then the writable layer and the folder.
    pub(super) async fn dismantle(&mut self) -> Result<()> {
        let id = self.record.id.clone();
        if self.removal.volumes {
            self.remove_anonymous_volumes().await;
        }
        self.inner.journal.delete(&id).await?;
        let store = self.inner.store.clone();
        let folder = self.inner.folder(&id);
        let cleared = blocking(move || {
            if let Err(error) = store.remove_snapshot(&id) {
                tracing::warn!(container = id, %error, "a writable layer could not be removed");
            }
            match std::fs::remove_dir_all(folder.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(file_error("remove", folder.path(), error))
                }
                _ => Ok(()),
            }
        });
        if let Err(error) = cleared.await {
            tracing::warn!(container = self.record.id, %error, "a folder could not be removed");
        }
        self.inner.forget_execs(&self.record.id);
        self.inner.containers.remove(&self.record.id, &self.record.name);
        self.removed = true;
        self.publish();
        self.inner.tell(&self.record, "destroy", &[]);
        Ok(())
    }

    async fn remove_anonymous_volumes(&self) {
        for mount in self.record.mounts.iter().filter(|it| it.anonymous) {
            let name = mount.point.name.clone();
            let users = self.inner.volume_users(&name, Some(&self.record.id));
            let store = self.inner.store.clone();
            let removed = {
                let name = name.clone();
                blocking(move || Ok(store.remove_volume(&name, &users)?)).await
            };
            match removed {
                Ok(()) => self.inner.tell_of(crate::EventKind::Volume, "destroy", &name, &[("driver", "local")]),
                Err(error) => tracing::warn!(volume = name, %error, "an anonymous volume could not be removed"),
            }
        }
    }
}
