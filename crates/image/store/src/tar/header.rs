//! The 512 byte header block: fields, checksum, numbers, names.

use super::TarError;

/// A view of one header block.
pub(super) struct Header<'a>(&'a [u8; 512]);

/// Which dialect the magic names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks the checksum of the block that stands at `offset` of the stream.
    pub fn parse(block: &'a [u8; 512], offset: u64) -> Result<Self, TarError> {
        let header = Header(block);
        let claimed = number(&block[148..156]).and_then(|n| u64::try_from(n).ok());
        let outside = |i: usize| !(148..156).contains(&i);
        let byte = |(i, &b): (usize, &u8)| if outside(i) { i64::from(b) } else { 32 };
        let signed = |(i, &b): (usize, &u8)| if outside(i) { i64::from(b as i8) } else { 32 };
        let unsigned_sum: i64 = block.iter().enumerate().map(byte).sum();
        let signed_sum: i64 = block.iter().enumerate().map(signed).sum();
        match claimed.and_then(|c| i64::try_from(c).ok()) {
            Some(c) if c == unsigned_sum || c == signed_sum => Ok(header),
            _ => Err(TarError::Checksum { offset }),
        }
    }

    fn dialect(&self) -> Dialect {
        match (&self.0[257..263], &self.0[263..265], &self.0[508..512]) {
            (b"ustar ", b" \0", _) => Dialect::Gnu,
            (b"ustar\0", _, b"tar\0") => Dialect::Star,
            (b"ustar\0", _, _) => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    /// The name with its prefix.
    pub fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = match self.dialect() {
            Dialect::Ustar => text(&self.0[345..500]),
            Dialect::Star => text(&self.0[345..476]),
            Dialect::V7 | Dialect::Gnu => &[],
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    /// The type byte; a v7 file whose name ends in a slash is a directory.
    pub fn typeflag(&self) -> u8 {
        self.0[156]
    }

    pub fn mode(&self, entry: &[u8]) -> Result<u32, TarError> {
        Ok((self.signed(100..108, entry, "mode")? & 0o7777) as u32)
    }

    pub fn uid(&self, entry: &[u8]) -> Result<i64, TarError> {
        self.signed(108..116, entry, "uid")
    }

    pub fn gid(&self, entry: &[u8]) -> Result<i64, TarError> {
        self.signed(116..124, entry, "gid")
    }

    pub fn size(&self, entry: &[u8]) -> Result<u64, TarError> {
        self.unsigned(124..136, entry, "size")
    }

    pub fn mtime(&self, entry: &[u8]) -> Result<i64, TarError> {
        self.signed(136..148, entry, "mtime")
    }

    /// Major and minor number; v7 headers have none.
    pub fn device(&self, entry: &[u8]) -> Result<(u32, u32), TarError> {
        if self.dialect() == Dialect::V7 {
            return Ok((0, 0));
        }
        let major = self.unsigned(329..337, entry, "devmajor")?;
        let minor = self.unsigned(337..345, entry, "devminor")?;
        let fit = |value: u64, field, limit: u32| {
            u32::try_from(value).ok().filter(|v| *v <= limit).ok_or(TarError::Range {
                entry: lossy(entry),
                field,
                value,
            })
        };
        Ok((fit(major, "devmajor", 0xfff)?, fit(minor, "devminor", 0xf_ffff)?))
    }

    fn signed(&self, range: std::ops::Range<usize>, entry: &[u8], field: &'static str) -> Result<i64, TarError> {
        number(&self.0[range]).ok_or_else(|| TarError::Number { entry: lossy(entry), field })
    }

    fn unsigned(&self, range: std::ops::Range<usize>, entry: &[u8], field: &'static str) -> Result<u64, TarError> {
        let value = self.signed(range, entry, field)?;
        u64::try_from(value).map_err(|_| TarError::Number { entry: lossy(entry), field })
    }
}

/// Bytes up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// An octal or base-256 number; an empty field is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let is_filler = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !is_filler(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_filler).unwrap_or(digits.len());
    let mut value: i64 = 0;
    for digit in &digits[..end] {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Two's complement, big endian; the top bit only marks the encoding.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (i, byte) in field.iter().enumerate() {
        let byte = match (i, negative) {
            (0, true) => byte | 0x80,
            (0, false) => byte & 0x7f,
            _ => *byte,
        };
        value = (value << 8) | i128::from(byte);
        i64::try_from(value).ok()?;
    }
    i64::try_from(value).ok()
}

pub(super) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
