//! `string.format`.

use super::{Cost, Function, Outcome, convert_text, no_overload};
use crate::cel::EvalError;
use crate::cel::value::{List, Value};

/// `format`.
pub(super) const FUNCTIONS: &[Function] =
    &[Function { name: "format", signatures: &[".(string, list<dyn>): string"], cost: Cost::Text(2), run: format_all }];

fn format_all<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Some(pattern), Value::List(values)) = (args[0].as_str(), &args[1]) else { return no_overload() };
    let mut out = String::new();
    let mut next = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            let parsed = digits.parse::<usize>().ok().filter(|n| *n <= 1000);
            precision = Some(parsed.ok_or_else(|| EvalError::new("could not parse formatting clause: precision"))?);
        }
        let verb = chars.next().ok_or_else(|| EvalError::new("unexpected end of string"))?;
        let value = values.get(next).ok_or_else(|| EvalError::new(format!("index {next} out of range")))?;
        next += 1;
        out.push_str(&one(verb, precision, &value)?);
        if out.len() > super::super::MAX_VALUE {
            return Err(EvalError::new("result is too large"));
        }
    }
    Ok(Value::text(out))
}

fn one(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, EvalError> {
    let fail = |want: &str| {
        let got = value.type_name();
        EvalError::new(format!("error during formatting: {want} clause can only be used on numbers, was given {got}"))
    };
    Ok(match (verb, value) {
        ('s', value) => as_text(value)?,
        ('d', Value::Int(n)) => n.to_string(),
        ('d', Value::Uint(n)) => n.to_string(),
        ('d', Value::Double(n)) => n.to_string(),
        ('f', Value::Double(n)) => format!("{n:.*}", precision.unwrap_or(6)),
        ('f', Value::Int(n)) => format!("{:.*}", precision.unwrap_or(6), *n as f64),
        ('e', Value::Double(n)) => scientific(*n, precision.unwrap_or(6)),
        ('b', Value::Int(n)) => signed(*n, |n| format!("{n:b}")),
        ('b', Value::Uint(n)) => format!("{n:b}"),
        ('b', Value::Bool(b)) => u8::from(*b).to_string(),
        ('o', Value::Int(n)) => signed(*n, |n| format!("{n:o}")),
        ('o', Value::Uint(n)) => format!("{n:o}"),
        ('x', Value::Int(n)) => signed(*n, |n| format!("{n:x}")),
        ('x', Value::Uint(n)) => format!("{n:x}"),
        ('x', Value::String(text)) => text.as_str().bytes().map(|b| format!("{b:02x}")).collect(),
        ('x', Value::Bytes(bytes)) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        ('X', Value::Int(n)) => signed(*n, |n| format!("{n:X}")),
        ('X', Value::Uint(n)) => format!("{n:X}"),
        ('X', Value::String(text)) => text.as_str().bytes().map(|b| format!("{b:02X}")).collect(),
        ('X', Value::Bytes(bytes)) => bytes.iter().map(|b| format!("{b:02X}")).collect(),
        ('d', _) => return Err(fail("decimal")),
        ('f', _) => return Err(fail("fixed-point")),
        ('e', _) => return Err(fail("scientific notation")),
        ('b' | 'o' | 'x' | 'X', _) => return Err(fail("integer")),
        (verb, _) => {
            return Err(EvalError::new(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{verb}\""
            )));
        }
    })
}

fn signed(n: i64, f: fn(u64) -> String) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, f(n.unsigned_abs()))
}

fn scientific(n: f64, precision: usize) -> String {
    let text = format!("{n:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn as_text(value: &Value<'_>) -> Result<String, EvalError> {
    Ok(match value {
        Value::Null => "null".into(),
        Value::List(list) => format!("[{}]", items(list)?.join(", ")),
        Value::Map(map) => {
            let entries = map.iter().map(|(k, v)| Ok(format!("{}: {}", as_text(&k)?, as_text(&v)?)));
            let mut entries = entries.collect::<Result<Vec<_>, EvalError>>()?;
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        value => convert_text(value)?.as_str().unwrap_or_default().to_owned(),
    })
}

fn items(list: &List<'_>) -> Result<Vec<String>, EvalError> {
    list.iter().map(|item| as_text(&item)).collect()
}
