//! Formats by name, and what `validate` says about a text.

use super::net::Url;
use super::{Cost, Function, Outcome, no_overload};
use crate::cel::time;
use crate::cel::value::Value;
use crate::names;

const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

macro_rules! formats {
    ($($function:literal, $name:literal;)*) => {
        &[
            Function {
                name: "format.named",
                signatures: &["(string): optional<kubernetes.NamedFormat>"],
                cost: Cost::One,
                run: |args| match args[0].as_str() {
                    Some(text) => Ok(NAMES.iter().find(|name| **name == text).map_or(Value::Optional(None), |name| {
                        Value::some(Value::Format(name))
                    })),
                    None => no_overload(),
                },
            },
            Function {
                name: "validate",
                signatures: &[".(kubernetes.NamedFormat, string): optional<list<string>>"],
                cost: Cost::TextOfSecond,
                run: validate,
            },
            $(Function {
                name: $function,
                signatures: &["(): kubernetes.NamedFormat"],
                cost: Cost::One,
                run: |_| Ok(Value::Format($name)),
            },)*
        ]
    };
}

/// `format.named`, `validate` and one function for every format.
pub(super) const FUNCTIONS: &[Function] = formats! {
    "format.dns1123Label", "dns1123Label";
    "format.dns1123Subdomain", "dns1123Subdomain";
    "format.dns1035Label", "dns1035Label";
    "format.qualifiedName", "qualifiedName";
    "format.dns1123LabelPrefix", "dns1123LabelPrefix";
    "format.dns1123SubdomainPrefix", "dns1123SubdomainPrefix";
    "format.dns1035LabelPrefix", "dns1035LabelPrefix";
    "format.labelValue", "labelValue";
    "format.uri", "uri";
    "format.uuid", "uuid";
    "format.byte", "byte";
    "format.date", "date";
    "format.datetime", "datetime";
};

fn validate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Value::Format(format), Some(text)) = (&args[0], args[1].as_str()) else { return no_overload() };
    let errors = errors(format, text);
    if errors.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(errors.into_iter().map(Value::text).collect())))
}

fn errors(format: &str, text: &str) -> Vec<String> {
    match format {
        "dns1123Label" => names::dns1123_label(text),
        "dns1123Subdomain" => names::dns1123_subdomain(text),
        "dns1035Label" => names::dns1035_label(text),
        "qualifiedName" => names::qualified_name(text),
        "dns1123LabelPrefix" => names::prefix(names::dns1123_label, text),
        "dns1123SubdomainPrefix" => names::prefix(names::dns1123_subdomain, text),
        "dns1035LabelPrefix" => names::prefix(names::dns1035_label, text),
        "labelValue" => names::label_value(text),
        "uri" => Url::parse(text).err().into_iter().collect(),
        "uuid" => unless(is_uuid(text), "does not match the UUID format"),
        "byte" => {
            use base64::Engine as _;
            unless(base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64")
        }
        "date" => unless(text.len() == 10 && time::parse_timestamp(text).is_some(), "invalid date"),
        "datetime" => unless(text.len() > 10 && time::parse_timestamp(text).is_some(), "invalid datetime"),
        _ => Vec::new(),
    }
}

fn unless(fine: bool, message: &str) -> Vec<String> {
    if fine { Vec::new() } else { vec![message.to_owned()] }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}
