//! The rules, each a walk over the bytes.

use super::text;

const MOST_LABEL: usize = 63;
const MOST_SUBDOMAIN: usize = 253;

/// A label of DNS (RFC 1123), in lower case: names of namespaces and of what becomes a host name.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_LABEL, text::no_longer_than_characters);
    if !is_label(name) {
        why.push(if is_subdomain(name) {
            "must not contain dots".to_owned()
        } else {
            let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                        and end with an alphanumeric character";
            text::expression(what, text::LABEL, &["my-name", "123-abc"])
        });
    }
    why
}

/// A name of DNS (RFC 1123), in lower case: the names of most objects.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_SUBDOMAIN, text::no_longer_than_characters);
    why.extend(subdomain_form(name));
    why
}

fn subdomain_form(name: &str) -> Option<String> {
    (!is_subdomain(name)).then(|| {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                    start and end with an alphanumeric character";
        text::expression(what, text::SUBDOMAIN, &["example.com"])
    })
}

/// A name of DNS in which upper case is allowed (names of drivers).
pub fn dns1123_subdomain_any_case(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_SUBDOMAIN, text::no_longer_than);
    if !is_subdomain(&name.to_ascii_lowercase()) {
        let what = "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an \
                    alphanumeric character";
        why.push(text::expression(what, text::SUBDOMAIN, &["Example.com"]));
    }
    why
}

/// A name of DNS in which labels may have underscores (search domains).
pub fn dns1123_subdomain_underscore(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_SUBDOMAIN, text::no_longer_than_characters);
    let good = name.split('.').all(|label| {
        let label = label.strip_prefix('_').unwrap_or(label);
        bounded(label, |byte| lower(byte) || byte == b'_' || byte == b'-', lower)
    });
    if !good {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
                    must start and end with an alphanumeric character";
        why.push(text::expression(what, text::SUBDOMAIN_UNDERSCORE, &["example.com"]));
    }
    why
}

/// `*.` and a name of DNS.
pub fn wildcard_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_SUBDOMAIN, text::no_longer_than_characters);
    if !name.strip_prefix("*.").is_some_and(is_subdomain) {
        let what = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
                    of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        why.push(text::expression(what, text::WILDCARD, &["*.example.com"]));
    }
    why
}

/// A label of DNS (RFC 1035): starts with a letter.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut why = longer(name, MOST_LABEL, text::no_longer_than_characters);
    if !(is_label(name) && name.as_bytes()[0].is_ascii_lowercase()) {
        let what = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                    character, and end with an alphanumeric character";
        why.push(text::expression(what, text::LABEL_1035, &["my-name", "abc-123"]));
    }
    why
}

/// A label's key: a name, perhaps after a name of DNS and a slash.
pub fn label_key(key: &str) -> Vec<String> {
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                character";
    let form = || text::expression(what, text::LABEL_KEY, &["MyName", "my.name", "123-abc"]);
    let mut why = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            let tail = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {tail}", form())];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                why.push("prefix part must be non-empty".to_owned());
            } else {
                let mut of_prefix = longer(prefix, MOST_SUBDOMAIN, text::no_longer_than);
                of_prefix.extend(subdomain_form(prefix));
                why.extend(of_prefix.into_iter().map(|why| format!("prefix part {why}")));
            }
            name
        }
    };
    if name.is_empty() {
        why.push("name part must be non-empty".to_owned());
    } else if name.len() > MOST_LABEL {
        why.push(format!("name part {}", text::no_longer_than(MOST_LABEL)));
    }
    if !is_qualified(name) {
        why.push(format!("name part {}", form()));
    }
    why
}

/// The same rule as [`label_key`], by the name that finalizers, annotations and resources know it.
pub fn qualified_name(name: &str) -> Vec<String> {
    label_key(name)
}

/// A label's value.
pub fn label_value(value: &str) -> Vec<String> {
    let mut why = longer(value, MOST_LABEL, text::no_longer_than);
    if !value.is_empty() && !is_qualified(value) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
                    start and end with an alphanumeric character";
        why.push(text::expression(what, text::LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    why
}

/// A name that can be a segment of a path: no rule but that.
pub fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => path_segment_prefix(name),
    }
}

/// The start of a name that will be a segment of a path.
pub fn path_segment_prefix(name: &str) -> Vec<String> {
    ["/", "%"].into_iter().filter(|bad| name.contains(bad)).map(|bad| format!("may not contain '{bad}'")).collect()
}

