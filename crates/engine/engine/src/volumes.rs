//! Volumes: made, looked at, removed. The store keeps them, containers use them.

use std::collections::BTreeMap;

use store::VolumeSpec as StoreSpec;

use crate::engine::{Engine, Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::model::event::EventKind;
use crate::model::filters::Filters;
use crate::model::mount::MountKind;
use crate::model::system::Pruned;
use crate::model::volume::{Volume, VolumeSpec};

impl Engine {
    pub async fn volume_create(&self, spec: VolumeSpec) -> Result<Volume> {
        let inner = self.inner.clone();
        blocking(move || {
            let existed = !spec.name.is_empty() && inner.store.volume(&spec.name).is_ok();
            let request =
                StoreSpec { name: spec.name, driver: spec.driver, labels: spec.labels, options: spec.options };
            let made = inner.store.create_volume(&request)?;
            if !existed {
                inner.tell_of(EventKind::Volume, "create", &made.name, &[("driver", &made.driver)]);
            }
            Ok(view(made))
        })
        .await
    }

    pub async fn volumes(&self, filters: Filters) -> Result<Vec<Volume>> {
        filters.accept(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.truth("dangling")?;
        let users = self.inner.users_by_volume();
        let inner = self.inner.clone();
        blocking(move || {
            let fits = |volume: &store::Volume| {
                dangling.is_none_or(|wanted| wanted != users.contains_key(&volume.name))
                    && filters.any("driver", |driver| driver == volume.driver)
                    && filters.any("name", |part| volume.name.contains(part))
                    && filters.labels("label", &volume.labels)
            };
            Ok(inner.store.volumes()?.into_iter().filter(fits).map(view).collect())
        })
        .await
    }

    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        let (inner, name) = (self.inner.clone(), name.to_owned());
        blocking(move || Ok(view(inner.store.volume(&name)?))).await
    }

    /// `force` makes a volume that is not there no error.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        let users = self.inner.volume_users(name, None);
        let (inner, name) = (self.inner.clone(), name.to_owned());
        blocking(move || {
            match inner.store.remove_volume(&name, &users).map_err(Error::from) {
                Err(error) if force && error.kind() == Kind::NotFound => return Ok(()),
                result => result?,
            }
            inner.tell_of(EventKind::Volume, "destroy", &name, &[("driver", "local")]);
            Ok(())
        })
        .await
    }

    /// Anonymous ones that no container has; with `all=true` named ones too.
    pub async fn volumes_prune(&self, filters: Filters) -> Result<Pruned> {
        filters.accept(&["all", "label", "label!"])?;
        let all = filters.truth("all")?.unwrap_or(false);
        let users = self.inner.users_by_volume();
        let inner = self.inner.clone();
        blocking(move || {
            let mut pruned = Pruned::default();
            for volume in inner.store.volumes()? {
                let wanted = (all || volume.anonymous) && filters.labels("label", &volume.labels);
                if !wanted || users.contains_key(&volume.name) {
                    continue;
                }
                let size = inner.store.volume_usage(&volume.name)?;
                match inner.store.remove_volume(&volume.name, &[]).map_err(Error::from) {
                    Ok(()) => {}
                    Err(error) if error.kind() == Kind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                inner.tell_of(EventKind::Volume, "destroy", &volume.name, &[("driver", &volume.driver)]);
                pruned.reclaimed += size;
                pruned.deleted.push(volume.name);
            }
            inner.tell_of(EventKind::Volume, "prune", "", &[("reclaimed", &pruned.reclaimed.to_string())]);
            Ok(pruned)
        })
        .await
    }
}

impl Inner {
    /// Ids of the containers that have a volume, apart from one.
    pub fn volume_users(&self, name: &str, except: Option<&String>) -> Vec<String> {
        let mut users = self.users_by_volume().remove(name).unwrap_or_default();
        users.retain(|id| Some(id) != except);
        users
    }

    /// Ids of the containers that have each volume.
    fn users_by_volume(&self) -> BTreeMap<String, Vec<String>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for handle in self.containers.all() {
            let record = handle.record();
            for mount in record.mounts.iter().filter(|mount| mount.point.kind == MountKind::Volume) {
                users.entry(mount.point.name.clone()).or_default().push(record.id.clone());
            }
        }
        users
    }

    /// Volumes with their size and number of users, for disk usage.
    pub fn volumes_used(&self) -> Result<Vec<Volume>> {
        let users = self.users_by_volume();
        let measured = |volume: store::Volume| {
            let size = self.store.volume_usage(&volume.name)?;
            let references = users.get(&volume.name).map_or(0, |users| users.len() as u64);
            Ok(Volume { size: Some(size), references: Some(references), ..view(volume) })
        };
        self.store.volumes()?.into_iter().map(measured).collect()
    }
}

fn view(volume: store::Volume) -> Volume {
    Volume {
        name: volume.name,
        driver: volume.driver,
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        created: volume.created.parse().unwrap_or_default(),
        options: volume.options,
        labels: volume.labels,
        size: None,
        references: None,
    }
}
