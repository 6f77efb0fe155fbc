//! PAX extended header records: `length key=value\n`.

use super::{TarError, Xattrs};

/// What the records before an entry say about it.
#[derive(Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Xattrs,
    /// `GNU.sparse.*`, with the prefix taken off, in the order given.
    pub sparse: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Adds the records of one extended header that ends at `offset` of the stream.
    pub fn parse(&mut self, mut records: &[u8], offset: u64) -> Result<(), TarError> {
        let bad = || TarError::Pax { offset };
        while !records.is_empty() {
            if records.iter().all(|b| *b == 0) {
                break;
            }
            let space = records.iter().position(|b| *b == b' ').ok_or_else(bad)?;
            let length: usize = decimal(&records[..space]).and_then(|n| usize::try_from(n).ok()).ok_or_else(bad)?;
            if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
                return Err(bad());
            }
            let record = &records[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            self.record(&record[..equals], &record[equals + 1..]).ok_or_else(bad)?;
            records = &records[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // An empty value takes back an earlier one.
        match key {
            b"path" => self.path = filled(value),
            b"linkpath" => self.link = filled(value),
            b"size" => self.size = optional(value, decimal)?,
            b"uid" => self.uid = optional(value, |v| decimal(v).and_then(|n| i64::try_from(n).ok()))?,
            b"gid" => self.gid = optional(value, |v| decimal(v).and_then(|n| i64::try_from(n).ok()))?,
            b"mtime" => self.mtime = optional(value, time)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(n, _)| n != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }

    pub fn sparse(&self, key: &[u8]) -> Option<&[u8]> {
        self.sparse.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_slice())
    }
}

fn filled(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn optional<T>(value: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() { Some(None) } else { parse(value).map(Some) }
}

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `[-]seconds[.fraction]`, rounded down to nanoseconds.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { i64::try_from(decimal(whole.as_bytes())?).ok()? };
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    match (negative, nanos) {
        (false, _) => Some((whole, nanos)),
        (true, 0) => Some((-whole, 0)),
        (true, _) => Some((-whole - 1, 1_000_000_000 - nanos)),
    }
}
