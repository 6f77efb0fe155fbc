//! Checks that many kinds share. Each takes the place that is checked and adds what is wrong to the errors, in Kubernetes' words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::at::At;
use super::read::{Read, same};
use crate::field::Errors;
use crate::names;

/// The text of an update that changes what may not change.
pub const IMMUTABLE: &str = "field is immutable";
/// The text for a number below zero.
pub const NEGATIVE: &str = "must be greater than or equal to 0";
/// The text for a number that must be above zero.
pub const NOT_POSITIVE: &str = "must be greater than zero";

/// Every message as an invalid value.
pub fn messages(at: &At, messages: Vec<String>, errors: &mut Errors) {
    for message in messages {
        at.invalid(errors, message);
    }
}

/// A DNS label of RFC 1123.
pub fn dns_label(at: &At, errors: &mut Errors) {
    messages(at, names::dns1123_label(at.text()), errors);
}

/// A DNS subdomain of RFC 1123.
pub fn dns_subdomain(at: &At, errors: &mut Errors) {
    messages(at, names::dns1123_subdomain(at.text()), errors);
}

/// A name with an optional prefix: label keys, condition types, resource names.
pub fn qualified_name(at: &At, errors: &mut Errors) {
    messages(at, names::qualified_name(at.text()), errors);
}

/// The value of a label.
pub fn label_value(at: &At, errors: &mut Errors) {
    messages(at, names::label_value(at.text()), errors);
}

/// A key of a config map or secret.
pub fn config_key(at: &At, errors: &mut Errors) {
    messages(at, names::config_map_key(at.text()), errors);
}

/// A map of labels, as labels or as a plain selector.
pub fn labels(at: &At, errors: &mut Errors) {
    for (key, value) in at.fields() {
        for message in names::qualified_name(key) {
            at.invalid_value(errors, key.as_str(), message);
        }
        for message in names::label_value(value.text()) {
            at.invalid_value(errors, value.text(), message);
        }
    }
}

/// A map of annotations: keys of any case, all together at most 256 KiB.
pub fn annotations(at: &At, errors: &mut Errors) {
    const MOST: usize = 256 * 1024;
    let mut size = 0;
    for (key, value) in at.fields() {
        for message in names::qualified_name(&key.to_lowercase()) {
            at.invalid_value(errors, key.as_str(), message);
        }
        size += key.len() + value.text().len();
    }
    if size > MOST {
        at.too_long(errors, MOST);
    }
}

