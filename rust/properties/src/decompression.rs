//! Any bytes are decompressed or refused, the same in any pieces; and where Python's `gzip` or
//! `bz2`, or the programs `xz` and `zstd`, accept them too, with the same result.

use std::io::{self, Read, Write};

use fastlayer_store::decompress::{Compression, decompress};

use crate::Property;
use crate::peer::{Python, run};

/// Plain bytes that are compared; the peers are asked for as many.
const MOST: usize = 1 << 20;

/// The front ends of gzip, zstd, xz and bzip2. The input is a stream.
pub struct Decompression {
    python: Python,
}

impl Decompression {
    /// Starts the peer.
    pub fn new() -> Self {
        Self {
            python: Python::new(),
        }
    }

    fn peer(&mut self, stream: &[u8]) -> Option<Vec<u8>> {
        match Compression::detect(stream) {
            Compression::None => Some(stream.to_vec()),
            Compression::Gzip => self.python.ask(b'g', stream),
            Compression::Xz => run("xz", &["-dcq"], stream),
            Compression::Bzip2 => self.python.ask(b'b', stream),
            Compression::Zstd => run("zstd", &["-dcq"], stream),
        }
    }
}

impl Default for Decompression {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for Decompression {
    fn check(&mut self, bytes: &[u8]) {
        let whole = plain(bytes, bytes.len().max(1));
        let pieces = plain(bytes, bytes.len() % 61 + 1);
        assert_eq!(whole.is_some(), pieces.is_some());
        if let Some(found) = whole {
            assert_eq!(pieces.as_ref(), Some(&found));
            if let Some(expected) = self.peer(bytes) {
                assert!(found == expected, "another reader sees other bytes");
            }
        }
    }
}

/// All plain bytes; `None` where the stream is refused, or is too long to compare.
fn plain(stream: &[u8], piece: usize) -> Option<Vec<u8>> {
    let source = Pieces {
        rest: stream,
        piece,
    };
    let mut output = Bounded(Vec::new());
    let length = decompress(source, &mut output).ok()?;
    assert_eq!(length, output.0.len() as u64);
    Some(output.0)
}

struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(buffer.len());
        self.rest.read(&mut buffer[..count])
    }
}

/// Fails beyond what is compared.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() >= MOST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
