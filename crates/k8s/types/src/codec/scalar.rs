//! Scalars with a syntax of their own: checked, and written as Go writes them back.

use crate::schema::{SchemaOr, Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

/// Seconds and nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The name of a type in Go, for messages.
pub(super) fn go_type(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::Int32 | Type::IntOrString => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Number => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::List(list) => format!("[]{}", go_type(&list.item)),
        Type::Map(map) => format!("map[string]{}", go_type(&map.value)),
        Type::Struct(of) => format!("{}.{}", of.package.rsplit('.').next().unwrap_or_default(), of.name),
        Type::SchemaOr(SchemaOr::Bool) => "v1.JSONSchemaPropsOrBool".into(),
        Type::SchemaOr(SchemaOr::Schemas) => "v1.JSONSchemaPropsOrArray".into(),
        Type::SchemaOr(SchemaOr::Strings) => "v1.JSONSchemaPropsOrStringArray".into(),
        Type::Any => "interface {}".into(),
        _ => "string".into(),
    }
}

/// An amount: checked, and kept as it was written.
pub(super) fn quantity(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if is_quantity(text) {
        return Ok(text.into());
    }
    // as Go's quantities tell it
    Err(match text.is_empty() {
        true => "empty string not allowed as a quantity".into(),
        false => "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".into(),
    })
}

fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let digits = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    let known = matches!(suffix, "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E")
        || matches!(suffix, "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei");
    digits && (known || suffix.strip_prefix(['e', 'E']).is_some_and(|power| power.parse::<i32>().is_ok()))
}

/// Base64 without line breaks.
pub(super) fn base64(mut text: String) -> Result<Value, String> {
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    match STANDARD.decode(&text) {
        Ok(_) => Ok(text.into()),
        Err(base64::DecodeError::InvalidByte(at, _)) | Err(base64::DecodeError::InvalidLastSymbol(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}

/// A time, to the second.
pub(super) fn time(text: &str) -> Result<Value, String> {
    Ok(format_time(parse_time(text)?).into())
}

/// A time, to the microsecond.
pub(super) fn micro_time(text: &str) -> Result<Value, String> {
    Ok(format_micro_time(parse_time(text)?).into())
}

/// RFC 3339.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let strict = text.len() >= 20 && text.as_bytes()[10] == b'T';
    let parsed = strict.then(|| text.parse::<Timestamp>().ok()).flatten();
    parsed.ok_or_else(|| {
        format!("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\"")
    })
}

/// As `2006-01-02T15:04:05Z`.
pub(super) fn format_time(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_nanosecond().div_euclid(SECOND) as i64).unwrap_or(time);
    whole.to_string()
}

/// As `2006-01-02T15:04:05.000000Z`.
pub(super) fn format_micro_time(time: Timestamp) -> String {
    let micros = time.as_nanosecond().rem_euclid(SECOND) / 1000;
    format!("{}.{micros:06}Z", format_time(time).trim_end_matches('Z'))
}

/// A duration as Go writes it.
pub(super) fn duration(text: &str) -> Result<Value, String> {
    Ok(format_duration(parse_duration(text)?).into())
}

/// Go's notation (`1h2m3.5s`) to nanoseconds.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    spec::duration::parse(text).map_err(|_| format!("time: invalid duration \"{text}\""))
}

/// Nanoseconds in Go's notation.
pub(super) fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let amount = nanoseconds.unsigned_abs();
    let decimals = |whole: u64, part: u64, width: usize| match part {
        0 => whole.to_string(),
        _ => format!("{whole}.{part:0width$}").trim_end_matches('0').to_owned(),
    };
    match amount {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{amount}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimals(amount / 1_000, amount % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimals(amount / 1_000_000, amount % 1_000_000, 6)),
        _ => {
            let seconds = amount / 1_000_000_000;
            let rest = decimals(seconds % 60, amount % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, minutes) => format!("{sign}{minutes}m{rest}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (given, wanted) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("0", "0s"),
            ("-2m", "-2m0s"),
            ("1500us", "1.5ms"),
            ("1h0.25s", "1h0m0.25s"),
        ] {
            assert_eq!(duration(given).unwrap(), wanted, "{given}");
        }
        for bad in ["", "5", "s", "1x", "1.s.", "99999999999999999999h", "-"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_in_utc_and_to_the_second() {
        assert_eq!(time("2024-05-01T12:00:00.999+02:00").unwrap(), "2024-05-01T10:00:00Z");
        assert_eq!(micro_time("2024-05-01T12:00:00.5Z").unwrap(), "2024-05-01T12:00:00.500000Z");
        assert_eq!(time("1969-12-31T23:59:59.5Z").unwrap(), "1969-12-31T23:59:59Z");
        let error = time("soon").unwrap_err();
        assert_eq!(error, r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006""#);
    }

    #[test]
    fn quantities_are_checked_and_kept() {
        for good in ["1", "0.5", "1024Mi", "+3k", "-1", "1e3", "1E-2", ".5", "5.", "2E", "100m"] {
            assert_eq!(quantity(good).unwrap(), good);
        }
        for bad in ["", "x", "1 Mi", "1mi", "1.2.3", "Mi", "1ee3", "--1", "."] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_base64() {
        assert_eq!(base64("aGVs\nbG8=".into()).unwrap(), "aGVsbG8=");
        assert_eq!(base64("a*==".into()).unwrap_err(), "illegal base64 data at input byte 1");
        assert!(base64("abc".into()).is_err());
    }
}
