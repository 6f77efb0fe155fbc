//! Functions on durations and points in time.

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::time::{self, Part};
use crate::cel::value::Value;

const GETTER: &[&str] = &[".(timestamp): int", ".(timestamp, string): int"];
const BOTH: &[&str] = &[".(timestamp): int", ".(timestamp, string): int", ".(duration): int"];

/// `duration`, `timestamp` and the getters.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "duration",
        signatures: &["(duration): duration", "(string): duration", "(int): duration"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Duration(nanos) => Ok(Value::Duration(*nanos)),
            Value::Int(nanos) => Ok(Value::Duration(*nanos)),
            Value::String(text) => spec::duration::parse(text.as_str())
                .map(Value::Duration)
                .map_err(|_| EvalError::new(format!("time: invalid duration {:?}", text.as_str()))),
            _ => no_overload(),
        },
    },
    Function {
        name: "timestamp",
        signatures: &["(timestamp): timestamp", "(string): timestamp", "(int): timestamp"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Timestamp(at) => Ok(Value::Timestamp(*at)),
            Value::Int(seconds) => jiff::Timestamp::from_second(*seconds)
                .map(Value::Timestamp)
                .map_err(|_| EvalError::new("timestamp overflow")),
            Value::String(text) => time::parse_timestamp(text.as_str())
                .map(Value::Timestamp)
                .ok_or_else(|| EvalError::new(format!("parsing time {:?} as RFC 3339 failed", text.as_str()))),
            _ => no_overload(),
        },
    },
    Function { name: "getFullYear", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::Year) },
    Function { name: "getMonth", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::Month) },
    Function { name: "getDayOfMonth", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::Day) },
    Function { name: "getDate", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::Date) },
    Function { name: "getDayOfWeek", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::Weekday) },
    Function { name: "getDayOfYear", signatures: GETTER, cost: Cost::One, run: |args| get(args, Part::YearDay) },
    Function {
        name: "getHours",
        signatures: BOTH,
        cost: Cost::One,
        run: |args| span(args, Part::Hour, 3_600_000_000_000),
    },
    Function {
        name: "getMinutes",
        signatures: BOTH,
        cost: Cost::One,
        run: |args| span(args, Part::Minute, 60_000_000_000),
    },
    Function {
        name: "getSeconds",
        signatures: BOTH,
        cost: Cost::One,
        run: |args| span(args, Part::Second, 1_000_000_000),
    },
    Function {
        name: "getMilliseconds",
        signatures: BOTH,
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Duration(nanos) => Ok(Value::Int(nanos / 1_000_000 % 1000)),
            _ => get(args, Part::Millisecond),
        },
    },
];

fn span<'a>(args: &[Value<'a>], part: Part, unit: i64) -> Outcome<'a> {
    match &args[0] {
        Value::Duration(nanos) => Ok(Value::Int(nanos / unit)),
        _ => get(args, part),
    }
}

fn get<'a>(args: &[Value<'a>], part: Part) -> Outcome<'a> {
    let Value::Timestamp(at) = &args[0] else { return no_overload() };
    let zone = args.get(1).and_then(Value::as_str).unwrap_or("");
    let value = time::part(*at, zone, part);
    value.map(Value::Int).ok_or_else(|| EvalError::new(format!("unknown time zone {zone}")))
}
