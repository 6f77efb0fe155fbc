//! What runs in one server of a cluster only: begun when this one holds the lease, ended when it holds it no longer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_client::{Election, Informers, Leadership};
use k8s_controllers::Controllers;
use k8s_scheduler::Scheduler;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NAMESPACE: &str = "kube-system";
const LEASE: &str = "sampan-controllers";
/// How long giving the lease back may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// What runs while this server leads.
struct Parts {
    controllers: Controllers,
    scheduler: Scheduler,
}

impl Parts {
    fn start(informers: &Informers) -> Parts {
        Parts { controllers: k8s_controllers::start(informers), scheduler: k8s_scheduler::start(informers) }
    }

    async fn shutdown(self) {
        self.scheduler.shutdown().await;
        self.controllers.shutdown().await;
    }
}

/// The task that waits to lead, and leads.
pub struct Leading {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leading {
    /// Takes part in the election; the identity is one of [`identity`].
    pub fn start(informers: Informers, identity: String) -> Leading {
        let (end, ending) = watch::channel(false);
        let election = Election::new(informers.client().clone(), NAMESPACE, LEASE, identity);
        Leading { end, task: tokio::spawn(run(election, informers, ending)) }
    }

    /// Ends what runs and lets another server lead.
    pub async fn shutdown(self) {
        self.end.send_replace(true);
        let _ = self.task.await;
    }
}

async fn run(election: Election, informers: Informers, mut ending: watch::Receiver<bool>) {
    loop {
        let held = tokio::select! {
            held = election.acquire() => held,
            _ = ending.wait_for(|ending| *ending) => return,
        };
        if lead(held, &informers, &mut ending).await {
            return;
        }
    }
}

/// Leads until the lease is lost, or until the end, which it tells.
async fn lead(mut held: Leadership, informers: &Informers, ending: &mut watch::Receiver<bool>) -> bool {
    let parts = Parts::start(informers);
    let ends = tokio::select! {
        () = held.hold() => false,
        _ = ending.wait_for(|ending| *ending) => true,
    };
    parts.shutdown().await;
    if ends && tokio::time::timeout(FAREWELL, held.release()).await.is_err() {
        tracing::warn!("the lease of the controllers runs out by itself: giving it back took too long");
    }
    ends
}

/// Tells this server from all others of the cluster, and itself after a restart: the host's name and a number kept in the folder.
pub fn identity(dir: &Path) -> Result<String> {
    let path = dir.join("server-id");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(format!("{host}_{}", id.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
    let id = format!("{:016x}", u64::from_le_bytes(bytes));
    std::fs::write(&path, &id).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!("{host}_{id}"))
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn a_server_is_the_same_after_a_restart_and_another_elsewhere() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [one, other] = [0, 1].map(|at| identity(folders[at].path()).expect("an identity"));
        assert_ne!(one, other);
        assert_eq!(identity(folders[0].path()).expect("an identity"), one);
    }
}
