//! Quantities of resources, and the comparisons they share with versions.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::value::Value;

/// An exact amount in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

/// `quantity` to `compareTo`.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "quantity",
        signatures: &["(string): kubernetes.Quantity"],
        cost: Cost::Text(1),
        run: |args| match args[0].as_str().map(Amount::parse) {
            Some(Some(amount)) => Ok(Value::Quantity(Arc::new(amount))),
            Some(None) => Err(EvalError::new(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
            None => no_overload(),
        },
    },
    Function {
        name: "isQuantity",
        signatures: &["(string): bool"],
        cost: Cost::Text(1),
        run: |args| match args[0].as_str() {
            Some(text) => Ok(Value::Bool(Amount::parse(text).is_some())),
            None => no_overload(),
        },
    },
    Function {
        name: "isInteger",
        signatures: &[".(kubernetes.Quantity): bool"],
        cost: Cost::One,
        run: |args| amount(&args[0]).map(|amount| Value::Bool(amount.as_integer().is_some())),
    },
    Function {
        name: "asInteger",
        signatures: &[".(kubernetes.Quantity): int"],
        cost: Cost::One,
        run: |args| match amount(&args[0])?.as_integer() {
            Some(n) => Ok(Value::Int(n)),
            None => Err(EvalError::new("cannot convert value to integer")),
        },
    },
    Function {
        name: "asApproximateFloat",
        signatures: &[".(kubernetes.Quantity): double"],
        cost: Cost::One,
        run: |args| amount(&args[0]).map(|amount| Value::Double(amount.0 as f64 / SCALE as f64)),
    },
    Function {
        name: "sign",
        signatures: &[".(kubernetes.Quantity): int", "(kubernetes.Quantity): int"],
        cost: Cost::One,
        run: |args| amount(&args[0]).map(|amount| Value::Int(amount.0.signum() as i64)),
    },
    Function {
        name: "add",
        signatures: &[
            ".(kubernetes.Quantity, kubernetes.Quantity): kubernetes.Quantity",
            ".(kubernetes.Quantity, int): kubernetes.Quantity",
        ],
        cost: Cost::One,
        run: |args| combine(args, i128::saturating_add),
    },
    Function {
        name: "sub",
        signatures: &[
            ".(kubernetes.Quantity, kubernetes.Quantity): kubernetes.Quantity",
            ".(kubernetes.Quantity, int): kubernetes.Quantity",
        ],
        cost: Cost::One,
        run: |args| combine(args, i128::saturating_sub),
    },
    Function {
        name: "isGreaterThan",
        signatures: ORDERED_BOOL,
        cost: Cost::One,
        run: |args| Ok(Value::Bool(compare(args)? == Ordering::Greater)),
    },
    Function {
        name: "isLessThan",
        signatures: ORDERED_BOOL,
        cost: Cost::One,
        run: |args| Ok(Value::Bool(compare(args)? == Ordering::Less)),
    },
    Function {
        name: "compareTo",
        signatures: &[
            ".(kubernetes.Quantity, kubernetes.Quantity): int",
            ".(kubernetes.Semver, kubernetes.Semver): int",
        ],
        cost: Cost::One,
        run: |args| Ok(Value::Int(compare(args)? as i64)),
    },
];

const ORDERED_BOOL: &[&str] =
    &[".(kubernetes.Quantity, kubernetes.Quantity): bool", ".(kubernetes.Semver, kubernetes.Semver): bool"];

const SCALE: i128 = 1_000_000_000;

fn amount(value: &Value<'_>) -> Result<Amount, EvalError> {
    match value {
        Value::Quantity(amount) => Ok(**amount),
        _ => Err(EvalError::new("no such overload")),
    }
}

fn combine<'a>(args: &[Value<'a>], f: fn(i128, i128) -> i128) -> Outcome<'a> {
    let right = match &args[1] {
        Value::Int(n) => i128::from(*n) * SCALE,
        value => amount(value)?.0,
    };
    Ok(Value::Quantity(Arc::new(Amount(f(amount(&args[0])?.0, right)))))
}

fn compare(args: &[Value<'_>]) -> Result<Ordering, EvalError> {
    match (&args[0], &args[1]) {
        (Value::Quantity(a), Value::Quantity(b)) => Ok(a.cmp(b)),
        (Value::Semver(a), Value::Semver(b)) => Ok(a.compare(b)),
        _ => Err(EvalError::new("no such overload")),
    }
}

impl Amount {
    /// Reads a quantity; what is finer than a billionth is rounded up, what is too large is the largest.
    pub(crate) fn parse(text: &str) -> Option<Amount> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (factor, exponent) = factor(suffix)?;
        let digits: String = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let mantissa: i128 = match digits {
            "" => 0,
            digits if digits.len() > 36 => i128::MAX,
            digits => digits.parse().ok()?,
        };
        let scaled = mantissa.saturating_mul(factor);
        let magnitude = shift(scaled, exponent + 9 - i32::try_from(fraction.len()).ok()?);
        Some(Amount(if negative { -magnitude } else { magnitude }))
    }

    fn as_integer(self) -> Option<i64> {
        (self.0 % SCALE == 0).then(|| i64::try_from(self.0 / SCALE).ok()).flatten()
    }
}

/// A binary factor and a power of ten.
fn factor(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => (1, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// Times ten to the `by`; rounds away from zero.
fn shift(value: i128, by: i32) -> i128 {
    if value == 0 || by < -40 {
        return i128::from(value != 0);
    }
    if by >= 0 {
        return 10i128.checked_pow(by.unsigned_abs()).map_or(i128::MAX, |power| value.saturating_mul(power));
    }
    let power = 10i128.checked_pow(by.unsigned_abs()).unwrap_or(i128::MAX);
    value / power + i128::from(value % power != 0)
}
