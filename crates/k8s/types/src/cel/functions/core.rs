//! Sizes, conversions and arithmetic.

use std::sync::Arc;

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::ast::Op;
use crate::cel::time;
use crate::cel::value::{Text, Value};

/// `size`, conversions, optional values.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "size",
        signatures: &[
            "(string): int",
            "(bytes): int",
            "(list<A>): int",
            "(map<A, B>): int",
            ".(string): int",
            ".(bytes): int",
            ".(list<A>): int",
            ".(map<A, B>): int",
        ],
        cost: Cost::One,
        run: |args| {
            let size = match &args[0] {
                Value::String(text) => text.as_str().chars().count(),
                value @ (Value::Bytes(_) | Value::List(_) | Value::Map(_)) => value.size() as usize,
                _ => return no_overload(),
            };
            Ok(Value::Int(size as i64))
        },
    },
    Function {
        name: "int",
        signatures: &["(int): int", "(uint): int", "(double): int", "(string): int", "(timestamp): int"],
        cost: Cost::One,
        run: |args| to_int(&args[0]),
    },
    Function {
        name: "uint",
        signatures: &["(int): uint", "(uint): uint", "(double): uint", "(string): uint"],
        cost: Cost::One,
        run: |args| to_uint(&args[0]),
    },
    Function {
        name: "double",
        signatures: &["(int): double", "(uint): double", "(double): double", "(string): double"],
        cost: Cost::One,
        run: |args| to_double(&args[0]),
    },
    Function {
        name: "bool",
        signatures: &["(bool): bool", "(string): bool"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Bool(b) => Ok(Value::Bool(*b)),
            Value::String(text) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                _ => Err(EvalError::new("type conversion error from 'string' to 'bool'")),
            },
            _ => no_overload(),
        },
    },
    Function {
        name: "string",
        signatures: &[
            "(string): string",
            "(bool): string",
            "(int): string",
            "(uint): string",
            "(double): string",
            "(bytes): string",
            "(timestamp): string",
            "(duration): string",
            "(net.IP): string",
            "(net.CIDR): string",
        ],
        cost: Cost::Text(1),
        run: |args| convert_text(&args[0]),
    },
    Function {
        name: "bytes",
        signatures: &["(bytes): bytes", "(string): bytes"],
        cost: Cost::Text(1),
        run: |args| match &args[0] {
            Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
            Value::String(text) => Ok(Value::Bytes(text.as_str().as_bytes().into())),
            _ => no_overload(),
        },
    },
    Function { name: "dyn", signatures: &["(A): dyn"], cost: Cost::One, run: |args| Ok(args[0].clone()) },
    Function {
        name: "type",
        signatures: &["(A): type"],
        cost: Cost::One,
        run: |args| Ok(Value::Type(args[0].type_name())),
    },
    Function {
        name: "optional.of",
        signatures: &["(A): optional<A>"],
        cost: Cost::One,
        run: |args| Ok(Value::some(args[0].clone())),
    },
    Function {
        name: "optional.ofNonZeroValue",
        signatures: &["(A): optional<A>"],
        cost: Cost::One,
        run: |args| Ok(if args[0].is_zero() { Value::Optional(None) } else { Value::some(args[0].clone()) }),
    },
    Function {
        name: "optional.none",
        signatures: &["(): optional<A>"],
        cost: Cost::One,
        run: |_| Ok(Value::Optional(None)),
    },
    Function {
        name: "hasValue",
        signatures: &[".(optional<A>): bool"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
            _ => no_overload(),
        },
    },
    Function {
        name: "value",
        signatures: &[".(optional<A>): A"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Optional(Some(inner)) => Ok((**inner).clone()),
            Value::Optional(None) => Err(EvalError::new("optional.none() dereference")),
            _ => no_overload(),
        },
    },
    Function {
        name: "or",
        signatures: &[".(optional<A>, optional<A>): optional<A>"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Optional(Some(_)) => Ok(args[0].clone()),
            Value::Optional(None) => Ok(args[1].clone()),
            _ => no_overload(),
        },
    },
    Function {
        name: "orValue",
        signatures: &[".(optional<A>, A): A"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Optional(Some(inner)) => Ok((**inner).clone()),
            Value::Optional(None) => Ok(args[1].clone()),
            _ => no_overload(),
        },
    },
];

fn range_error<'a>(of: &str) -> Outcome<'a> {
    Err(EvalError::new(format!("{of} overflow")))
}

fn to_int<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(n) => Ok(Value::Int(*n)),
        Value::Uint(n) => i64::try_from(*n).map(Value::Int).or_else(|_| range_error("integer")),
        Value::Double(n) if n.is_finite() && n.abs() < 9.223_372_036_854_775e18 => Ok(Value::Int(*n as i64)),
        Value::Double(_) => range_error("integer"),
        Value::String(text) => match text.as_str().parse() {
            Ok(n) => Ok(Value::Int(n)),
            Err(_) => Err(EvalError::new("type conversion error from 'string' to 'int'")),
        },
        Value::Timestamp(at) => Ok(Value::Int(at.as_second())),
        _ => no_overload(),
    }
}

