//! Durations and points in time as text; durations are read by `spec::duration`.

use jiff::Timestamp;

/// Writes nanoseconds as seconds, the way CEL turns a duration into text.
pub(super) fn duration_text(nanos: i64) -> String {
    let (sign, abs) = if nanos < 0 { ("-", nanos.unsigned_abs()) } else { ("", nanos as u64) };
    let (seconds, fraction) = (abs / 1_000_000_000, abs % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// Reads RFC 3339, or a date alone.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    if text.len() == 10 {
        return format!("{text}T00:00:00Z").parse().ok();
    }
    // jiff takes more than RFC 3339 does.
    let shape = text.as_bytes();
    if shape.len() < 20 || !matches!(shape[10], b'T' | b't') {
        return None;
    }
    text.parse().ok()
}

/// Which part of a point in time is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    Date,
    Weekday,
    YearDay,
    Hour,
    Minute,
    Second,
    Millisecond,
}

/// That part of `at` in the time zone named `zone`, or nothing if there is no such zone.
pub(super) fn part(at: Timestamp, zone: &str, part: Part) -> Option<i64> {
    let zone = match zone {
        "" | "UTC" | "Z" => jiff::tz::TimeZone::UTC,
        _ => offset(zone).or_else(|| jiff::tz::TimeZone::get(zone).ok())?,
    };
    let at = at.to_zoned(zone);
    Some(match part {
        Part::Year => i64::from(at.year()),
        Part::Month => i64::from(at.month()) - 1,
        Part::Day => i64::from(at.day()) - 1,
        Part::Date => i64::from(at.day()),
        Part::Weekday => i64::from(at.weekday().to_sunday_zero_offset()),
        Part::YearDay => i64::from(at.day_of_year()) - 1,
        Part::Hour => i64::from(at.hour()),
        Part::Minute => i64::from(at.minute()),
        Part::Second => i64::from(at.second()),
        Part::Millisecond => i64::from(at.millisecond()),
    })
}

fn offset(zone: &str) -> Option<jiff::tz::TimeZone> {
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some(jiff::tz::TimeZone::fixed(offset))
}
