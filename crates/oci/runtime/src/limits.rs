//! From the spec's resources to the control group's limits.

use cgroup::Limits;
use spec::runtime::LinuxResources;

use crate::error::Result;

/// Translates; a device access that cannot be read is refused.
pub fn limits(resources: &LinuxResources) -> Result<Limits> {
    let _ = resources;
    todo!()
}
