//! Custom resources: definitions become rows of the catalog while running.

use crate::OpenError;
use crate::registry::Registry;

/// Adds the rows of all definitions there are and keeps up with changes.
pub async fn start(_registry: &Registry) -> Result<(), OpenError> {
    Ok(())
}

/// What a custom resource does by itself: checks, defaults, columns, conversion.
pub struct Custom {}
