//! ConfigMap and Secret: keys with values, that can be frozen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::policy::read::{Read, age_cell, field_value, name_cell, or_set, put, same, take};
use crate::policy::{At, Column, Policy, check};

/// The most bytes in all values of a config map or secret.
const MOST_BYTES: usize = 1024 * 1024;

/// The policy of config maps.
pub static CONFIG_MAP: Policy = Policy {
    validate: config_map,
    validate_update: |new, old, errors| frozen(new, old, &["data", "binaryData"], errors),
    columns: &[Column::NAME, Column::text("Data", "How many keys there are."), Column::AGE],
    cells: |map, now| {
        let keys = map["data"].fields().len() + map["binaryData"].fields().len();
        vec![name_cell(map), keys.to_string().into(), age_cell(map, now)]
    },
    ..Policy::NEUTRAL
};

/// The policy of secrets.
pub static SECRET: Policy = Policy {
    defaults: |secret| {
        or_set(secret, "type", "Opaque");
        plain_texts(secret);
    },
    validate: secret,
    validate_update: |new, old, errors| {
        let root = At::root(new);
        check::immutable(&root.get("type"), &old["type"], errors);
        frozen(new, old, &["data"], errors);
    },
    warnings: secret_warnings,
    columns: &[
        Column::NAME,
        Column::text("Type", "What the secret is for."),
        Column::text("Data", "How many keys there are."),
        Column::AGE,
    ],
    cells: |secret, now| {
        let keys = secret["data"].fields().len().to_string();
        vec![name_cell(secret), secret["type"].text().into(), keys.into(), age_cell(secret, now)]
    },
    field: |secret, path| field_value(secret, path),
    ..Policy::NEUTRAL
};

/// `stringData` is a way to write: its texts become data.
fn plain_texts(secret: &mut Value) {
    let Some(texts) = take(secret, &["stringData"]) else { return };
    for (key, text) in texts.fields() {
        put(secret, &["data", key], STANDARD.encode(text.text()));
    }
}

fn config_map(map: &Value, errors: &mut Errors) {
    let root = At::root(map);
    let mut size = 0;
    for (key, at) in root.get("data").entries() {
        keyed(&at, key, errors);
        if map["binaryData"].get(key).is_some() {
            at.invalid_value(errors, key, "duplicate of key present in binaryData");
        }
        size += at.text().len();
    }
    for (key, at) in root.get("binaryData").entries() {
        keyed(&at, key, errors);
        size += decoded_len(at.text());
    }
    if size > MOST_BYTES {
        errors.push(Error::too_long(&Path::new(""), MOST_BYTES));
    }
}

fn keyed(at: &At, key: &str, errors: &mut Errors) {
    for message in crate::names::config_map_key(key) {
        at.invalid_value(errors, key, message);
    }
}

fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// What an immutable object may not change.
fn frozen(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if !old["immutable"].yes() {
        return;
    }
    let root = At::root(new);
    if !new["immutable"].yes() {
        root.get("immutable").forbidden(errors, DETAIL);
    }
    for field in fields {
        if !same(&new[*field], &old[*field]) {
            root.get(field).forbidden(errors, DETAIL);
        }
    }
}

fn secret(secret: &Value, errors: &mut Errors) {
    let root = At::root(secret);
    let data = root.get("data");
    let mut size = 0;
    for (key, at) in data.entries() {
        keyed(&at, key, errors);
        size += decoded_len(at.text());
    }
    if size > MOST_BYTES {
        data.too_long(errors, MOST_BYTES);
    }
    let required = |key: &str, errors: &mut Errors| {
        if data.get(key).is_null() {
            data.key(key).required(errors, "");
        }
    };
    match secret["type"].text() {
        "kubernetes.io/service-account-token" => {
            let annotations = root.down(&["metadata", "annotations"]);
            annotations.key("kubernetes.io/service-account.name").needed(errors);
        }
        "kubernetes.io/dockercfg" => json_at(&data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_at(&data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if data["username"].is_null() && data["password"].is_null() => {
            required("username", errors);
            required("password", errors);
        }
        "kubernetes.io/ssh-auth" => {
            data.key("ssh-privatekey").needed(errors);
        }
        "kubernetes.io/tls" => {
            required("tls.crt", errors);
            required("tls.key", errors);
        }
        _ => {}
    }
}

fn json_at(data: &At, key: &str, errors: &mut Errors) {
    let at = data.key(key);
    if at.is_null() {
        return at.required(errors, "");
    }
    let bytes = STANDARD.decode(at.text()).unwrap_or_default();
    let parsed: Result<serde_json::Map<String, Value>, _> = serde_json::from_slice(&bytes);
    if let Err(wrong) = parsed {
        let detail = if bytes.is_empty() { "unexpected end of JSON input".to_owned() } else { wrong.to_string() };
        at.invalid_value(errors, "<secret contents redacted>", detail);
    }
}

fn secret_warnings(secret: &Value, _old: Option<&Value>) -> Vec<String> {
    if secret["type"].text() != "kubernetes.io/tls" {
        return Vec::new();
    }
    let has = |key: &str| !secret["data"][key].is_unset();
    let pem = |key: &str| STANDARD.decode(secret["data"][key].text()).unwrap_or_default();
    let begins = |bytes: &[u8]| bytes.windows(10).any(|window| window == b"-----BEGIN");
    let bad = has("tls.crt") && has("tls.key") && (!begins(&pem("tls.crt")) || !begins(&pem("tls.key")));
    if bad { vec!["tls: failed to find any PEM data in certificate input".to_owned()] } else { Vec::new() }
}
