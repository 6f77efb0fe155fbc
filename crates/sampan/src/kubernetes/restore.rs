//! `sampan kubernetes restore`: a backup becomes a cluster in an empty folder, or in an etcd that has none.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};

use super::archive::Key;
use super::{Place, archive, at, with_etcd};

/// Make a cluster of a backup, where there is none
///
/// Revisions go on far beyond those of the backup, so that clients of the old cluster take nothing old for new. Events are not restored into an
/// etcd.
#[derive(clap::Args)]
pub struct Restore {
    #[command(flatten)]
    place: Place,
    /// The file that `backup` wrote
    file: PathBuf,
}

impl Restore {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let folder = self.place.keys();
        ensure!(archive::keys(&folder)?.is_empty(), "{} has keys already", folder.display());
        // Read once to its end before anything is written.
        let (keys, (summary, objects)) = self.read()?;
        let entries = match &self.place.datastore {
            None => {
                drop(objects);
                let store = self.place.store();
                std::fs::create_dir_all(&store).with_context(at("make", &store))?;
                let restored = archive::read(&self.file, |objects| {
                    k8s_store::archive::restore(objects, &store).map_err(|error| anyhow!("{error}"))
                });
                restored?.1.entries
            }
            Some(datastore) => {
                let count = objects.len() as u64;
                with_etcd(datastore, async |store| {
                    ensure!(store.count("") == 0, "{datastore} has a cluster already");
                    store.fill(objects).await.map_err(|error| anyhow!("{error}"))
                })?;
                count
            }
        };
        self.keys(&keys)?;
        println!("{entries} objects of revision {}, {} files of keys", summary.revision, keys.len());
        Ok(ExitCode::SUCCESS)
    }

    #[allow(clippy::type_complexity, reason = "it is what the store answers")]
    fn read(&self) -> Result<(Vec<Key>, (k8s_store::archive::Summary, Vec<(String, bytes::Bytes)>))> {
        archive::read(&self.file, |objects| {
            k8s_store::archive::open(objects, &self.file).map_err(|error| anyhow!("{error}"))
        })
    }

    fn keys(&self, keys: &[Key]) -> Result<()> {
        let folder = self.place.keys();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(at("make", &folder))?;
        for key in keys {
            let path = folder.join(&key.name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let mut file = file.with_context(at("make", &path))?;
            file.write_all(&key.bytes).and_then(|()| file.sync_all()).with_context(at("write", &path))?;
        }
        Ok(())
    }
}
