//! Addresses and node ports of services: taken before a service is stored, given back when it is gone.

use k8s_types::status::ApiError;
use serde_json::Value;

use crate::admission::DryRun;
use crate::registry::Registry;
use crate::{Config, OpenError};

/// What is taken.
pub struct Allocator {}

/// Held for one write; dropped without [`Reservation::keep`] it gives everything back that the write took.
#[must_use]
pub struct Reservation {}

impl Allocator {
    /// An allocator of the ranges of the configuration, before anything is known.
    pub fn new(_config: &Config) -> Result<Allocator, OpenError> {
        Ok(Allocator {})
    }

    /// Learns what the stored services have; once, before serving.
    pub async fn load(&self, _registry: &Registry) -> Result<(), OpenError> {
        Ok(())
    }

    /// Fills in what a service needs (cluster addresses, families, node ports, health check port) and holds it.
    pub async fn reserve(
        &self,
        _registry: &Registry,
        _service: &mut Value,
        _old: Option<&Value>,
        _dry_run: DryRun,
    ) -> Result<Reservation, ApiError> {
        Ok(Reservation {})
    }

    /// Gives back what a deleted service had.
    pub fn release(&self, _service: &Value) {}
}

impl Reservation {
    /// The write is stored: keeps what is new, gives back what the old object had and the new one has not.
    pub fn keep(self) {}
}