/// The name of a port.
pub fn port_name(name: &str) -> Vec<String> {
    let mut why = longer(name, 15, text::no_longer_than_characters);
    if name.is_empty() || !name.bytes().all(|byte| lower(byte) || byte == b'-') {
        why.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        why.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        why.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        why.push("must not begin or end with a hyphen".to_owned());
    }
    why
}

/// 1 to 65535.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// A user's number.
pub fn user_id(id: i64) -> Vec<String> {
    in_range(id, 0, i32::MAX as i64)
}

/// A group's number.
pub fn group_id(id: i64) -> Vec<String> {
    in_range(id, 0, i32::MAX as i64)
}

/// A number between two others, both of them included.
pub fn in_range(number: i64, least: i64, most: i64) -> Vec<String> {
    if (least..=most).contains(&number) { Vec::new() } else { vec![text::between(least, most)] }
}

/// A number with a percent sign.
pub fn percent(value: &str) -> Vec<String> {
    let good = value.strip_suffix('%').is_some_and(|number| of_bytes(number, |byte| byte.is_ascii_digit()));
    let what = "a valid percent string must be a numeric string followed by an ending '%'";
    unless(good, || text::expression(what, text::PERCENT, &["1%", "93%"]))
}

/// The name of an HTTP header.
pub fn http_header_name(name: &str) -> Vec<String> {
    let good = of_bytes(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let what = "a valid HTTP header must consist of alphanumeric characters or '-'";
    unless(good, || text::expression(what, text::HEADER, &["X-Header-Name"]))
}

/// An identifier of C.
pub fn c_identifier(name: &str) -> Vec<String> {
    let good = of_bytes(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_') && !starts_with_digit(name);
    let what = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
                characters or '_'";
    unless(good, || text::expression(what, text::C_IDENTIFIER, &["my_name", "MY_NAME", "MyName"]))
}

/// The name of an environment variable: anything printable but `=`.
pub fn env_var_name(name: &str) -> Vec<String> {
    let mut why = Vec::new();
    if name.is_empty() {
        why.push("environment variable name must be non-empty".to_owned());
    }
    if name.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'=') {
        let what = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        why.push(what.to_owned());
    }
    why
}

/// The name of an environment variable by the older rule.
pub fn env_var_name_strict(name: &str) -> Vec<String> {
    let good = of_bytes(name, file_like) && !starts_with_digit(name);
    let what = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must \
                not start with a digit";
    let mut why = unless(good, || text::expression(what, text::ENV, &["my.env-name", "MY_ENV.NAME", "MyEnvName1"]));
    why.extend(climbs(name));
    why
}

/// A key of a config map or a secret.
pub fn config_map_key(key: &str) -> Vec<String> {
    let mut why = longer(key, MOST_SUBDOMAIN, text::no_longer_than_characters);
    if !of_bytes(key, file_like) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        why.push(text::expression(what, text::CONFIG_KEY, &["key.name", "KEY_NAME", "key-name"]));
    }
    why.extend(climbs(key));
    why
}

fn climbs(name: &str) -> Option<String> {
    match name {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if name.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn longer(name: &str, most: usize, says: fn(usize) -> String) -> Vec<String> {
    if name.len() > most { vec![says(most)] } else { Vec::new() }
}

fn unless(good: bool, why: impl FnOnce() -> String) -> Vec<String> {
    if good { Vec::new() } else { vec![why()] }
}

fn is_label(name: &str) -> bool {
    bounded(name, |byte| lower(byte) || byte == b'-', lower)
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(is_label)
}

fn is_qualified(name: &str) -> bool {
    bounded(name, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte), |byte| byte.is_ascii_alphanumeric())
}

/// Not empty, all bytes of `inner`, the first and last of `outer`.
fn bounded(name: &str, inner: impl Fn(u8) -> bool, outer: impl Fn(u8) -> bool) -> bool {
    match name.as_bytes() {
        [] => false,
        [only] => outer(*only),
        [first, between @ .., last] => outer(*first) && outer(*last) && between.iter().all(|byte| inner(*byte)),
    }
}

fn of_bytes(name: &str, of: impl Fn(u8) -> bool) -> bool {
    !name.is_empty() && name.bytes().all(of)
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn file_like(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

fn starts_with_digit(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_digit())
}