fn to_uint<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Uint(n) => Ok(Value::Uint(*n)),
        Value::Int(n) => u64::try_from(*n).map(Value::Uint).or_else(|_| range_error("unsigned integer")),
        Value::Double(n) if *n >= 0.0 && *n < 1.844_674_407_370_955e19 => Ok(Value::Uint(*n as u64)),
        Value::Double(_) => range_error("unsigned integer"),
        Value::String(text) => match text.as_str().parse() {
            Ok(n) => Ok(Value::Uint(n)),
            Err(_) => Err(EvalError::new("type conversion error from 'string' to 'uint'")),
        },
        _ => no_overload(),
    }
}

fn to_double<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Double(n) => Ok(Value::Double(*n)),
        Value::Int(n) => Ok(Value::Double(*n as f64)),
        Value::Uint(n) => Ok(Value::Double(*n as f64)),
        Value::String(text) => match text.as_str().parse() {
            Ok(n) => Ok(Value::Double(n)),
            Err(_) => Err(EvalError::new("type conversion error from 'string' to 'double'")),
        },
        _ => no_overload(),
    }
}

/// `string(value)`.
pub(in crate::cel) fn convert_text<'a>(value: &Value<'a>) -> Outcome<'a> {
    Ok(match value {
        Value::String(text) => Value::String(text.clone()),
        Value::Bool(b) => Value::text(b.to_string()),
        Value::Int(n) => Value::text(n.to_string()),
        Value::Uint(n) => Value::text(n.to_string()),
        Value::Double(n) => Value::text(n.to_string()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::text(text),
            Err(_) => return Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        Value::Timestamp(at) => Value::text(at.to_string()),
        Value::Duration(nanos) => Value::text(time::duration_text(*nanos)),
        Value::Ip(ip) => Value::text(ip.to_string()),
        Value::Cidr(cidr) => Value::text(cidr.to_string()),
        Value::Type(name) => Value::String(Text::Shared(Arc::from(*name))),
        _ => return no_overload(),
    })
}

/// `left + right`.
pub(in crate::cel) fn add<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let overflow = || EvalError::new("integer overflow");
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(*b).ok_or_else(overflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_add(*b).ok_or_else(overflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::String(a), Value::String(b)) => Value::text(format!("{}{}", a.as_str(), b.as_str())),
        (Value::Bytes(a), Value::Bytes(b)) => Value::Bytes([&a[..], &b[..]].concat().into()),
        (Value::List(a), Value::List(b)) => Value::List(a.concat(b)),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_add(*b).ok_or_else(overflow)?),
        (Value::Timestamp(at), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(at)) => {
            let moved = at.checked_add(jiff::SignedDuration::from_nanos(*d));
            Value::Timestamp(moved.map_err(|_| EvalError::new("timestamp overflow"))?)
        }
        _ => return no_overload(),
    })
}

/// The other arithmetic operators.
pub(in crate::cel) fn arithmetic<'a>(op: Op, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let overflow = || EvalError::new("integer overflow");
    let zero = || EvalError::new(if op == Op::Rem { "modulus by zero" } else { "division by zero" });
    Ok(match (op, left, right) {
        (Op::Sub, Value::Int(a), Value::Int(b)) => Value::Int(a.checked_sub(*b).ok_or_else(overflow)?),
        (Op::Sub, Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_sub(*b).ok_or_else(overflow)?),
        (Op::Sub, Value::Double(a), Value::Double(b)) => Value::Double(a - b),
        (Op::Sub, Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_sub(*b).ok_or_else(overflow)?),
        (Op::Sub, Value::Timestamp(at), Value::Duration(d)) => {
            let moved = at.checked_sub(jiff::SignedDuration::from_nanos(*d));
            Value::Timestamp(moved.map_err(|_| EvalError::new("timestamp overflow"))?)
        }
        (Op::Sub, Value::Timestamp(a), Value::Timestamp(b)) => {
            let nanos = a.duration_since(*b).as_nanos();
            Value::Duration(i64::try_from(nanos).map_err(|_| overflow())?)
        }
        (Op::Mul, Value::Int(a), Value::Int(b)) => Value::Int(a.checked_mul(*b).ok_or_else(overflow)?),
        (Op::Mul, Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_mul(*b).ok_or_else(overflow)?),
        (Op::Mul, Value::Double(a), Value::Double(b)) => Value::Double(a * b),
        (Op::Div | Op::Rem, Value::Int(_), Value::Int(0)) | (Op::Div | Op::Rem, Value::Uint(_), Value::Uint(0)) => {
            return Err(zero());
        }
        (Op::Div, Value::Int(a), Value::Int(b)) => Value::Int(a.checked_div(*b).ok_or_else(overflow)?),
        (Op::Div, Value::Uint(a), Value::Uint(b)) => Value::Uint(a / b),
        (Op::Div, Value::Double(a), Value::Double(b)) => Value::Double(a / b),
        (Op::Rem, Value::Int(a), Value::Int(b)) => Value::Int(a.checked_rem(*b).ok_or_else(overflow)?),
        (Op::Rem, Value::Uint(a), Value::Uint(b)) => Value::Uint(a % b),
        _ => return no_overload(),
    })
}
