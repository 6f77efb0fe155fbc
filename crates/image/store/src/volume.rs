//! Named local volumes: directories under `volumes/<name>/_data`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::PathBuf,
};

use rustix::fs::FileType;

use crate::{
    Error, Result, Store,
    archive::walk::{Item, walk},
    db::{VOLUMES, delete, parse, put_json},
    error::Context,
    layer::list,
    snapshot::remove_tree,
};

/// A volume as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Always `local`.
    pub driver: String,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options: `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Made for a container, without a name of the user's.
    #[serde(default)]
    pub anonymous: bool,
    /// Its data.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

/// What to make.
#[derive(Clone, Debug, Default)]
pub struct VolumeSpec {
    /// Empty makes a random name, and an anonymous volume.
    pub name: String,
    /// Empty or `local`.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// Volumes of the store.
impl Store {
    /// Makes a volume, or gives the one of this name if its options are the same.
    pub fn create_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        let refuse = |problem: String| Error::VolumeOption { name: spec.name.clone(), problem };
        if !matches!(spec.driver.as_str(), "" | "local") {
            return Err(refuse(format!("error looking up volume plugin {}: plugin {0:?} not found", spec.driver)));
        }
        if let Some(option) = spec.options.keys().find(|o| !matches!(o.as_str(), "type" | "o" | "device" | "size")) {
            return Err(refuse(format!("invalid option: {option:?}")));
        }
        let anonymous = spec.name.is_empty();
        let name = if anonymous { random_name()? } else { spec.name.clone() };
        if !is_valid(&name) {
            return Err(Error::VolumeName(name));
        }
        if let Some(existing) = self.inner.db.read()?.get::<Volume>(VOLUMES, &name)? {
            let same = spec.options.is_empty() || existing.options == spec.options;
            return if same { Ok(self.located(existing)) } else { Err(Error::VolumeExists(name)) };
        }
        let folder = self.volume_folder(&name);
        let data = folder.join("_data");
        fs::DirBuilder::new().recursive(true).mode(0o701).create(&folder).at("create", &folder)?;
        fs::create_dir_all(&data).at("create", &data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).at("set mode of", &data)?;
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default();
        let volume = Volume {
            name: name.clone(),
            driver: "local".to_owned(),
            labels: spec.labels.clone(),
            options: spec.options.clone(),
            created: now.to_string(),
            anonymous,
            mountpoint: PathBuf::new(),
        };
        self.inner.db.write("record volume", |tx| put_json(tx, VOLUMES, &name, &volume))?;
        Ok(self.located(volume))
    }

    /// Finds a volume.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        let found = self.inner.db.read()?.get::<Volume>(VOLUMES, name)?;
        found.map(|v| self.located(v)).ok_or_else(|| Error::NoSuchVolume(name.to_owned()))
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let rows = self.inner.db.read()?.rows(VOLUMES, "")?;
        rows.iter().map(|(name, row)| Ok(self.located(parse(name, row)?))).collect()
    }

    /// Removes a volume and its data; `users` are the containers that have it.
    pub fn remove_volume(&self, name: &str, users: &[String]) -> Result<()> {
        self.volume(name)?;
        if !users.is_empty() {
            return Err(Error::VolumeInUse { name: name.to_owned(), users: users.to_vec() });
        }
        self.inner.db.write("forget volume", |tx| delete(tx, VOLUMES, name))?;
        let grave = self.temporary_path();
        let folder = self.volume_folder(name);
        fs::rename(&folder, &grave).at("remove", &folder)?;
        remove_tree(&grave)
    }

    /// Bytes of the volume's files.
    pub fn volume_usage(&self, name: &str) -> Result<u64> {
        let volume = self.volume(name)?;
        let directory = File::open(&volume.mountpoint).at("open", &volume.mountpoint)?;
        let mut bytes = 0;
        walk(directory.as_fd(), &mut |item: &Item| {
            if item.file_type() == FileType::RegularFile {
                bytes += item.stat.st_size as u64;
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Folders of volumes that never came into the database, or left it.
    pub(crate) fn drop_stray_volumes(&self) -> Result<()> {
        let view = self.inner.db.read()?;
        for name in list(&self.inner.root.join("volumes"))? {
            if view.bytes(VOLUMES, &name)?.is_none() {
                let path = self.volume_folder(&name);
                tracing::warn!(path = %path.display(), "removing a volume's folder that no volume has");
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    fn volume_folder(&self, name: &str) -> PathBuf {
        self.inner.root.join("volumes").join(name)
    }

    fn located(&self, mut volume: Volume) -> Volume {
        volume.mountpoint = self.volume_folder(&volume.name).join("_data");
        volume
    }
}

fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    first && name.len() > 1 && name.len() <= 255 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn random_name() -> Result<String> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).at("read random bytes for", "volume")?;
    Ok(spec::digest::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_of_volumes_are_file_names() {
        assert!(is_valid("data-1.x_y"));
        for bad in ["", "a", "../x", "a/b", ".hidden", "-x", "a b"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
