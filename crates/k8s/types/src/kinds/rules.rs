//! Checks that several kinds share: what may not change, closed sets of values, addresses, names and selectors inside objects.

use std::net::IpAddr;

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::policy::read::Read;
use crate::{names, selector};

/// The text about a field that an update may not change.
pub const IMMUTABLE: &str = "field is immutable";

/// A field that an update may not change.
pub fn immutable(errors: &mut Errors, path: &Path, new: &Value, old: &Value) {
    if new != old {
        errors.push(Error::invalid(path, new.clone(), IMMUTABLE));
    }
}

/// A text that must be one of a set; absent or empty passes.
pub fn one_of(errors: &mut Errors, path: &Path, value: &Value, supported: &[&str]) {
    if !value.is_unset() && !supported.contains(&value.text()) {
        errors.push(Error::not_supported(path, value.clone(), supported));
    }
}

/// A text that must be there.
pub fn required(errors: &mut Errors, path: &Path, value: &Value) -> bool {
    if value.is_unset() {
        errors.push(Error::required(path, ""));
    }
    !value.is_unset()
}

/// A text checked by one of the rules of [`names`].
pub fn named(errors: &mut Errors, path: &Path, value: &Value, rule: fn(&str) -> Vec<String>) {
    for message in rule(value.text()) {
        errors.push(Error::invalid(path, value.clone(), message));
    }
}

/// A text that must be there and follow a rule of [`names`].
pub fn required_name(errors: &mut Errors, path: &Path, value: &Value, rule: fn(&str) -> Vec<String>) {
    if required(errors, path, value) {
        named(errors, path, value, rule);
    }
}

/// A text that must be one of a set and be there.
pub fn required_one_of(errors: &mut Errors, path: &Path, value: &Value, supported: &[&str]) {
    if required(errors, path, value) {
        one_of(errors, path, value, supported);
    }
}

/// A `metav1.LabelSelector`; absent passes.
pub fn label_selector(errors: &mut Errors, path: &Path, value: &Value) {
    if value.is_set() {
        errors.append(selector::label::check_object(value, selector::label::ObjectRules::default(), path));
    }
}

/// A port of a protocol.
pub fn port_number(errors: &mut Errors, path: &Path, port: i64) {
    if !(1..=65535).contains(&port) {
        errors.push(Error::invalid(path, port, "must be between 1 and 65535, inclusive"));
    }
}

/// An address as a new field wants it: canonical.
pub fn ip(errors: &mut Errors, path: &Path, value: &Value) {
    if let Some(wrong) = ip_fault(value.text()) {
        errors.push(Error::invalid(path, value.clone(), wrong));
    }
}

/// What is wrong with the text of an address.
pub fn ip_fault(text: &str) -> Option<String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Some("must not be an IPv4-mapped IPv6 address".to_owned())
        }
        Ok(ip) if ip.to_string() != text => Some(format!("must be in canonical form (\"{ip}\")")),
        Ok(_) => None,
        Err(_) if sloppy_ipv4(text) => Some("must not have leading 0s".to_owned()),
        Err(_) => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()),
    }
}

/// An address range as a new field wants it: canonical, no bits beyond the prefix.
pub fn cidr(errors: &mut Errors, path: &Path, value: &Value) {
    let text = value.text();
    let Some((ip, prefix)) = parse_cidr(text) else {
        let wrong = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(Error::invalid(path, value.clone(), wrong));
        return;
    };
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    if length.len() > 1 && length.starts_with('0') {
        errors.push(Error::invalid(path, value.clone(), "must not have leading 0s in prefix length"));
    } else if masked(ip, prefix) != ip {
        errors.push(Error::invalid(path, value.clone(), "must not have bits set beyond the prefix length"));
    } else if ip.to_string() != address {
        errors.push(Error::invalid(path, value.clone(), format!("must be in canonical form (\"{ip}/{prefix}\")")));
    }
}

/// Address and prefix length of a range; the address may have bits beyond the prefix.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, prefix) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= most)?;
    Some((ip, prefix))
}

/// The first address of a range.
pub fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

fn sloppy_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let octet = |part: &&str| part.len() > 1 && part.starts_with('0');
    parts.len() == 4 && parts.iter().any(octet) && parts.iter().all(|p| p.parse::<u8>().is_ok())
}

/// A name made of a domain and a path, such as `example.com/thing`.
pub fn domain_prefixed_path(errors: &mut Errors, path: &Path, value: &Value) {
    if !required(errors, path, value) {
        return;
    }
    let Some((domain, rest)) =
        value.text().split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        let wrong = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(Error::invalid(path, value.clone(), wrong));
        return;
    };
    for message in names::dns1123_subdomain(domain) {
        errors.push(Error::invalid(path, domain, message));
    }
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/%:@!$&'()*+,;=-._~".contains(&b)) {
        let wrong = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(Error::invalid(path, rest, wrong));
    }
}

/// The rule of a CSI driver's name.
pub fn csi_driver_name(errors: &mut Errors, path: &Path, value: &Value) {
    if !required(errors, path, value) {
        return;
    }
    if value.text().len() > 63 {
        errors.push(Error::too_long(path, 63));
    }
    for message in names::dns1123_subdomain(&value.text().to_lowercase()) {
        errors.push(Error::invalid(path, value.clone(), message));
    }
}

/// A list of at most so many items.
pub fn at_most(errors: &mut Errors, path: &Path, list: &Value, most: usize) {
    if list.items().len() > most {
        errors.push(Error::too_many(path, list.items().len(), most));
    }
}

/// Whether `*` is among the items.
pub fn has_wildcard(list: &Value) -> bool {
    list.items().iter().any(|item| item == "*")
}
