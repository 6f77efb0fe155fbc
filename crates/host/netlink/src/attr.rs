//! Netlink attributes: a type, a length and bytes, padded to four; writing them nested and reading them back.

/// Marks an attribute that holds attributes.
pub(crate) const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

/// The body of a message while it is written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// A body that starts with the fixed header of its family.
    pub fn with_header(header: &[u8]) -> Self {
        let mut writer = Writer(header.to_vec());
        writer.pad();
        writer
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.head(kind, value.len());
        self.0.extend_from_slice(value);
        self.pad();
        self
    }

    /// A text with its closing zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.head(kind, value.len() + 1);
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(0);
        self.pad();
        self
    }

    /// A number in network order, as nf_tables has them.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A number in network order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Attributes inside an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer)) -> &mut Self {
        let start = self.0.len();
        self.head(kind | NESTED, 0);
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn head(&mut self, kind: u16, length: usize) {
        debug_assert!(length + 4 <= usize::from(u16::MAX), "attribute of {length} bytes");
        self.0.extend_from_slice(&((length + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// Attributes of a message, as `(type without flags, bytes)`; stops at the first that does not fit.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

/// Reads attributes.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

impl<'a> Attributes<'a> {
    /// The first attribute of a type.
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        Iterator::find(&mut self, |(found, _)| *found == kind).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_nested_and_read_back() {
        let mut writer = Writer::default();
        writer.text(1, "abcd").nest(2, |inner| {
            inner.be32(3, 7).bytes(4, &[9]);
        });
        assert_eq!(
            writer.0,
            [
                9, 0, 1, 0, b'a', b'b', b'c', b'd', 0, 0, 0, 0, // text
                20, 0, 2, 0x80, 8, 0, 3, 0, 0, 0, 0, 7, 5, 0, 4, 0, 9, 0, 0, 0, // nest
            ]
        );
        let nest = attributes(&writer.0).find(2).unwrap();
        assert_eq!(attributes(nest).collect::<Vec<_>>(), [(3, &[0, 0, 0, 7][..]), (4, &[9][..])]);
    }

    #[test]
    fn truncated_attributes_end_the_reading() {
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[0, 0, 0, 0]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0, 1]).count(), 1);
    }
}
