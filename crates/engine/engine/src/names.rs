//! Ids and names.

use crate::error::{Error, Result};

const LEFT: &[&str] = &[
    "amber", "ample", "brave", "brisk", "calm", "candid", "clear", "clever", "cosy", "crisp", "dapper", "deft",
    "eager", "early", "fair", "fleet", "fresh", "gentle", "glad", "golden", "happy", "hardy", "honest", "jolly",
    "keen", "kind", "lively", "lucid", "mellow", "merry", "mild", "neat", "nimble", "patient", "plucky", "proud",
    "quick", "quiet", "ready", "sharp", "silent", "smooth", "snug", "sober", "spry", "steady", "stout", "sunny",
    "swift", "tender", "tidy", "trusty", "vivid", "warm", "wise", "witty",
];
const RIGHT: &[&str] = &[
    "anchor", "barge", "beacon", "bight", "bow", "brine", "buoy", "canal", "cape", "coral", "cove", "crane", "creek",
    "current", "delta", "dock", "eddy", "estuary", "ferry", "fjord", "gull", "harbour", "heron", "inlet", "island",
    "jetty", "junk", "keel", "lagoon", "lantern", "mast", "mooring", "oar", "otter", "paddle", "pier", "pilot", "quay",
    "raft", "reef", "ripple", "river", "rudder", "sail", "sandbar", "shoal", "skiff", "stern", "strait", "tide",
    "tiller", "wharf",
];

/// 64 random hexadecimal digits; the first 12 are never all decimal, so that they cannot be taken for a number.
pub fn random_id() -> Result<String> {
    loop {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].parse::<u64>().is_err() {
            return Ok(id);
        }
    }
}

/// A name such as `swift_otter`; later attempts get a digit.
pub fn random_name(attempt: u32) -> Result<String> {
    let mut bytes = [0; 3];
    fill(&mut bytes)?;
    let left = LEFT[usize::from(bytes[0]) % LEFT.len()];
    let right = RIGHT[usize::from(bytes[1]) % RIGHT.len()];
    Ok(match attempt {
        0 => format!("{left}_{right}"),
        _ => format!("{left}_{right}{}", bytes[2]),
    })
}

/// Checks a name for a container.
pub fn check(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|it| it.is_ascii_alphanumeric());
    let rest = bytes.all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it));
    if first && rest && name.len() > 1 {
        Ok(())
    } else {
        Err(Error::invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())
        .map(|_| ())
        .map_err(|error| Error::because(crate::Kind::Internal, "getrandom", std::io::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids() {
        assert_eq!(random_id().unwrap().len(), 64);
        check(&random_name(0).unwrap()).unwrap();
        check(&random_name(1).unwrap()).unwrap();
        for bad in ["", "a", "-a", "a b", "a/b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
