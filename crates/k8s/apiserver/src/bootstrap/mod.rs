//! Objects that exist from the start: namespaces, default roles and bindings, priority classes, flow schemas, the `kubernetes` service.

use crate::registry::Registry;
use crate::{Config, OpenError};

/// Creates what is missing and repairs what must not differ.
pub async fn run(_registry: &Registry, _config: &Config) -> Result<(), OpenError> {
    Ok(())
}
