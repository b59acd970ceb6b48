//! Any bytes are read or refused as a tar, the same in any pieces and with contents taken past the
//! reader, and what is accepted is covered whole.

use crate::Property;
use crate::archive::{mend_checksums, read, read_past};

/// The reader of tars. The input is an archive.
pub struct TarReader;

impl Property for TarReader {
    /// Reads the archive as it is, and with its checksums mended, for what lies behind them.
    fn check(&mut self, bytes: &[u8]) {
        check(bytes);
        let mut mended = bytes.to_vec();
        mend_checksums(&mut mended);
        check(&mended);
    }
}

fn check(archive: &[u8]) {
    let whole = read(archive, archive.len().max(1));
    assert!(archive.starts_with(&whole.bytes));
    if whole.error.is_none() {
        assert_eq!(whole.bytes, archive);
        for member in &whole.members {
            assert_eq!(member.entry.size, member.content.len() as u64);
        }
    }
    let piece = archive.len() % 1021 + 1;
    assert_eq!(read(archive, piece), whole);
    assert_eq!(read_past(archive, piece), whole);
}
