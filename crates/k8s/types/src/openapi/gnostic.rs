//! A document of version 2 as the protobuf message `openapi.v2.Document` (gnostic's), which Go clients ask for.

use crate::codec::protobuf::Backwards;
use serde_json::{Map, Value};

/// The message of a whole document.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut out = Backwards::with_capacity(1 << 20);
    out.message(13, |out| {
        named(out, &document["securityDefinitions"], 1, |out, value| out.message(2, |out| key(out, value)))
    });
    each(&document["security"], |requirement| {
        out.message(12, |out| named(out, requirement, 1, |out, value| strings(out, value, 1)));
    });
    out.message(10, |out| named(out, &document["parameters"], 1, parameter));
    out.message(9, |out| named(out, &document["definitions"], 1, schema));
    out.message(8, |out| named(out, &document["paths"], 2, path));
    out.message(2, |out| {
        text(out, &document["info"]["version"], 2);
        text(out, &document["info"]["title"], 1);
    });
    text(&mut out, &document["swagger"], 1);
    out.finish()
}

/// Members of an object as messages of a name and a value.
fn named(out: &mut Backwards, object: &Value, number: u32, write: impl Fn(&mut Backwards, &Value)) {
    for (name, value) in object.as_object().into_iter().flatten().rev() {
        out.message(number, |out| {
            out.message(2, |out| write(out, value));
            out.bytes_field(name.as_bytes(), 1);
        });
    }
}

/// Items of a list, last first.
fn each(list: &Value, write: impl FnMut(&Value)) {
    list.as_array().into_iter().flatten().rev().for_each(write);
}

fn text(out: &mut Backwards, value: &Value, number: u32) {
    if let Some(text) = value.as_str() {
        out.bytes_field(text.as_bytes(), number);
    }
}

fn strings(out: &mut Backwards, list: &Value, number: u32) {
    each(list, |value| text(out, value, number));
}

fn flag(out: &mut Backwards, value: &Value, number: u32) {
    if value.as_bool() == Some(true) {
        out.number_field(1, number);
    }
}

fn whole(out: &mut Backwards, value: &Value, number: u32) {
    if let Some(value) = value.as_i64() {
        out.number_field(value as u64, number);
    }
}

fn double(out: &mut Backwards, value: &Value, number: u32) {
    if let Some(value) = value.as_f64() {
        out.double_field(value, number);
    }
}

/// Anything, as YAML (of which JSON is a part).
fn any(out: &mut Backwards, value: &Value, number: u32) {
    if !value.is_null() {
        out.message(number, |out| out.bytes_field(value.to_string().as_bytes(), 2));
    }
}

/// Members that begin with `x-`.
fn extensions(out: &mut Backwards, object: &Value, number: u32) {
    let members = object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    let members: Map<String, Value> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    named(out, &Value::Object(members), number, |out, value| out.bytes_field(value.to_string().as_bytes(), 2));
}

fn schema(out: &mut Backwards, of: &Value) {
    extensions(out, of, 31);
    any(out, &of["example"], 30);
    if of["properties"].is_object() {
        out.message(25, |out| named(out, &of["properties"], 1, schema));
    }
    if of["items"].is_object() {
        out.message(23, |out| out.message(1, |out| schema(out, &of["items"])));
    }
    if of["type"].is_string() {
        out.message(22, |out| text(out, &of["type"], 1));
    }
    match &of["additionalProperties"] {
        Value::Bool(allowed) => out.message(21, |out| out.number_field(u64::from(*allowed), 2)),
        inner @ Value::Object(_) => out.message(21, |out| out.message(1, |out| schema(out, inner))),
        _ => {}
    }
    each(&of["enum"], |value| any(out, value, 20));
    strings(out, &of["required"], 19);
    for (name, number) in [("minProperties", 18), ("maxProperties", 17), ("minItems", 15), ("maxItems", 14)] {
        whole(out, &of[name], number);
    }
    flag(out, &of["uniqueItems"], 16);
    text(out, &of["pattern"], 13);
    whole(out, &of["minLength"], 12);
    whole(out, &of["maxLength"], 11);
    flag(out, &of["exclusiveMinimum"], 10);
    double(out, &of["minimum"], 9);
    flag(out, &of["exclusiveMaximum"], 8);
    double(out, &of["maximum"], 7);
    double(out, &of["multipleOf"], 6);
    any(out, &of["default"], 5);
    for (name, number) in [("description", 4), ("title", 3), ("format", 2), ("$ref", 1)] {
        text(out, &of[name], number);
    }
}

fn path(out: &mut Backwards, item: &Value) {
    each(&item["parameters"], |value| out.message(9, |out| parameter_or_reference(out, value)));
    for (method, number) in [("patch", 8), ("delete", 5), ("post", 4), ("put", 3), ("get", 2)] {
        if item[method].is_object() {
            out.message(number, |out| operation(out, &item[method]));
        }
    }
}

fn operation(out: &mut Backwards, of: &Value) {
    extensions(out, of, 13);
    strings(out, &of["schemes"], 10);
    out.message(9, |out| {
        named(out, &of["responses"], 1, |out, response| {
            out.message(1, |out| {
                if response["schema"].is_object() {
                    out.message(2, |out| out.message(1, |out| schema(out, &response["schema"])));
                }
                text(out, &response["description"], 1);
            });
        });
    });
    each(&of["parameters"], |value| out.message(8, |out| parameter_or_reference(out, value)));
    strings(out, &of["consumes"], 7);
    strings(out, &of["produces"], 6);
    text(out, &of["operationId"], 5);
    text(out, &of["description"], 3);
    strings(out, &of["tags"], 1);
}

fn parameter_or_reference(out: &mut Backwards, of: &Value) {
    if of["$ref"].is_string() {
        out.message(2, |out| text(out, &of["$ref"], 1));
    } else {
        out.message(1, |out| parameter(out, of));
    }
}

fn parameter(out: &mut Backwards, of: &Value) {
    match of["in"].as_str() {
        Some("body") => out.message(1, |out| {
            out.message(5, |out| schema(out, &of["schema"]));
            flag(out, &of["required"], 4);
            text(out, &of["in"], 3);
            text(out, &of["name"], 2);
            text(out, &of["description"], 1);
        }),
        Some("path") => out.message(2, |out| out.message(4, |out| plain_parameter(out, of, 19, 5))),
        _ => out.message(2, |out| out.message(3, |out| plain_parameter(out, of, 20, 6))),
    }
}

/// Parameters of paths and queries differ in some numbers.
fn plain_parameter(out: &mut Backwards, of: &Value, unique: u32, ty: u32) {
    flag(out, &of["uniqueItems"], unique);
    text(out, &of["type"], ty);
    text(out, &of["name"], 4);
    text(out, &of["description"], 3);
    text(out, &of["in"], 2);
    flag(out, &of["required"], 1);
}

fn key(out: &mut Backwards, of: &Value) {
    for (name, number) in [("description", 4), ("in", 3), ("name", 2), ("type", 1)] {
        text(out, &of[name], number);
    }
}
