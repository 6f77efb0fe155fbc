//! Which names are allowed where, with the texts in which Kubernetes refuses the others.
//!
//! Each function gives the reasons why a name is refused: none for a good one, which costs no allocation.

mod check;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value};

use crate::field::{Error, Errors, Path};
pub use check::{
    c_identifier, config_map_key, dns1035_label, dns1123_label, dns1123_subdomain, dns1123_subdomain_any_case,
    dns1123_subdomain_underscore, env_var_name, env_var_name_strict, group_id, http_header_name, in_range, label_key,
    label_value, path_segment, path_segment_prefix, percent, port_name, port_number, qualified_name, user_id,
    wildcard_dns1123_subdomain,
};

/// A rule for the names of a kind.
pub type Rule = fn(&str) -> Vec<String>;

/// What `rule` says of a prefix of generated names: the dash at its end will be followed by letters and digits.
pub fn prefix(rule: Rule, name: &str) -> Vec<String> {
    match name.as_bytes() {
        // the character before the dash goes with it, as in Kubernetes
        [.., before, b'-'] if before.is_ascii() => rule(&format!("{}a", &name[..name.len() - 2])),
        _ => rule(name),
    }
}

/// Checks a label key at `path`.
pub fn check_label_key(key: &str, path: &Path) -> Errors {
    label_key(key).into_iter().map(|why| Error::invalid(path, key, why)).collect()
}

/// Checks `metadata.labels` or any other map of labels at `path`.
pub fn check_labels(labels: &Map<String, Value>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (key, value) in labels {
        errors.append(check_label_key(key, path));
        let value = value.as_str().unwrap_or_default();
        errors.extend(label_value(value).into_iter().map(|why| Error::invalid(path, value, why)));
    }
    errors
}

/// The most bytes that all annotations of an object may have together.
pub const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// Checks `metadata.annotations` at `path`: keys (upper case is allowed) and the total size.
pub fn check_annotations(annotations: &Map<String, Value>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut bytes = 0;
    for (key, value) in annotations {
        let lower = key.to_lowercase();
        errors.extend(qualified_name(&lower).into_iter().map(|why| Error::invalid(path, &**key, why)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > MOST_ANNOTATION_BYTES {
        errors.push(Error::too_long(path, MOST_ANNOTATION_BYTES));
    }
    errors
}
