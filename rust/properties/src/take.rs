//! Taking numbers and bytes from the front of a fuzzer's input; zeros once it has ended.

/// What is left of an input.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    /// The next two bytes as a number.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number: mostly a small one, but any can come.
    pub(crate) fn number(&mut self) -> u64 {
        let width = match self.byte() {
            width @ 0..=0xf7 => return u64::from(width),
            width => usize::from(width - 0xf7),
        };
        let mut bytes = [0; 8];
        for byte in &mut bytes[..width] {
            *byte = self.byte();
        }
        u64::from_le_bytes(bytes)
    }

    /// At most the next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Whether all is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
