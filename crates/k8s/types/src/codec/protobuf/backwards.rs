//! A buffer for protobuf that is written backwards.
//!
//! A message's length stands before it, so everything is written last field first, and the buffer is turned round at the end.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

/// The buffer. Bytes are in reverse until [`Backwards::finish`].
#[derive(Default)]
pub(crate) struct Backwards {
    bytes: Vec<u8>,
}

impl Backwards {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Backwards { bytes: Vec::with_capacity(capacity) }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }

    /// How much was written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts what was written behind something else.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend(self.bytes.iter().rev());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes.iter().rev());
    }

    pub(crate) fn varint(&mut self, mut number: u64) {
        let mut digits = [0u8; 10];
        let mut count = 0;
        loop {
            digits[count] = (number & 0x7f) as u8 | 0x80;
            count += 1;
            number >>= 7;
            if number == 0 {
                break;
            }
        }
        digits[count - 1] &= 0x7f;
        self.raw(&digits[..count]);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    /// The length and tag of a field whose bytes come behind it.
    pub(crate) fn head(&mut self, length: usize, number: u32) {
        self.varint(length as u64);
        self.tag(number, BYTES);
    }

    /// A message as the field of a number.
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let before = self.len();
        write(self);
        self.head(self.len() - before, number);
    }

    pub(crate) fn bytes_field(&mut self, bytes: &[u8], number: u32) {
        self.raw(bytes);
        self.head(bytes.len(), number);
    }

    pub(crate) fn number_field(&mut self, value: u64, number: u32) {
        self.varint(value);
        self.tag(number, VARINT);
    }

    pub(crate) fn double_field(&mut self, value: f64, number: u32) {
        self.raw(&value.to_le_bytes());
        self.tag(number, FIXED64);
    }
}
