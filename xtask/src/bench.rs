//! `bench`: not there yet, and says so.

use anyhow::{Result, bail};

pub(crate) fn bench(_: &[String]) -> Result<()> {
    bail!("bench is unimplemented")
}
