//! Every entry that is read can be written, or is refused with a reason; and what is written is
//! read as the same entry.
#![no_main]

use fastlayer_tar::{Entry, EntryKind, Error, Event, Limits, Reader, encode_header, path};
use libfuzzer_sys::fuzz_target;

fn entries(archive: &[u8]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut reader = Reader::new(Limits::default());
    let mut sink = |event: Event<'_>| {
        if let Event::Entry { entry, .. } = event {
            entries.push(entry.clone());
        }
        Ok::<(), Error>(())
    };
    reader.feed(archive, &mut sink)?;
    reader.finish(&mut sink)?;
    Ok(entries)
}

/// The entry as the writer has it: normal names, whole seconds.
fn normal(mut entry: Entry) -> Entry {
    entry.path = path::normalise(&entry.path).expect("a path that was written");
    if entry.kind == EntryKind::Hardlink {
        entry.link = path::normalise(&entry.link).expect("a target that was written");
    }
    entry.mtime.nanoseconds = 0;
    entry.size = 0;
    entry
}

fuzz_target!(|archive: &[u8]| {
    for mut entry in entries(archive).unwrap_or_default() {
        // Only the header is written here.
        entry.size = 0;
        let mut header = Vec::new();
        if encode_header(&entry, &mut header).is_err() {
            assert!(header.is_empty());
            continue;
        }
        let again = entries(&header).expect("our own header");
        assert_eq!(again.len(), 1);
        assert_eq!(
            normal(again.into_iter().next().expect("one entry")),
            normal(entry)
        );
    }
});
