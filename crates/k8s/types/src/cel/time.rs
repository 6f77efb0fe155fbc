//! Durations and points in time as text.

use jiff::Timestamp;

/// Reads `1h30m`, `1.5s`, `-2ms`, `0`; nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        sum = sum.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    i64::try_from(if negative { -sum } else { sum }).ok()
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 19 {
        return None;
    }
    let mut sum = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? * unit };
    let mut scale = unit;
    for digit in fraction.chars() {
        scale /= 10;
        sum += i128::from(digit.to_digit(10)?) * scale;
    }
    Some(sum)
}

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
