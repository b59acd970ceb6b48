//! Any bytes are read or refused, the same in any pieces, and what is accepted is covered whole.
//!
//! The input is an archive, so that real ones are seeds. It is read as it is, and with its
//! checksums mended, so that the fuzzer reaches what lies behind them.
#![no_main]

use fastlayer_tar::{Entry, Error, Event, Limits, Reader};
use libfuzzer_sys::fuzz_target;

/// What an archive gave: its entries, the length of their contents, all bytes, and the fault.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    entries: Vec<(Entry, u64)>,
    bytes: Vec<u8>,
    error: Option<Error>,
}

fn read(archive: &[u8], piece: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut sink = |event: Event<'_>| {
        outcome.bytes.extend_from_slice(event.bytes());
        match event {
            Event::Entry { entry, .. } => outcome.entries.push((entry.clone(), 0)),
            Event::Content(content) => {
                let (_, size) = outcome.entries.last_mut().expect("content of an entry");
                *size += content.len() as u64;
            }
            Event::Padding(_) | Event::Trailer(_) => {}
        }
        Ok(())
    };
    let mut reader = Reader::new(Limits::default());
    let fed = archive
        .chunks(piece)
        .try_for_each(|piece| reader.feed::<Error>(piece, &mut sink));
    let end = fed.and_then(|()| reader.finish::<Error>(&mut sink));
    outcome.error = end.err();
    outcome
}

fn mend_checksums(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block.starts_with(&[0]) {
            continue;
        }
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fn check(archive: &[u8]) {
    let whole = read(archive, archive.len().max(1));
    assert!(archive.starts_with(&whole.bytes));
    if whole.error.is_none() {
        assert_eq!(whole.bytes, archive);
        for (entry, size) in &whole.entries {
            assert_eq!(entry.size, *size);
        }
    }
    let piece = archive.len() % 1021 + 1;
    assert_eq!(read(archive, piece), whole);
}

fuzz_target!(|archive: &[u8]| {
    check(archive);
    let mut archive = archive.to_vec();
    mend_checksums(&mut archive);
    check(&archive);
});
