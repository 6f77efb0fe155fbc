//! One among several: who holds a Lease acts, the others wait for their turn.
//!
//! ```ignore
//! let mut held = election.acquire().await;   // nobody else acts from here on …
//! let parts = start();
//! held.hold().await;                         // … until this returns: then everything that acts must end
//! parts.shutdown().await;
//! ```
//! The holder renews the lease long before it runs out, and gives up by itself before others may take it. Others never compare clocks: a lease
//! has run out when it was not renewed for its whole time under their eyes. A holder that ends in order gives the lease back, so that
//! nobody waits; one that comes back with the identity it had takes up its own lease at once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::follow;
use crate::informer::Informer;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Without renewal for this long, others may take the lease.
    pub lease: Duration,
    /// Between two renewals.
    pub renew: Duration,
    /// The holder gives up when no renewal succeeded for this long; less than `lease`.
    pub deadline: Duration,
    /// Between attempts that failed.
    pub retry: Duration,
}

impl Default for Times {
    fn default() -> Times {
        let [lease, renew, deadline, retry] = [15, 5, 10, 1].map(Duration::from_secs);
        Times { lease, renew, deadline, retry }
    }
}

/// A lease that several want to hold; a cheap handle.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    times: Times,
}

/// The lease is held. Dropped without [`Leadership::release`], it runs out.
pub struct Leadership {
    election: Election,
    lease: Lease,
    renewed: Instant,
}

impl Election {
    /// An election over the lease `namespace`/`name`. The identity tells this candidate from all others, and itself after a restart.
    pub fn new(client: Client, namespace: &str, name: &str, identity: impl Into<String>) -> Election {
        let api = Api::namespaced(client, namespace);
        Election { api, name: name.to_owned(), identity: identity.into(), times: Times::default() }
    }

    /// The same with other times.
    pub fn with_times(self, times: Times) -> Election {
        Election { times, ..self }
    }

    /// Waits until the lease is held here. Dropping the future gives the attempt up.
    pub async fn acquire(&self) -> Leadership {
        loop {
            match self.attempt().await {
                Ok(leadership) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leads from now on");
                    return leadership;
                }
                Err(error) => {
                    tracing::debug!(lease = self.name, %error, "the lease cannot be had; again later");
                    tokio::time::sleep(self.times.retry).await;
                }
            }
        }
    }

    async fn attempt(&self) -> kube::Result<Leadership> {
        let mut lease = self.api.get_opt(&self.name).await?;
        if !lease.as_ref().is_some_and(|lease| self.others(lease))
            && let Some(leadership) = self.take(lease.as_ref()).await?
        {
            return Ok(leadership);
        }
        let named = follow::config().fields(&format!("metadata.name={}", self.name));
        let leases = Informer::start(self.api.clone(), named);
        let (told, mut changes) = watch::channel(());
        let _telling = leases.on(move |_| told.send_replace(()));
        let mut until = Instant::now() + self.times.lease;
        loop {
            let free = match tokio::time::timeout_at(until, changes.changed()).await {
                Err(_) => true,
                Ok(_) => {
                    let seen = leases.list().into_iter().next();
                    if seen.as_ref().and_then(|seen| seen.resource_version())
                        != lease.as_ref().and_then(ResourceExt::resource_version)
                    {
                        until = Instant::now() + self.patience(seen.as_deref());
                        lease = seen.map(Arc::unwrap_or_clone);
                    }
                    !lease.as_ref().is_some_and(|lease| self.others(lease))
                }
            };
            if free {
                // Where it is not as it was seen, the watch is behind: it is read again.
                return match self.take(lease.as_ref()).await? {
                    Some(leadership) => Ok(leadership),
                    None => Box::pin(self.attempt()).await,
                };
            }
        }
    }

    /// Whether somebody else holds it, as far as it says.
    fn others(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        !holder.is_empty() && holder != self.identity
    }

    /// How long the holder may be silent: what it says itself, but not without end.
    fn patience(&self, lease: Option<&Lease>) -> Duration {
        let said = lease.and_then(|lease| lease.spec.as_ref()?.lease_duration_seconds);
        let said = said.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        said.map_or(self.times.lease, |said| said.min(self.times.lease * 4))
    }

    /// Writes this candidate into the lease as it was seen; nothing, if somebody else was faster.
    async fn take(&self, seen: Option<&Lease>) -> kube::Result<Option<Leadership>> {
        let began = Instant::now();
        let old = seen.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let again = old.holder_identity.as_deref() == Some(&self.identity);
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.times.lease.as_secs() as i32),
            acquire_time: old.acquire_time.filter(|_| again).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(match seen {
                Some(_) => old.lease_transitions.unwrap_or(0).saturating_add(i32::from(!again)),
                None => 0,
            }),
            ..old
        };
        let written = match seen {
            Some(lease) => {
                let lease = Lease { metadata: lease.metadata.clone(), spec: Some(spec) };
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
        };
        match written {
            Ok(lease) => Ok(Some(Leadership { election: self.clone(), lease, renewed: began })),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Leadership {
    /// Renews the lease; returns when it is lost. May be dropped and called again.
    pub async fn hold(&mut self) {
        let times = self.election.times;
        let mut next = self.renewed + times.renew;
        loop {
            tokio::time::sleep_until(next).await;
            let until = self.renewed + times.deadline;
            match tokio::time::timeout_at(until, self.renew()).await {
                Ok(Ok(true)) => next = self.renewed + times.renew,
                Ok(Ok(false)) => break,
                Ok(Err(error)) if Instant::now() < until => {
                    tracing::debug!(lease = self.election.name, %error, "the lease was not renewed; again");
                    next = (Instant::now() + times.retry).min(until);
                }
                Ok(Err(_)) | Err(_) => break,
            }
        }
        tracing::warn!(lease = self.election.name, identity = self.election.identity, "leads no longer");
    }

    /// Whether it is still ours.
    async fn renew(&mut self) -> kube::Result<bool> {
        let seen = match self.election.take(Some(&self.lease)).await? {
            Some(renewed) => {
                *self = renewed;
                return Ok(true);
            }
            // Somebody wrote it: us, when an answer was lost; or a user who labelled it.
            None => self.election.api.get_opt(&self.election.name).await?,
        };
        let Some(lease) = seen.filter(|lease| {
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
            holder == Some(&self.election.identity)
        }) else {
            return Ok(false);
        };
        match self.election.take(Some(&lease)).await? {
            Some(renewed) => *self = renewed,
            None => self.lease = lease,
        }
        Ok(true)
    }

    /// Gives it back, so that nobody waits for it to run out. Call it when everything has ended.
    pub async fn release(self) {
        let Leadership { election, mut lease, .. } = self;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        if let Err(error) = election.api.replace(&election.name, &PostParams::default(), &lease).await {
            tracing::debug!(lease = election.name, %error, "the lease was not given back; it runs out");
        }
    }
}
