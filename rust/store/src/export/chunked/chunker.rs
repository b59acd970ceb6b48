//! Where the content of a file is cut into chunks.
//!
//! The borders are those that containers/storage finds with its rolling checksum (bup's, which
//! stems from rsync), so that a puller that has an image of podman's recognises our chunks: after a
//! byte at which the low 16 bits of the sum over the last 64 bytes are all set, and around runs of
//! 1,024 zeros or more. Each part of a file is cut by itself, as if it began the file.

/// Bytes that the rolling sum covers.
const WINDOW: usize = 64;
/// Added to each byte, so that zeros count.
const OFFSET: u32 = 31;
/// A border is where these bits of the sum are set: once in 64 KiB.
const BORDER: u32 = 0xffff;
/// A run of zeros of this length is a chunk of its own.
const HOLE: usize = 1 << 10;

/// A chunk: how many bytes it has, and whether they are a run of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) length: usize,
    pub(super) is_zeros: bool,
}

#[derive(Clone, Copy)]
struct Sum {
    plain: u32,
    weighted: u32,
}

impl Sum {
    /// The sum over a window of zeros.
    const ZEROS: Self = Self {
        plain: WINDOW as u32 * OFFSET,
        weighted: (WINDOW * (WINDOW - 1)) as u32 * OFFSET,
    };

    fn roll(&mut self, leaves: u8, enters: u8) {
        let (leaves, enters) = (u32::from(leaves), u32::from(enters));
        self.plain = self.plain.wrapping_add(enters).wrapping_sub(leaves);
        self.weighted = self
            .weighted
            .wrapping_add(self.plain)
            .wrapping_sub(WINDOW as u32 * (leaves + OFFSET));
    }
}

/// The chunks of `bytes`, in order; none of them is empty.
pub(super) fn cuts(bytes: &[u8]) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut sum = Sum::ZEROS;
    let (mut start, mut position) = (0, 0);
    let mut add = |start: usize, end: usize, is_zeros| {
        if end > start {
            let length = end - start;
            cuts.push(Cut { length, is_zeros });
        }
    };
    while position < bytes.len() {
        let zeros = zeros(&bytes[position..]);
        if zeros >= HOLE {
            add(start, position, false);
            position += zeros;
            add(position - zeros, position, true);
            start = position;
            sum = Sum::ZEROS;
            continue;
        }
        let end = position + zeros.max(1);
        while position < end {
            let leaves = position.checked_sub(WINDOW).map_or(0, |left| bytes[left]);
            sum.roll(leaves, bytes[position]);
            position += 1;
            if sum.weighted & BORDER == BORDER {
                add(start, position, false);
                start = position;
            }
        }
    }
    add(start, bytes.len(), false);
    cuts
}

/// The zeros that `bytes` begin with.
fn zeros(bytes: &[u8]) -> usize {
    let found = bytes.iter().position(|byte| *byte != 0);
    found.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_chunks_and_all_bytes_are_covered() {
        let bytes = [
            vec![1; 10],
            vec![0; 1024],
            vec![2; 5],
            vec![0; 1023],
            vec![3],
        ]
        .concat();
        let found: Vec<(usize, bool)> = (cuts(&bytes).iter())
            .map(|cut| (cut.length, cut.is_zeros))
            .collect();
        assert_eq!(found, [(10, false), (1024, true), (1029, false)]);
        assert_eq!(cuts(&[]), []);
        let zeros = Cut {
            length: 5000,
            is_zeros: true,
        };
        assert_eq!(cuts(&[0; 5000]), [zeros]);
    }

    #[test]
    fn borders_depend_on_the_bytes_before_them_alone() {
        let mut state = 1_u64;
        let bytes: Vec<u8> = (0..1_000_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let ends = |bytes: &[u8], from: usize| -> Vec<usize> {
            let mut end = from;
            let mut ends = Vec::new();
            for cut in cuts(bytes) {
                end += cut.length;
                ends.push(end);
            }
            ends
        };
        let all = ends(&bytes, 0);
        assert!((8..=30).contains(&all.len()), "{}", all.len());
        let later = ends(&bytes[1000..], 1000);
        let shared: Vec<usize> = all.iter().copied().filter(|end| *end > 1064).collect();
        assert_eq!(later, shared);
    }
}
