//! Every entry that is read can be written, or is refused with a reason; and what is written is
//! read as the same entry.

use fastlayer_tar::{Entry, EntryKind, encode_header, path};

use crate::Property;
use crate::archive::{mend_checksums, read};

/// The writer of tars. The input is an archive.
pub struct TarRewrite;

impl Property for TarRewrite {
    fn check(&mut self, bytes: &[u8]) {
        let mut archive = bytes.to_vec();
        mend_checksums(&mut archive);
        for member in read(&archive, archive.len().max(1)).members {
            check(member.entry);
        }
    }
}

fn check(mut entry: Entry) {
    // Only the header is written here.
    entry.size = 0;
    let mut header = Vec::new();
    if encode_header(&entry, &mut header).is_err() {
        assert!(header.is_empty());
        return;
    }
    let mut again = read(&header, header.len());
    assert_eq!(again.error, None, "our own header");
    assert_eq!(again.members.len(), 1);
    let again = again.members.remove(0);
    assert_eq!(again.header, header);
    assert_eq!(normal(again.entry), normal(entry));
}

/// The entry as the writer has it: normal names, whole seconds.
fn normal(mut entry: Entry) -> Entry {
    entry.path = path::normalise(&entry.path).expect("a path that was written");
    if entry.kind == EntryKind::Hardlink {
        entry.link = path::normalise(&entry.link).expect("a target that was written");
    }
    entry.mtime.nanoseconds = 0;
    entry
}
