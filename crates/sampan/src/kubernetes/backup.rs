//! `sampan kubernetes backup`: keys and objects as they are at one moment, into one file; servers may run.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};

use super::{Place, archive, at, with_etcd};

/// Write everything a cluster keeps at one moment into a file; servers may run
///
/// The file holds the cluster's secret keys: keep it where nobody else can read it.
#[derive(clap::Args)]
pub struct Backup {
    #[command(flatten)]
    place: Place,
    /// The file to write; it must not be there yet
    file: PathBuf,
}

impl Backup {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let keys = archive::keys(&self.place.keys())?;
        let unfinished = self.file.with_added_extension("new");
        anyhow::ensure!(!self.file.exists(), "{} is there already", self.file.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
        let file = file.with_context(at("make", &unfinished))?;
        let written = match &self.place.datastore {
            None => archive::write(&file, &keys, |out| {
                k8s_store::archive::backup(&self.place.store(), out).map_err(|error| anyhow!("{error}"))
            }),
            Some(datastore) => {
                with_etcd(datastore, async |store| archive::write(&file, &keys, |out| Ok(store.save(out)?)))
            }
        };
        let summary = match written {
            Ok(summary) => summary,
            Err(error) => {
                let _ = std::fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        std::fs::rename(&unfinished, &self.file).with_context(at("rename", &unfinished))?;
        if keys.is_empty() {
            eprintln!("there are no keys in {}: only the objects are saved", self.place.keys().display());
        }
        println!(
            "{}: {} objects of revision {}, {} bytes; {} files of keys",
            self.file.display(),
            summary.entries,
            summary.revision,
            summary.bytes,
            keys.len()
        );
        Ok(ExitCode::SUCCESS)
    }
}
