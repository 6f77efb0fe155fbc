//! `demo`: not there yet, and says so.

use anyhow::{Result, bail};

pub(crate) fn demo() -> Result<()> {
    bail!("demo is unimplemented")
}
