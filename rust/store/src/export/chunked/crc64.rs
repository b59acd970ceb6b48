//! CRC-64 with the polynomial of ISO 3309, as Go's hash/crc64 computes it and tar-split data has it.

/// The polynomial, its bits reversed.
const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;
const LANES: usize = 8;
static TABLES: [[u64; 256]; LANES] = tables();

/// A sum in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crc64(u64);

impl Crc64 {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut state = !self.0;
        let (words, rest) = bytes.as_chunks::<LANES>();
        for word in words {
            let mixed = (state ^ u64::from_le_bytes(*word)).to_le_bytes();
            state = 0;
            for (lane, byte) in mixed.iter().enumerate() {
                state ^= TABLES[LANES - 1 - lane][usize::from(*byte)];
            }
        }
        for byte in rest {
            state = TABLES[0][usize::from(state.to_le_bytes()[0] ^ byte)] ^ (state >> 8);
        }
        self.0 = !state;
    }

    /// The sum as tar-split data has it.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// Table `n` tells what a byte does to the sum when `n` more bytes follow it.
const fn tables() -> [[u64; 256]; LANES] {
    let mut tables = [[0; 256]; LANES];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 {
                (state >> 1) ^ POLYNOMIAL
            } else {
                state >> 1
            };
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut lane = 1;
    while lane < LANES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[lane - 1][byte];
            tables[lane][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        lane += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogues() {
        // CRC-64/GO-ISO.
        for cut in 0..9 {
            let mut sum = Crc64::default();
            sum.update(&b"123456789"[..cut]);
            sum.update(&b"123456789"[cut..]);
            assert_eq!(u64::from_be_bytes(sum.to_bytes()), 0xb909_56c7_75a4_1001);
        }
        let mut long = Crc64::default();
        long.update(&[7; 1001]);
        let mut short = Crc64::default();
        [7; 1001].chunks(3).for_each(|piece| short.update(piece));
        assert_eq!(long, short);
    }
}
