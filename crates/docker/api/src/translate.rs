//! Wire types to the engine's types and back. Nothing here does anything but translate.

pub mod create;
pub mod events;
pub mod host;
pub mod images;
pub mod inspect;
pub mod networks;
pub mod progress;
pub mod stats;
pub mod system;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::error::ApiError;

/// What Go writes for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A time as Go writes it, zeros at the end of the fraction left out.
pub fn time(time: Timestamp) -> String {
    time.to_string()
}

/// A time or Go's zero time.
pub fn time_or_never(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), time)
}

/// A time of the network crate.
pub fn system_time(at: std::time::SystemTime) -> String {
    time_or_never(Timestamp::try_from(at).ok())
}

/// `since` and `until`: `seconds[.fraction]` since 1970, or RFC 3339. Nothing and `0` are no limit.
pub fn moment(text: &str) -> Result<Option<Timestamp>, ApiError> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bad = || ApiError::bad_request(format!("invalid value {text:?}: want seconds since 1970 or an RFC 3339 time"));
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Some(time));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = seconds.parse().map_err(|_| bad())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i32 = digits.parse().map_err(|_| bad())?;
    if nanos < 0 {
        return Err(bad());
    }
    Timestamp::new(seconds, nanos).map(Some).map_err(|_| bad())
}

/// `null` for what is empty.
fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Absent for what is empty.
fn non_empty_map<K: Ord, V>(map: BTreeMap<K, V>) -> Option<BTreeMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

/// A set as Go's `map[string]struct{}`; `null` or absent for what is empty.
fn set(words: impl IntoIterator<Item = String>) -> Option<BTreeMap<String, docker_types::Empty>> {
    non_empty_map(words.into_iter().map(|word| (word, docker_types::Empty {})).collect())
}

/// Filters of the engine.
pub fn filters(filters: docker_types::Filters) -> engine::Filters {
    let copy = |(name, values): (&str, &BTreeSet<String>)| (name.to_owned(), values.clone());
    engine::Filters(filters.iter().map(copy).collect())
}

fn widen(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let at = |text| moment(text).unwrap().map(|t| t.to_string());
        assert_eq!(at(""), None);
        assert_eq!(at("0"), None);
        assert_eq!(at("1.5").as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert_eq!(at("1136073845.000000001").as_deref(), Some("2006-01-01T00:04:05.000000001Z"));
        assert_eq!(at("2006-01-01T00:04:05Z").as_deref(), Some("2006-01-01T00:04:05Z"));
        for bad in ["x", "1.x", "1.-5", "99999999999999"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn never_is_gos_zero_time() {
        assert_eq!(time_or_never(None), "0001-01-01T00:00:00Z");
    }
}
