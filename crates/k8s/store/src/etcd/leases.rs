//! Leases of etcd: what is put under one goes by itself when it runs out.
//!
//! A lease costs etcd a write and some memory, so what is put within some seconds of each other shares one.

use super::api::{self, lease_client::LeaseClient};
use super::{Client, explain, timely};
use crate::entry::error::WriteError;
use std::time::{Duration, Instant};

/// A lease is given to others for this part of its time, but not longer than [`SHARED`].
const PART: u32 = 20;
const SHARED: Duration = Duration::from_secs(60);
/// So many writes share one.
const USES: usize = 1000;

/// The lease that is being shared.
#[derive(Default)]
pub(super) struct Leases {
    current: tokio::sync::Mutex<Option<Current>>,
}

struct Current {
    id: i64,
    lives: Duration,
    until: Instant,
    uses: usize,
}

impl Leases {
    /// A lease under which something lives at least so long.
    pub(super) async fn of(&self, client: &Client, lives: Duration) -> Result<i64, WriteError> {
        let mut current = self.current.lock().await;
        let fits = |it: &&mut Current| it.lives == lives && it.uses < USES && Instant::now() < it.until;
        if let Some(current) = current.as_mut().filter(fits) {
            current.uses += 1;
            return Ok(current.id);
        }
        let shared = (lives / PART).min(SHARED);
        let until = Instant::now() + shared;
        let ttl = (lives + shared).as_secs_f64().ceil().max(1.0) as i64;
        let request = api::LeaseGrantRequest { ttl, id: 0 };
        let granted = timely(LeaseClient::new(client.channel.clone()).lease_grant(request)).await;
        let granted =
            granted.map_err(|status| WriteError::Unavailable { what: "etcd for a lease", why: explain(&status) })?;
        *current = Some(Current { id: granted.id, lives, until, uses: 1 });
        Ok(granted.id)
    }

    /// etcd does not know it.
    pub(super) async fn forget(&self) {
        *self.current.lock().await = None;
    }
}