/// A `metav1.LabelSelector`, if there is one.
pub fn label_selector(at: &At, errors: &mut Errors) {
    labels(&at.get("matchLabels"), errors);
    for expression in at.get("matchExpressions").each() {
        let values = expression.get("values");
        let operator = expression.get("operator");
        match operator.text() {
            "In" | "NotIn" if values.is_unset() => {
                values.required(errors, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_unset() => {
                values.forbidden(errors, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Exists" | "DoesNotExist" => {}
            other => operator.invalid_value(errors, other, "not a valid selector operator"),
        }
        let key = expression.get("key");
        for message in names::qualified_name(key.text()) {
            key.invalid_value(errors, key.text(), message);
        }
        for value in values.each() {
            label_value(&value, errors);
        }
    }
}

/// One of a closed set of texts, in the order they are told; says whether it is. Absent is left to others.
pub fn one_of(at: &At, supported: &[&str], errors: &mut Errors) -> bool {
    if at.is_null() || supported.contains(&at.text()) {
        return true;
    }
    at.not_supported(errors, supported);
    false
}

/// A number that is zero or more, where there is one.
pub fn nonnegative(at: &At, errors: &mut Errors) {
    if at.int().is_some_and(|n| n < 0) {
        at.invalid(errors, NEGATIVE);
    }
}

/// A number that is more than zero, where there is one.
pub fn positive(at: &At, errors: &mut Errors) {
    if at.int().is_some_and(|n| n <= 0) {
        at.invalid(errors, NOT_POSITIVE);
    }
}

/// A number within bounds, where there is one.
pub fn within(at: &At, low: i64, high: i64, errors: &mut Errors) {
    if at.int().is_some_and(|n| n < low || n > high) {
        at.invalid(errors, format!("must be between {low} and {high}, inclusive"));
    }
}

/// A port number; absent reads as 0.
pub fn port_number(at: &At, errors: &mut Errors) {
    let port = at.int().unwrap_or(0);
    if !(1..=65535).contains(&port) {
        at.invalid_value(errors, port, "must be between 1 and 65535, inclusive");
    }
}

/// The name of a port.
pub fn port_name(at: &At, errors: &mut Errors) {
    messages(at, names::port_name(at.text()), errors);
}

/// A port by number or by name; absent reads as 0.
pub fn port_number_or_name(at: &At, errors: &mut Errors) {
    if at.is_string() { port_name(at, errors) } else { port_number(at, errors) }
}

/// The id of a user or group, where there is one.
pub fn user_id(at: &At, errors: &mut Errors) {
    within(at, 0, i64::from(i32::MAX), errors);
}

/// An IP address, as Kubernetes has always taken it (leading zeros and mapped addresses included).
pub fn ip(at: &At, errors: &mut Errors) -> Option<IpAddr> {
    let found = parse_ip(at.text());
    if found.is_none() {
        at.invalid_value(errors, at.text(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
    found
}

/// An IP network.
pub fn cidr(at: &At, text: &str, errors: &mut Errors) -> Option<IpAddr> {
    let found = parse_cidr(text);
    if found.is_none() {
        at.invalid_value(errors, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    found
}

/// An address that packets of others can be sent to: not unspecified, loopback or link-local.
pub fn not_special(at: &At, address: IpAddr, errors: &mut Errors) {
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    if address.is_unspecified() {
        at.invalid(errors, format!("may not be unspecified ({})", at.text()));
    }
    if address.is_loopback() {
        at.invalid(errors, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        at.invalid(errors, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if link_local_multicast {
        at.invalid(errors, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// An address, its octets with leading zeros or not; a mapped IPv4 address is IPv4.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|v6| v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4));
    }
    let octets: Vec<u8> = text.split('.').map(octet).collect::<Option<_>>()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(octets)))
}

fn octet(text: &str) -> Option<u8> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The address of a network.
pub fn parse_cidr(text: &str) -> Option<IpAddr> {
    let (address, bits) = text.split_once('/')?;
    let address = parse_ip(address)?;
    let most = if text.contains(':') { 128 } else { 32 };
    let plain = !bits.is_empty() && bits.len() <= 4 && bits.bytes().all(|b| b.is_ascii_digit());
    (plain && bits.parse::<u32>().is_ok_and(|bits| bits <= most)).then_some(address)
}

/// A path below the place it is used at: relative, without `..`.
pub fn descending_path(at: &At, errors: &mut Errors) {
    if at.text().starts_with('/') {
        at.invalid(errors, "must be a relative path");
    }
    no_backsteps(at, errors);
}

/// A path without `..`.
pub fn no_backsteps(at: &At, errors: &mut Errors) {
    if has_backsteps(at.text()) {
        at.invalid(errors, "must not contain '..'");
    }
}

/// Whether a path goes up somewhere.
pub fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// A descending path that does not start with `..` in any form: such names are the kubelet's own.
pub fn unreserved_path(at: &At, errors: &mut Errors) {
    descending_path(at, errors);
    if at.text().starts_with("..") && !at.text().starts_with("../") {
        at.invalid(errors, "must not start with '..'");
    }
}

/// Permission bits of a file, where there are any.
pub fn file_mode(at: &At, errors: &mut Errors) {
    if at.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        at.invalid(errors, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// What an update may not change.
pub fn immutable(new: &At, old: &Value, errors: &mut Errors) {
    if !same(new, old) {
        new.invalid(errors, IMMUTABLE);
    }
}
