//! `sampan kubernetes`: backup, restore and check of what a cluster keeps.

mod archive;
mod backup;
mod check;
mod restore;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use k8s_store::{Options, Store};

/// Looks after what a Kubernetes cluster keeps
#[derive(Parser)]
#[command(name = "sampan kubernetes", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Backup(backup::Backup),
    Restore(restore::Restore),
    Check(check::Check),
}

/// Where a cluster is kept.
#[derive(Args)]
struct Place {
    /// Folder of the daemon's data
    #[arg(long, value_name = "DIR", default_value = "/var/lib/sampan")]
    data_root: PathBuf,
    /// Where the objects are, if not in the folder: what the daemon is told, etcd=https://host:port[,...]
    #[arg(long, value_name = "STORE")]
    datastore: Option<String>,
}

impl Place {
    fn dir(&self) -> PathBuf {
        self.data_root.join("kubernetes")
    }

    fn store(&self) -> PathBuf {
        self.dir().join("store")
    }

    fn keys(&self) -> PathBuf {
        self.dir().join("pki")
    }
}

/// Runs one of the commands; `args` are what follows `kubernetes`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("sampan kubernetes");
    let cli = match Cli::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.verb {
        Verb::Backup(backup) => backup.run(),
        Verb::Restore(restore) => restore.run(),
        Verb::Check(check) => check.run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Works on a datastore that servers share.
fn with_etcd<T>(datastore: &str, work: impl AsyncFnOnce(Store) -> Result<T>) -> Result<T> {
    let options = k8s_apiserver::datastore::etcd(datastore).map_err(|error| anyhow!("{error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        let store = Store::connect(&options, Options::default()).await.map_err(|error| anyhow!("{error}"))?;
        work(store).await
    })
}

/// An error of a file operation, with the path.
fn at<'a>(what: &'a str, path: &'a Path) -> impl FnOnce() -> String + 'a {
    move || format!("cannot {what} {}", path.display())
}
