//! Which capabilities a container has.

use runtime::profile;
use spec::runtime::Capability;

use crate::error::{Error, Result};

enum Named {
    All,
    One(Capability),
}

/// The default ones with `add` and `drop`, `ALL` in either, or every one when privileged.
pub fn of(add: &[String], drop: &[String], privileged: bool) -> Result<Vec<Capability>> {
    if privileged {
        return Ok(profile::all_capabilities());
    }
    if add.is_empty() && drop.is_empty() {
        return Ok(profile::default_capabilities());
    }
    tweak(add, drop, profile::default_capabilities(), profile::all_capabilities())
}

fn tweak(
    add: &[String],
    drop: &[String],
    defaults: Vec<Capability>,
    every: Vec<Capability>,
) -> Result<Vec<Capability>> {
    let (drop_all, dropped) = parse(drop, &every)?;
    let (add_all, added) = parse(add, &every)?;
    let mut kept = if add_all {
        every
    } else if drop_all {
        Vec::new()
    } else {
        defaults
    };
    kept.retain(|it| !dropped.contains(it));
    for capability in added {
        if !add_all && !kept.contains(&capability) {
            kept.push(capability);
        }
    }
    Ok(kept)
}

fn parse(names: &[String], every: &[Capability]) -> Result<(bool, Vec<Capability>)> {
    let mut all = false;
    let mut some = Vec::new();
    for name in names {
        match named(name, every)? {
            Named::All => all = true,
            Named::One(capability) => some.push(capability),
        }
    }
    Ok((all, some))
}

fn named(name: &str, every: &[Capability]) -> Result<Named> {
    let mut full = name.trim().to_ascii_uppercase();
    if full == "ALL" {
        return Ok(Named::All);
    }
    if !full.starts_with("CAP_") {
        full.insert_str(0, "CAP_");
    }
    let known: Result<Capability, _> = serde_json::from_value(serde_json::Value::String(full.clone()));
    match known {
        Ok(capability) if every.contains(&capability) => Ok(Named::One(capability)),
        Ok(_) => Err(Error::invalid(format!(
            "capability not supported by your kernel or not available in the current environment: \"{full}\""
        ))),
        Err(_) => Err(Error::invalid(format!("unknown capability: \"{full}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{Chown, Kill, NetAdmin, Setuid};

    fn run(add: &[&str], drop: &[&str]) -> Result<Vec<Capability>> {
        let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        tweak(&owned(add), &owned(drop), vec![Chown, Kill], vec![Chown, Kill, NetAdmin, Setuid])
    }

    #[test]
    fn added_and_dropped_by_name_with_or_without_prefix() {
        assert_eq!(run(&["net_admin"], &["CAP_KILL"]).unwrap(), [Chown, NetAdmin]);
        assert_eq!(run(&["KILL"], &["all"]).unwrap(), [Kill]);
        assert_eq!(run(&["ALL"], &["KILL"]).unwrap(), [Chown, NetAdmin, Setuid]);
        assert_eq!(run(&["foo"], &[]).unwrap_err().message(), "unknown capability: \"CAP_FOO\"");
    }
}
