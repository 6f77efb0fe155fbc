//! `sampan kubernetes check`: reads everything and tells what is damaged, and where.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};

use super::{Place, archive, with_etcd};

/// Read everything a cluster keeps and tell what is damaged, and where; nothing is changed, servers may run
#[derive(clap::Args)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    /// A backup to check instead
    file: Option<PathBuf>,
}

impl Check {
    /// Runs the command; damage is exit code 1.
    pub fn run(self) -> Result<ExitCode> {
        match (&self.file, &self.place.datastore) {
            (Some(file), _) => {
                let (keys, (summary, _)) = archive::read(file, |objects| {
                    k8s_store::archive::open(objects, file)
                        .map_err(|error| anyhow!("{error} (counted from where the objects begin)"))
                })?;
                println!(
                    "{}: fine: {} objects of revision {}, {} files of keys",
                    file.display(),
                    summary.entries,
                    summary.revision,
                    keys.len()
                );
                Ok(ExitCode::SUCCESS)
            }
            (None, Some(datastore)) => with_etcd(datastore, async |store| {
                let stats = store.stats();
                println!("{datastore}: fine: {} objects of revision {}", stats.entries, stats.revision);
                Ok(ExitCode::SUCCESS)
            }),
            (None, None) => self.folder(),
        }
    }

    fn folder(&self) -> Result<ExitCode> {
        let dir = self.place.store();
        let report = k8s_store::archive::check(&dir);
        if let Some(damage) = report.damage {
            eprintln!("{damage}");
            return Ok(ExitCode::FAILURE);
        }
        println!(
            "{}: fine: {} objects of revision {}; {} frames in {} files of the log{}",
            dir.display(),
            report.entries,
            report.revision,
            report.frames,
            report.segments,
            report.snapshot.map_or_else(String::new, |revision| format!(" after the snapshot of revision {revision}"))
        );
        if let Some((path, offset, what)) = report.torn {
            println!(
                "{}: the end was not written whole, as after a crash, at byte {offset}: {what}; the next start cuts it off",
                path.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
