//! The formats of strings that are checked.

use crate::cel::Ip;

/// Whether `text` is of that format; a format that is not known takes everything.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "" => true,
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => uri(text),
        "email" => email(text),
        "hostname" => hostname(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "mac" => mac(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some(b'3')),
        "uuid4" => {
            uuid(text, Some(b'4')) && matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'))
        }
        "uuid5" => {
            uuid(text, Some(b'5')) && matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'))
        }
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => credit_card(text),
        "ssn" => ssn(text),
        "hexcolor" => hex_color(text),
        "rgbcolor" => rgb_color(text),
        "byte" => {
            use base64::Engine as _;
            !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => spec::duration::parse(text).is_ok() || long_duration(text),
        "datetime" | "date-time" => date_time(text),
        "k8s-short-name" => crate::names::dns1123_label(text).is_empty(),
        "k8s-long-name" => crate::names::dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

/// The formats that are known; others are told with a warning when a definition is made.
pub(super) fn is_known(format: &str) -> bool {
    const NAMES: [&str; 32] = [
        "bsonobjectid",
        "uri",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "byte",
        "password",
        "date",
        "duration",
        "datetime",
        "date-time",
        "int32",
        "int64",
        "float",
        "double",
        "k8s-short-name",
        "k8s-long-name",
        "float64",
    ];
    NAMES.contains(&format)
}

fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return text.starts_with('/') };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.is_empty()
        && !text.contains(' ')
        || text.starts_with('/')
}

fn email(text: &str) -> bool {
    let address = text.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(text);
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let fine =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>()[],;:\\@\"".contains(c));
    fine(local) && fine(domain) && !local.starts_with('.') && !local.ends_with('.')
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let Ok(Ip(address)) = Ip::parse(address) else { return false };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    prefix.bytes().all(|b| b.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits)
}

fn mac(text: &str) -> bool {
    let by = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(by).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The hyphens may be missing.
fn uuid(text: &str, version: Option<u8>) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let placed = !text.contains('-')
        || text.len() == 36 && text.bytes().enumerate().all(|(at, b)| (b == b'-') == matches!(at, 8 | 13 | 18 | 23));
    placed
        && digits.len() == 32
        && digits.iter().all(u8::is_ascii_hexdigit)
        && version.is_none_or(|version| digits[12] == version)
}

fn isbn10(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| *c != '-' && *c != ' ').collect();
    let value = |(at, c): (usize, &char)| match c {
        'X' | 'x' if at == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = digits.iter().enumerate().map(value).collect();
    digits.len() == 10
        && values.is_some_and(|v| v.iter().zip((1..=10).rev()).map(|(v, n)| v * n).sum::<u32>() % 11 == 0)
}

fn isbn13(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().filter(|c| *c != '-' && *c != ' ').map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|digits| {
        let sum: u32 = digits.iter().enumerate().map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 3 }).sum();
        digits.len() == 13 && sum.is_multiple_of(10)
    })
}

fn credit_card(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().filter(|c| *c != '-' && *c != ' ').map(|c| c.to_digit(10)).collect();
    digits.filter(|digits| (13..=19).contains(&digits.len())).is_some_and(|digits| {
        let double = |n: u32| if n * 2 > 9 { n * 2 - 9 } else { n * 2 };
        let sum = digits.iter().rev().enumerate().map(|(at, n)| if at % 2 == 1 { double(*n) } else { *n });
        sum.sum::<u32>() % 10 == 0
    })
}

fn ssn(text: &str) -> bool {
    let shape = text.len() == 11 && text.is_ascii();
    shape
        && text.bytes().enumerate().all(|(at, b)| match at {
            3 | 6 => b == b'-' || b == b' ',
            _ => b.is_ascii_digit(),
        })
}

fn hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn rgb_color(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

/// `2 days`, `3 weeks`: what the Go form does not have.
fn long_duration(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    const UNITS: [&str; 20] = [
        "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "second", "m", "min", "minute", "h", "hr",
        "hour", "d", "day", "w", "week",
    ];
    let unit = unit.trim();
    !number.is_empty() && (UNITS.contains(&unit) || UNITS.contains(&unit.trim_end_matches('s')))
}

fn date_time(text: &str) -> bool {
    let shape = text.as_bytes();
    shape.len() >= 20 && matches!(shape[10], b'T' | b't' | b' ') && {
        let normal = format!("{}T{}", &text.get(..10).unwrap_or(""), text.get(11..).unwrap_or(""));
        normal.parse::<jiff::Timestamp>().is_ok()
    }
}
